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


def test_a_full_line_drops_what_the_sweep_will_find() -> None:
    bell = SlowBell()
    ringer = Ringer(bell, capacity=2)
    ringer.ring("events", [0])
    assert bell.busy.wait(10)
    assert [ringer.ring("events", [number]) for number in (1, 2, 3)] == [True, True, False]
    bell.let.set()
    ringer.close(10)
    assert [args for _, args in bell.rung] == [([0],), ([1],), ([2],)]


def test_ids_go_out_in_chunks() -> None:
    bell = SlowBell()
    bell.let.set()
    ringer = Ringer(bell)
    assert ringer.ring_chunks("events", list(range(201)))
    ringer.close(10)
    assert [len(args[0]) for _, args in bell.rung] == [100, 100, 1]


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
