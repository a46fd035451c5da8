"""One ticker for all calls of a process: absolute deadlines, phase buckets inside 20 ms.

The wheel says which phases are due; a sink computes from the clock how many frames that means. So a late tick loses
nothing, and no count of sleeps exists anywhere. Calls are spread over the phases, so that 400 of them send 20 at a
time and not all at once.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import Protocol

PERIOD_S = 0.020
PHASES = 20
"""1 ms apart: as fine as uvloop's timer (libuv counts in milliseconds)."""
SLACK_S = 0.0005
"""A timer that fires this much early counts as on time; otherwise its phase would wait for another wake-up."""
BIN_S = 0.0001
BINS = 1000
"""Lateness is counted in bins of 0.1 ms up to 100 ms; the last bin holds all above."""

_log = logging.getLogger(__name__)


class Sink(Protocol):
    """A call that sends. ``frames_due`` is called about every 20 ms and must not block or await."""

    def frames_due(self, now: float) -> None:
        """Sends what is due at ``now`` (monotonic seconds), however many frames that is."""


class Wheel:
    """Which phases are due. Pure arithmetic on absolute time; phase ``k`` is due at ``origin`` + (n * PHASES + k) ms."""

    def __init__(self, origin: float, period: float = PERIOD_S, phases: int = PHASES) -> None:
        self._origin = origin
        self._step = period / phases
        self._phases = phases
        self._done = -1

    def due(self, now: float) -> list[tuple[int, float]]:
        """The phases due since the last call, oldest first, each once, with the time its last turn was due.

        After a stall longer than a period every phase is due once: how many frames that makes is the sinks' sum.
        """
        reached = math.floor((now + SLACK_S - self._origin) / self._step)
        first = max(self._done + 1, reached - self._phases + 1)
        self._done = max(self._done, reached)
        return [(turn % self._phases, self._origin + turn * self._step) for turn in range(first, reached + 1)]

    def next_turn(self, used: Callable[[int], bool]) -> float | None:
        """When the next phase for which ``used`` is due; None if there is none."""
        for turn in range(self._done + 1, self._done + 1 + self._phases):
            if used(turn % self._phases):
                return self._origin + turn * self._step
        return None


class Lateness:
    """How late ticks came, as a histogram."""

    def __init__(self) -> None:
        self._bins = [0] * (BINS + 1)
        self.count = 0
        self.largest = 0.0
        """Seconds."""

    def add(self, seconds: float) -> None:
        """Counts one tick; an early one as punctual."""
        late = max(0.0, seconds)
        self._bins[min(BINS, int(late / BIN_S))] += 1
        self.count += 1
        if late > self.largest:
            self.largest = late

    def quantile(self, share: float) -> float:
        """Seconds that ``share`` (0..1) of the ticks did not exceed, to the upper edge of a bin; 0 before any."""
        wanted = share * self.count
        seen = 0
        for index, count in enumerate(self._bins):
            seen += count
            if seen and seen >= wanted:
                return self.largest if index == BINS else min(self.largest, (index + 1) * BIN_S)
        return 0.0

    def clear(self) -> None:
        """Starts anew."""
        self._bins = [0] * (BINS + 1)
        self.count = 0
        self.largest = 0.0


class Pacer:
    """The one per process."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_failure: Callable[[Sink, Exception], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``on_failure`` hears of a sink that raised; it has been removed then, and the others go on."""
        self._loop = loop
        self._clock = clock
        self._on_failure = on_failure
        self._wheel = Wheel(clock())
        self._phases: list[list[Sink]] = [[] for _ in range(PHASES)]
        self._phase_of: dict[int, int] = {}
        self._left = False
        """Whether a sink has left since the walk that goes on began."""
        self._timer: asyncio.TimerHandle | None = None
        self.lateness = Lateness()
        """Of each phase that was ticked, against its own deadline."""

    def __len__(self) -> int:
        return len(self._phase_of)

    def add(self, sink: Sink) -> None:
        """Ticks ``sink`` from now on, in the emptiest phase. Raises ValueError if it is ticked already."""
        if id(sink) in self._phase_of:
            raise ValueError("expected a sink that is not ticked yet")
        phase = min(range(PHASES), key=lambda at: len(self._phases[at]))
        self._phases[phase] = [*self._phases[phase], sink]
        self._phase_of[id(sink)] = phase
        if len(self._phases[phase]) == 1:
            self._arm()

    def remove(self, sink: Sink) -> None:
        """Stops ticking it; no error if it is not there. Safe from within a tick."""
        phase = self._phase_of.pop(id(sink), None)
        if phase is not None:
            self._phases[phase] = [other for other in self._phases[phase] if other is not sink]
            self._left = True

    def stop(self) -> None:
        """Cancels the timer and forgets all sinks."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._phases = [[] for _ in range(PHASES)]
        self._phase_of.clear()

    def _arm(self) -> None:
        """Wakes at the next used phase. The timer is always set from the absolute deadline, so errors never add up."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._wheel.next_turn(lambda phase: bool(self._phases[phase]))
        if deadline is not None:
            self._timer = self._loop.call_later(max(0.0, deadline - self._clock()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._clock()
        try:
            for phase, deadline in self._wheel.due(now):
                if self._phases[phase]:
                    self._serve(self._phases[phase], self._clock(), deadline)
        finally:
            self._arm()

    def _serve(self, sinks: list[Sink], now: float, deadline: float) -> None:
        """``add`` and ``remove`` replace the list, so a call that leaves within the tick does not disturb the walk."""
        self.lateness.add(now - deadline)
        self._left = False
        for sink in sinks:
            if self._left and id(sink) not in self._phase_of:
                continue
            try:
                sink.frames_due(now)
            except Exception as error:  # noqa: BLE001 - one call's boundary: it leaves, all others go on
                self.remove(sink)
                _log.error("a call's sending failed; it is no longer ticked", exc_info=error)
                self._on_failure(sink, error)
