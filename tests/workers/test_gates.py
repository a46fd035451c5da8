"""Gates: when nobody, or somebody, may not be called."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from shared import gate_config
from shared.frequency import parse_cap
from shared.settings import load
from shared.window import DAY_MS, parse_hours
from workers.gates import (
    Candidate,
    Closed,
    Gates,
    Remedy,
    Window,
    expired,
    frequency_gate,
    open_gates,
    paused,
    resting,
    stopped,
    suppressed,
    unheard,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
ALWAYS = Window(parse_hours(""), SHANGHAI)


def at(text: str, zone: ZoneInfo = SHANGHAI) -> int:
    return int(datetime.fromisoformat(f"2026-03-02T{text}").replace(tzinfo=zone).timestamp() * 1000)


def opened(directory: Path, **environment: str) -> Gates:
    settings = load({f"WAIHU_{name.upper()}": value for name, value in environment.items()}, directory)
    return open_gates(settings, gate_config.read(settings))


def test_a_task_that_is_stopped_expired_or_unwanted_says_what_becomes_of_it() -> None:
    def remedy(closed: Closed | None) -> Remedy | None:
        return closed.remedy if closed else None

    assert remedy(stopped(Candidate(stop_requested_at=5), 9)) is Remedy.STOP
    assert remedy(stopped(Candidate(), 9)) is None
    assert remedy(expired(Candidate(expires_at=9), 9)) is Remedy.EXPIRE
    assert remedy(expired(Candidate(expires_at=10), 9)) is None
    assert remedy(expired(Candidate(), 9)) is None
    assert remedy(suppressed(Candidate(suppressed=True), 9)) is Remedy.STOP
    assert remedy(suppressed(Candidate(), 9)) is None
    for gate, candidate in (
        (paused, Candidate(paused=True)),
        (resting, Candidate(resting=True)),
        (unheard, Candidate(unheard=True)),
    ):
        assert gate(candidate, 9) == Closed(gate(candidate, 9).gate, gate(candidate, 9).reason)  # type: ignore[union-attr]
        assert gate(Candidate(), 9) is None


def test_outside_the_window_a_task_waits_for_the_opening_where_its_customer_lives() -> None:
    window = Window(parse_hours("09:00-18:00"), SHANGHAI)
    assert window(Candidate(), at("10:00")) is None
    closed = window(Candidate(), at("20:00"))
    assert closed is not None
    assert (closed.gate, closed.remedy, closed.until) == ("window", Remedy.WAIT, at("09:00") + DAY_MS)
    berlin = Candidate(zone="Europe/Berlin")
    closed = window(berlin, at("10:00"))
    assert closed is not None
    assert closed.until == at("09:00", ZoneInfo("Europe/Berlin"))
    assert window(berlin, at("20:00")) is None


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "", "Asia/Shanghai\0"])
def test_a_zone_that_nobody_knows_is_never_open_and_is_said(zone: str, caplog: pytest.LogCaptureFixture) -> None:
    closed = Window(parse_hours("09:00-18:00"), SHANGHAI)(Candidate(zone=zone), at("10:00"))
    assert closed is not None
    assert closed.until == at("10:00") + DAY_MS
    assert "time zone is not known" in caplog.text


def test_hours_that_never_come_are_looked_at_again_a_day_later() -> None:
    window = Window(parse_hours("", "2020-01-01..2040-01-01"), SHANGHAI)
    assert window.reopens(None, at("10:00")) == at("10:00") + DAY_MS


def test_a_number_that_was_called_often_enough_waits() -> None:
    gate = frequency_gate(parse_cap("2/1d"))
    assert gate(Candidate(attempts=(5,)), 9) is None
    closed = gate(Candidate(attempts=(5, 7)), 9)
    assert closed is not None
    assert (closed.gate, closed.until) == ("frequency", 5 + DAY_MS)


def test_stand_ins_beside_real_services_keep_the_house_shut(tmp_path: Path) -> None:
    closed = opened(tmp_path, phone_url="http://phone.example/dialog").closed()
    assert closed is not None
    assert closed.gate == "standin"
    assert "asr" in closed.reason
    assert opened(tmp_path, phone_url="http://phone.example/dialog", allow_standin="1").closed() is None
    assert opened(tmp_path).closed() is None


@pytest.mark.parametrize(
    "name", ["call_window", "holidays", "frequency_cap", "retry_by_type", "caller_health", "breaker"]
)
def test_a_setting_that_cannot_be_read_keeps_the_house_shut_and_says_so(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    closed = opened(tmp_path, **{name: "nonsense"}).closed()
    assert closed is not None
    assert closed.gate == "settings"
    assert f"WAIHU_{name.upper()}" in closed.reason
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.__dict__["reason"] == closed.reason


def test_the_first_closed_gate_answers_and_a_change_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    night = Closed("night", "it is night")
    answers: list[Closed | None] = [None, night, night, None]
    gates = Gates([lambda: None, lambda: answers.pop(0), lambda: None], [stopped, expired], ALWAYS)
    with caplog.at_level(logging.INFO, "workers.gates"):
        assert [gates.closed() for _ in range(4)] == [None, night, night, None]
    assert [record.message for record in caplog.records] == [
        "a gate is closed: no call is placed",
        "the gates are open",
    ]
    refusal = gates.refuses(Candidate(expires_at=1, stop_requested_at=1), 5)
    assert refusal is not None
    assert refusal.gate == "stopped"
