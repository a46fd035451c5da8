"""Alarms of one call, looked at by the pacer's tick instead of the event loop: one comparison a tick while none is due.

Pure: the session's clock is asked, so that a test moves time and ticks.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

NEVER = float("inf")


class Alarm:
    """Calls back once at the time it was last set to. Kept and set again for recurring purposes."""

    __slots__ = ("_call", "_timers", "at", "ticket")

    def __init__(self, timers: Timers, call: Callable[[], None]) -> None:
        self._timers = timers
        self._call = call
        self.at = NEVER
        self.ticket = 0

    def set(self, at: float | None) -> None:
        """Rings at ``at`` (monotonic seconds) and no longer at any time set before; None: not at all."""
        when = NEVER if at is None else at
        if when == self.at:
            return
        self.at = when
        if when < NEVER:
            self._timers.push(self)

    def cancel(self) -> None:
        """Does not ring any more."""
        self.at = NEVER

    def ring(self) -> None:
        """It is time."""
        self.at = NEVER
        self._call()


class Timers:
    """The alarms of one call."""

    __slots__ = ("_heap", "_tickets", "next")

    MAX_STALE = 64
    """Entries of alarms that were moved; a heap that holds more than these and the live ones is rebuilt."""

    def __init__(self) -> None:
        self.next = NEVER
        """Nothing is due before; compare with this before ``run``."""
        self._heap: list[tuple[float, int, Alarm]] = []
        self._tickets = itertools.count(1)

    def alarm(self, call: Callable[[], None]) -> Alarm:
        """An alarm that is not set."""
        return Alarm(self, call)

    def push(self, alarm: Alarm) -> None:
        """For Alarm.set alone."""
        alarm.ticket = next(self._tickets)
        heapq.heappush(self._heap, (alarm.at, alarm.ticket, alarm))
        self.next = self._heap[0][0]
        if len(self._heap) > self.MAX_STALE:
            self._heap = [entry for entry in self._heap if entry[2].ticket == entry[1] and entry[2].at == entry[0]]
            heapq.heapify(self._heap)
            self.next = self._heap[0][0] if self._heap else NEVER

    def run(self, now: float) -> None:
        """Rings what is due at ``now``, earliest first; an alarm set meanwhile for a time that has come rings too."""
        while self._heap and self._heap[0][0] <= now:
            at, ticket, alarm = heapq.heappop(self._heap)
            self.next = self._heap[0][0] if self._heap else NEVER
            if alarm.ticket == ticket and alarm.at == at:
                alarm.ring()

    def clear(self) -> None:
        """Nothing rings any more."""
        for _, _, alarm in self._heap:
            alarm.cancel()
        self._heap.clear()
        self.next = NEVER
