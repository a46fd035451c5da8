"""Time as an input: what asks for it takes a Clock, so that tests can move it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks: one that people read, one that only ever goes forward."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 in UTC, as stored and compared everywhere."""

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back, for intervals within one process."""


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    monotonic = staticmethod(time.monotonic)


class FakeClock:
    """A clock that moves only when told to: the twin for tests."""

    def __init__(self, now_ms: int = 1_767_153_838_953) -> None:
        self._now_ms = float(now_ms)
        self._monotonic = 1000.0

    def now_ms(self) -> int:
        return int(self._now_ms)

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Moves both clocks forward; raises ValueError for a step back."""
        if seconds < 0:
            raise ValueError(f"expected a step forward, got {seconds}")
        self._now_ms += seconds * 1000
        self._monotonic += seconds
