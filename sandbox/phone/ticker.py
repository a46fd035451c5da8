"""The one timer of the phone system: ticks at absolute deadlines, so that no delay adds up."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable

from sandbox.phone.clock import Clock

TICK_SECONDS = 0.005
"""A quarter of a frame: calls begin at any moment, so their frames spread over the ticks by themselves."""

LOST_AFTER = 1.0
"""Seconds: after a longer stall the ticks missed are not made up for (the calls make up for their frames)."""

KEPT_LATENESS = 20_000
"""Ticks of which the lateness is kept: 100 seconds."""


class Ticker:
    """Calls `tick` every TICK_SECONDS until its task is cancelled."""

    def __init__(self, clock: Clock, tick: Callable[[], None]) -> None:
        self._clock = clock
        self._tick = tick
        self._lateness: array[float] = array("f")
        self._next = 0

    @property
    def lateness(self) -> list[float]:
        """Seconds by which the latest ticks came late: what the machine's own stalls add to every figure."""
        return list(self._lateness)

    async def run(self) -> None:
        """Tick for ever. What `tick` raises ends it."""
        deadline = self._clock.now()
        while True:
            deadline += TICK_SECONDS
            await asyncio.sleep(max(0.0, deadline - self._clock.now()))
            late = self._clock.now() - deadline
            self._keep(late)
            if late > LOST_AFTER:
                deadline += late
            # What the sockets hold by now has arrived in time: let their readers take it before it counts as missing.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self._tick()

    def _keep(self, late: float) -> None:
        if len(self._lateness) < KEPT_LATENESS:
            self._lateness.append(late)
        else:
            self._lateness[self._next] = late
            self._next = (self._next + 1) % KEPT_LATENESS
