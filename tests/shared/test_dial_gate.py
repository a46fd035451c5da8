"""How the dial gate stands, as it is told to whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import fakeredis
import msgspec
import pytest
from sqlalchemy import Engine, insert

from shared import bus
from shared.breaker import BREAKER_KEY, Standing
from shared.database import open_engine, reading, upgrade, writing
from shared.dial_gate import DialGate, Rest, look
from shared.schema import caller_rests, pauses
from shared.settings import load

NOW = 1_767_153_838_953  # 2025-12-31 12:03:58 in Shanghai
A, B = "0571000001", "0571000002"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'waihu.db'}"
    upgrade(url)
    opened = open_engine(url)
    yield opened
    opened.dispose()


@pytest.fixture
def redis_twin() -> fakeredis.FakeRedis:
    return fakeredis.FakeRedis()


@pytest.fixture
def stands(engine: Engine, redis_twin: fakeredis.FakeRedis, tmp_path: Path) -> Callable[..., DialGate]:
    def ask(**environment: str) -> DialGate:
        given = {"callers": f"{A};{B}"} | environment
        settings = load({f"WAIHU_{name.upper()}": value for name, value in given.items()}, tmp_path)
        with reading(engine) as connection:
            return look(connection, redis_twin, settings, NOW)

    return ask


def rest(engine: Engine, caller: str, until: int) -> None:
    with writing(engine) as connection:
        row = {"caller": caller, "until": until, "reason": "answered 4%", "created_at": NOW}
        connection.execute(insert(caller_rests).values(row))


def test_a_house_without_obstacles_is_open(stands: Callable[..., DialGate]) -> None:
    assert stands() == DialGate(shut=())
    assert stands().open


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"call_window": "nine to five"}, "WAIHU_CALL_WINDOW: expected"),
        ({"call_window": "09:00-10:00"}, "opens at 2026-01-01 09:00:00 (Asia/Shanghai)"),
        ({"holidays": "2025-12-31..2027-12-31"}, "does not open within a year"),
        ({"phone_url": "http://phone.example"}, "WAIHU_ALLOW_STANDIN=1"),
    ],
)
def test_what_the_settings_keep_shut_is_said(
    stands: Callable[..., DialGate], settings: dict[str, str], said: str
) -> None:
    gate = stands(**settings)
    assert not gate.open
    [reason] = gate.shut
    assert said in reason


def test_inside_the_window_it_is_open(stands: Callable[..., DialGate]) -> None:
    assert stands(call_window="12:00-13:00").open


def test_one_paused_type_keeps_the_others_going_and_all_paused_nobody(
    engine: Engine, stands: Callable[..., DialGate]
) -> None:
    with writing(engine) as connection:
        connection.execute(insert(pauses).values(ticket_type="催收", created_at=NOW))
    assert (stands().open, stands().paused) == (True, ("催收",))
    with writing(engine) as connection:
        connection.execute(insert(pauses).values(ticket_type="", created_at=NOW))
    assert not stands().open
    assert "paused" in stands().shut[0]


def test_a_number_that_rests_is_told_of_and_all_of_them_shut_the_gate(
    engine: Engine, stands: Callable[..., DialGate]
) -> None:
    rest(engine, A, NOW + 5)
    rest(engine, "0571999999", NOW + 5)  # not one of ours any more
    assert (stands().open, stands().resting) == (True, (Rest("05****0001", NOW + 5, "answered 4%"),))
    rest(engine, B, NOW)
    assert stands().open
    rest_again = {"callers": A}
    assert "back at 2025-12-31 12:03:58" in stands(**rest_again).shut[0]


def test_media_that_cannot_record_or_speak_shut_it_if_all_of_them_say_so(
    redis_twin: fakeredis.FakeRedis, stands: Callable[..., DialGate]
) -> None:
    def beat(process: str, *, ago: int = 0, **unfit: bool) -> None:
        at = bus.ms_of(redis_twin.time()) - ago
        told = bus.Heartbeat(at=at, capacity=9, sessions=0, phone_sessions=0, draining=False, listen="", **unfit)
        redis_twin.hset(bus.MEDIA_KEY, process, msgspec.json.encode(told))

    beat("one", recording=False)
    beat("gone", ago=bus.HEARTBEAT_TTL_MS + 1000)
    [why] = stands().shut
    assert "cannot record" in why
    beat("two", speech=False)
    assert ["cannot record" in stands().shut[0], "cannot speak" in stands().shut[1]] == [True, True]
    beat("other")
    assert stands().open


def test_an_open_breaker_shuts_the_gate_and_a_half_open_one_lets_one_try(
    redis_twin: fakeredis.FakeRedis, stands: Callable[..., DialGate]
) -> None:
    seconds, _ = redis_twin.time()
    redis_twin.hset(BREAKER_KEY, mapping={"until": (int(seconds) + 60) * 1000, "cause": "refused"})
    gate = stands()
    assert (gate.open, gate.breaker.standing, gate.breaker.cause) == (False, Standing.OPEN, "refused")
    redis_twin.hset(BREAKER_KEY, "until", (int(seconds) - 60) * 1000)
    assert (stands().open, stands().breaker.standing) == (True, Standing.HALF_OPEN)
