"""Alarms ring once, in order, at the time they were last set to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from media.session.timers import NEVER, Timers


def test_an_alarm_rings_once_when_its_time_has_come() -> None:
    timers, rung = Timers(), []
    timers.alarm(lambda: rung.append(1)).set(5.0)
    assert timers.next == 5.0
    timers.run(4.9)
    assert rung == []
    timers.run(5.0)
    timers.run(6.0)
    assert rung == [1]
    assert timers.next == NEVER


def test_setting_again_moves_it() -> None:
    timers, rung = Timers(), []
    alarm = timers.alarm(lambda: rung.append(1))
    alarm.set(5.0)
    alarm.set(9.0)
    timers.run(6.0)
    assert rung == []
    timers.run(9.0)
    assert rung == [1]


def test_a_cancelled_alarm_does_not_ring() -> None:
    timers, rung = Timers(), []
    alarm = timers.alarm(lambda: rung.append(1))
    alarm.set(5.0)
    alarm.set(None)
    timers.run(9.0)
    assert rung == []


def test_an_alarm_may_set_itself_again() -> None:
    timers, rung = Timers(), []

    def again() -> None:
        rung.append(1)
        alarm.set(len(rung) + 1.0)

    alarm = timers.alarm(again)
    alarm.set(1.0)
    timers.run(3.5)
    assert len(rung) == 3


def test_clearing_forgets_all() -> None:
    timers, rung = Timers(), []
    timers.alarm(lambda: rung.append(1)).set(1.0)
    timers.clear()
    timers.run(2.0)
    assert rung == []


@given(
    st.lists(st.tuples(st.integers(0, 4), st.one_of(st.none(), st.integers(0, 50))), max_size=300), st.integers(0, 60)
)
def test_exactly_what_is_due_rings_and_earliest_first(settings: list[tuple[int, int | None]], now: int) -> None:
    timers = Timers()
    rung: list[int] = []
    alarms = [timers.alarm(lambda at=at: rung.append(at)) for at in range(5)]  # type: ignore[misc]
    wanted: dict[int, int | None] = {}
    for which, at in settings:
        alarms[which].set(at)
        wanted[which] = at
    timers.run(now)
    due = {which: at for which, at in wanted.items() if at is not None and at <= now}
    assert sorted(rung) == sorted(due)
    assert [due[which] for which in rung] == sorted(due.values())
