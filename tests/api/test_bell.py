"""The ringer: bounded, never blocking, and the broker may be away."""

from __future__ import annotations

import threading
from typing import Any

from api.bell import Ringer
from shared.doorbell import Doorbell


class SlowBell:
    """Rings only once it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.busy = threading.Event()
        self.rung: list[tuple[str, tuple[Any, ...]]] = []

    def ring(self, name: str, *args: Any) -> bool:
        self.busy.set()
        assert self.let.wait(30)
        self.rung.append((name, args))
        return True


def test_a_ring_without_ids_that_waits_already_is_not_doubled() -> None:
    bell = SlowBell()
    ringer = Ringer(bell)
    ringer.ring("dispatch")
    assert bell.busy.wait(10)
    for _ in range(5):
        ringer.ring("dispatch")
    bell.let.set()
    ringer.close(10)
    assert bell.rung == [("dispatch", ()), ("dispatch", ())]


def test_ids_that_wait_go_out_together_in_their_order() -> None:
    bell = SlowBell()
    ringer = Ringer(bell)
    ringer.ring_ids("events", [0])
    assert bell.busy.wait(10)
    for start in range(1, 250, 3):
        assert ringer.ring_ids("events", range(start, start + 3))
    bell.let.set()
    ringer.close(10)
    messages = [args[0] for _, args in bell.rung]
    assert [len(message) for message in messages] == [1, 100, 100, 49]
    assert [number for message in messages for number in message] == list(range(250))


def test_a_long_line_of_one_kind_does_not_hold_up_another() -> None:
    bell = SlowBell()
    ringer = Ringer(bell)
    ringer.ring("first")
    assert bell.busy.wait(10)
    ringer.ring_ids("events", range(300))
    ringer.ring("dispatch")
    bell.let.set()
    ringer.close(10)
    assert [name for name, _ in bell.rung] == ["first", "events", "dispatch", "events", "events"]


def test_what_is_too_much_is_dropped_for_the_sweep_to_find() -> None:
    bell = SlowBell()
    ringer = Ringer(bell, capacity=3)
    ringer.ring_ids("events", [0])
    assert bell.busy.wait(10)
    assert [ringer.ring_ids("events", ids) for ids in ([1, 2], [3, 4], [5])] == [True, False, True]
    bell.let.set()
    ringer.close(10)
    assert [args[0] for _, args in bell.rung] == [[0], [1, 2, 5]]


def test_no_ids_are_no_ring() -> None:
    bell = SlowBell()
    ringer = Ringer(bell)
    assert ringer.ring_ids("events", [])
    ringer.close(10)
    assert bell.rung == []


def test_a_message_that_breaks_does_not_end_the_ringing() -> None:
    rung = []

    class BrokenOnce:
        def ring(self, name: str, *args: Any) -> bool:
            if not rung:
                rung.append("broken")
                raise RuntimeError("boom")
            rung.append(name)
            return True

    ringer = Ringer(BrokenOnce())
    ringer.ring("one")
    ringer.ring("two")
    ringer.close(10)
    assert rung == ["broken", "two"]


def test_a_closed_ringer_takes_nothing_more() -> None:
    bell = SlowBell()
    ringer = Ringer(bell)
    ringer.close(10)
    assert ringer.ring("dispatch") is False


def test_a_broker_that_is_away_is_no_error(closed_port: int) -> None:
    ringer = Ringer(Doorbell(f"redis://127.0.0.1:{closed_port}/0"))
    assert ringer.ring("waihu.dispatch")
    ringer.close(30)
    assert ringer.wait_idle(0)
