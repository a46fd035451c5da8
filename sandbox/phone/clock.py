"""Time as an input, and what is due when."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Seconds that only grow."""

    def wall_ms(self) -> int:
        """Milliseconds of Unix time."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.monotonic()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000


class Appointment:
    """Something to be done at a time, unless it is cancelled before."""

    __slots__ = ("at", "cancelled", "do")

    def __init__(self, at: float, do: Callable[[], None]) -> None:
        self.at = at
        self.do = do
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Agenda:
    """What is to be done when, in order of time and then of arrival. Cancelling costs nothing."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Appointment]] = []
        self._order = itertools.count()

    def at(self, when: float, do: Callable[[], None]) -> Appointment:
        """Have `do` called by the first `run` at or after `when`."""
        appointment = Appointment(when, do)
        heapq.heappush(self._due, (when, next(self._order), appointment))
        return appointment

    def run(self, now: float) -> None:
        """Do all that is due, also what becomes due by it."""
        while self._due and self._due[0][0] <= now:
            appointment = heapq.heappop(self._due)[2]
            if not appointment.cancelled:
                appointment.do()
