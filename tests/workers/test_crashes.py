"""A worker killed at any step: each call row rings at most once, and every task still becomes final."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis
from sqlalchemy import Connection

from shared.doorbell import APPLY_EVENTS, DIAL, DISPATCH, FINISH_CALL
from shared.lifecycle import FINAL_TASKS
from tests.workers.twins import Office, cdr
from workers.dial import dial
from workers.dispatch import dispatch
from workers.effects import DISPATCH_RUNG_KEY
from workers.events import apply_events
from workers.record import finish_call
from workers.room import LEASES_KEY, REBUILD_KEY
from workers.sweep import sweep

LONGEST_LIFE_SECONDS = 1_200


class Killed(BaseException):
    """The process is gone."""


def kill_at_write(office: Office, number: int, *, committed: bool) -> None:
    """The house's write transaction ``number`` kills the process: before it commits, or just after."""
    write, seen = office.house.write, [0]

    @contextmanager
    def killing() -> Iterator[Connection]:
        seen[0] += 1
        with write() as connection:
            yield connection
            if seen[0] == number and not committed:
                raise Killed
        if seen[0] == number:
            raise Killed

    office.house.write = killing  # type: ignore[method-assign]


def kill_at_command(office: Office, number: int) -> None:
    """Redis command or pipeline ``number`` kills the process."""
    seen = [0]

    def counting(name: str) -> Callable[..., object]:
        send = getattr(redis.Redis, name)

        def sent(*args: object, **kwargs: object) -> object:
            seen[0] += 1
            if seen[0] == number:
                raise Killed
            return send(office.house.redis, *args, **kwargs)

        return sent

    for name in ("execute_command", "pipeline"):
        setattr(office.house.redis, name, counting(name))


def work(office: Office) -> None:
    """Everything that was rung is done, until nothing rings any more."""
    bodies: dict[str, Callable[..., None]] = {
        DISPATCH: dispatch,
        DIAL: dial,
        APPLY_EVENTS: apply_events,
        FINISH_CALL: finish_call,
    }
    while office.bell.rung:
        name, args = office.bell.rung.pop(0)
        bodies[name](office.house, *args)


def life(office: Office) -> None:
    """One call from its task to its record."""
    office.ticket("13800138000")
    dispatch(office.house)
    work(office)
    for uuid in list(office.phone.rings):
        payload = cdr(1_000, 4_000)
        for name in ("firstStart", "firstAnswer", "cdr"):
            pay_load = payload if name == "cdr" else ""
            apply_events(office.house, [office.event(name, request_id=uuid, call_id=f"call-{uuid}", pay_load=pay_load)])
    work(office)


def survive(open_office: Callable[..., Office], victim: Office) -> None:
    """Another worker takes over, and time passes."""
    heir = open_office(placer=victim.phone, clock=victim.clock)
    for _ in range(LONGEST_LIFE_SECONDS // 5):
        heir.advance(5)
        heir.media()
        heir.house.redis.delete(
            REBUILD_KEY, DISPATCH_RUNG_KEY
        )  # they end by Redis's own clock, which stands still here
        sweep(heir.house)
        work(heir)
        if all(call.closed_at for call in heir.calls()) and heir.task(1).state in FINAL_TASKS:
            break
    assert heir.task(1).state in FINAL_TASKS
    assert all(rings == 1 for rings in victim.phone.rings.values())
    assert len(victim.phone.rings) <= 1
    assert all(call.closed_at for call in heir.calls())
    sweep(heir.house)
    assert heir.house.redis.zcard(LEASES_KEY) == 0


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("number", range(1, 9))
def test_killed_at_any_transaction(open_office: Callable[..., Office], number: int, committed: bool) -> None:
    victim = open_office()
    victim.media()
    kill_at_write(victim, number, committed=committed)
    try:
        life(victim)
    except Killed:
        survive(open_office, victim)
    else:
        assert number > 6  # there were fewer transactions than that
        assert victim.task(1).state == "completed"


@pytest.mark.parametrize("number", range(1, 26))
def test_killed_at_any_word_to_redis(open_office: Callable[..., Office], number: int) -> None:
    victim = open_office()
    victim.media()
    kill_at_command(victim, number)
    try:
        life(victim)
    except Killed:
        survive(open_office, victim)
    else:
        assert number > 12  # there were fewer words than that
        assert victim.task(1).state == "completed"


@pytest.mark.parametrize("rang", [False, True])
def test_killed_inside_startcall(open_office: Callable[..., Office], rang: bool) -> None:
    victim = open_office()
    victim.media()

    def killed(request_id: str) -> str:
        if not rang:
            victim.phone.rings.pop(request_id)
        raise Killed

    victim.phone.answers = [killed]
    with pytest.raises(Killed):
        life(victim)
    survive(open_office, victim)
    assert victim.task(1).state == "unknown"


def test_redis_wiped_in_mid_life_loses_nothing(open_office: Callable[..., Office]) -> None:
    office = open_office()
    office.media()
    office.ticket("13800138000")
    dispatch(office.house)
    office.house.redis.flushall()
    office.bell.rung.clear()
    survive(open_office, office)
    assert office.task(1).state == "not_connected"
    assert len(office.phone.rings) == 1
