"""Time as an input: what asks for it takes a Clock, so that tests can move it. And the house's own time, which is not the
machine's: hosts may differ by an hour, and what one of them wrote is judged by another (docs/architecture.md, "One clock").
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

CALIBRATE_SECONDS = 30.0
"""After so long who keeps time is asked again: two quartzes drift apart by a few milliseconds meanwhile."""
ASK_AGAIN_SECONDS = 1.0
"""Who did not answer is not asked by everybody who wants to know."""
DRIFT = 0.0002
"""Of two clocks against each other, at most: seconds a second. Quartzes are within a tenth of it, virtual ones near it."""
HAIR_MS = 1_000
"""A correction backwards by less is waited out: time stands still for so long. By more it is no correction: whoever keeps
time was set to another hour, and all follow at once, since they must agree with each other before all else."""
MOST_SKEW_MS = 3_000
"""By which a machine's own clock may differ from the house's before people are told: no NTP keeps it that wrong."""

log = logging.getLogger(__name__)


class Clock(Protocol):
    """Two clocks: one that people read, one that only ever goes forward."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 in UTC, as stored and compared everywhere."""

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back, for intervals within one process."""

    def skew_ms(self) -> int | None:
        """By how much the machine's own clock is ahead of this one; None while that is not known."""


def _system_ms() -> int:
    return time.time_ns() // 1_000_000


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        return _system_ms()

    def skew_ms(self) -> int | None:
        return 0

    monotonic = staticmethod(time.monotonic)


class _Reading(NamedTuple):
    """House time is monotonic time plus ``offset`` (ms), give or take ``error`` when it was read, at ``at`` (monotonic
    seconds); but never below ``floor``."""

    offset: float
    error: float
    at: float
    floor: int


class HouseClock:
    """The time of whoever keeps it for the house, carried on by this process's monotonic clock.

    Whoever can ask calls ``take`` with what it was told, from time to time (``due``). The process's own wall clock plays no
    part: it may be wrong, and may be set while we run. Safe to use from several threads.
    """

    def __init__(
        self,
        ask: Callable[[], None] | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        system_ms: Callable[[], int] = _system_ms,
    ) -> None:
        """``ask``: has ``take`` called, or raises; for the first time, of which nobody knows anything before. Without it
        the machine's own clock is told until somebody took a sample."""
        self.monotonic = monotonic
        self._ask = ask
        self._system_ms = system_ms
        self._reading: _Reading | None = None
        self._asked_at: float | None = None
        self._told = False
        self._lock = threading.Lock()

    def now_ms(self) -> int:
        """Raises what ``ask`` raises if the time was never told: nothing may be decided by a clock that may be wrong."""
        reading = self._reading
        if reading is None:
            if self._ask is not None:
                self._ask()
                reading = self._reading
            if reading is None:
                return self._system_ms()
        return max(reading.floor, int(self.monotonic() * 1000 + reading.offset))

    @property
    def calibrated(self) -> bool:
        return self._reading is not None

    @property
    def due(self) -> bool:
        """Whether it is time to ask again. Who is told so has said that he will: others are not told at once."""
        now = self.monotonic()
        with self._lock:
            reading = self._reading
            if reading is not None and now - reading.at < CALIBRATE_SECONDS:
                return False
            if self._asked_at is not None and now - self._asked_at < ASK_AGAIN_SECONDS:
                return False
            self._asked_at = now
            return True

    def take(self, told_ms: float, sent: float, received: float, resolution_ms: float = 1.0) -> None:
        """The time was ``told_ms``, cut off to its resolution, at some moment between ``sent`` and ``received`` (monotonic).

        So the offset lies between two bounds, the nearer the faster the answer came. What is known already is given up
        for what is known better, else moved no further than into the bounds: an answer that took long changes nothing,
        unless it tells for certain that the time is another.
        """
        least, most = told_ms - received * 1000, told_ms + resolution_ms - sent * 1000
        middle, error = (least + most) / 2, (most - least) / 2
        with self._lock:
            before = self._reading
            if before is None:
                self._reading = _Reading(middle, error, received, 0)
            else:
                aged = before.error + (received - before.at) * 1000 * DRIFT
                offset = middle if error <= aged else min(max(before.offset, least), most)
                self._reading = _Reading(offset, min(error, aged), received, self._floor(before, offset))
        self._tell_once()

    def skew_ms(self) -> int | None:
        """See Clock."""
        return self._system_ms() - self.now_ms() if self.calibrated else None

    def _tell_once(self) -> None:
        """In this process's log, whose times are as wrong."""
        skew = self.skew_ms()
        if skew_problem(skew) and not self._told:
            log.warning("this host's clock is wrong; the house goes by the database's", extra={"skew_ms": skew})
        self._told = bool(skew_problem(skew))

    def _floor(self, before: _Reading, offset: float) -> int:
        """What time it is now, unless it goes back by more than a hair."""
        shown = max(before.floor, int(self.monotonic() * 1000 + before.offset))
        return shown if shown - (self.monotonic() * 1000 + offset) < HAIR_MS else 0


def skew_problem(skew_ms: int | None, of: str = "this host") -> str:
    """What to tell people of a machine's own clock; "" if it is right, or not known. The house goes by its own."""
    if skew_ms is None or abs(skew_ms) < MOST_SKEW_MS:
        return ""
    way = "ahead of" if skew_ms > 0 else "behind"
    return f"the clock of {of} is {abs(skew_ms) / 1000:.0f} s {way} the database's; run NTP there"


class FakeClock:
    """A clock that moves only when told to: the twin for tests."""

    def __init__(self, now_ms: int = 1_767_153_838_953) -> None:
        self._now_ms = float(now_ms)
        self._monotonic = 1000.0

    def now_ms(self) -> int:
        return int(self._now_ms)

    def monotonic(self) -> float:
        return self._monotonic

    def skew_ms(self) -> int | None:
        return 0

    def advance(self, seconds: float) -> None:
        """Moves both clocks forward; raises ValueError for a step back."""
        if seconds < 0:
            raise ValueError(f"expected a step forward, got {seconds}")
        self._now_ms += seconds * 1000
        self._monotonic += seconds
