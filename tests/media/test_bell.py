"""The bell rings from a thread of its own, within bounds."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from media.bell import Bell
from tests.media.office import RingsTwin


class Stuck(RingsTwin):
    """A broker that hangs until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def ring(self, name: str, *args: Any) -> bool:
        self.let_go.wait(20)
        return super().ring(name, *args)


class Failing(RingsTwin):
    """Raises at the first message."""

    def ring(self, name: str, *args: Any) -> bool:
        super().ring(name, *args)
        if len(self.rung) == 1:
            raise RuntimeError("unserialisable")
        return True


def test_messages_are_sent_in_order_and_all_of_them_before_the_end() -> None:
    rings = RingsTwin()
    bell = Bell(rings)
    bell.start()
    for number in range(5):
        bell.ring("name", number)
    bell.stop()
    assert rings.rung == [("name", (number,)) for number in range(5)]


def test_a_broker_that_hangs_holds_nobody_up_and_what_is_too_much_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media.bell.MAX_WAITING", 3)
    rings = Stuck()
    bell = Bell(rings)
    for number in range(6):
        bell.ring("name", number)
    assert bell.dropped == 3
    bell.start()
    rings.let_go.set()
    bell.stop()
    assert len(rings.rung) == 3


def test_one_message_that_cannot_be_sent_does_not_end_the_others() -> None:
    rings = Failing()
    bell = Bell(rings)
    bell.start()
    bell.ring("first")
    bell.ring("second")
    bell.stop()
    assert [name for name, _ in rings.rung] == ["first", "second"]
