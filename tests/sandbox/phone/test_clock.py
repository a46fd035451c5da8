from __future__ import annotations

from sandbox.phone.clock import Agenda, SystemClock


def test_what_is_due_is_done_in_order_of_time_then_of_arrival() -> None:
    agenda, done = Agenda(), list[str]()
    for when, name in [(2.0, "c"), (1.0, "a"), (1.0, "b"), (3.0, "d")]:
        agenda.at(when, lambda name=name: done.append(name))  # type: ignore[misc]
    agenda.run(2.0)
    assert done == ["a", "b", "c"]
    agenda.run(3.0)
    assert done[3:] == ["d"]


def test_what_becomes_due_while_running_is_done_too() -> None:
    agenda, done = Agenda(), list[str]()

    def first() -> None:
        agenda.at(1.5, lambda: done.append("later"))

    agenda.at(1.0, first)
    agenda.run(2.0)
    assert done == ["later"]


def test_a_cancelled_appointment_is_not_kept() -> None:
    agenda, done = Agenda(), list[str]()
    agenda.at(1.0, lambda: done.append("x")).cancel()
    agenda.run(2.0)
    assert done == []


def test_the_machines_clock_goes_forward_in_unix_milliseconds() -> None:
    clock = SystemClock()
    assert clock.now() <= clock.now()
    assert clock.wall_ms() > 1_700_000_000_000
