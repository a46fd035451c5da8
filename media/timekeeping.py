"""What time it is in the house, for a process that has no database: the Redis server's clock, set right by the workers."""

from __future__ import annotations

import asyncio
import logging

import redis
import redis.asyncio

from shared import bus
from shared.clock import MOST_SKEW_MS, HouseClock

LOOK_SECONDS = 5.0
"""As often as the workers tell."""

DOUBTS = 3
"""Looks in a row that must find another time before it is believed: between Redis' clock being set and the workers' next
word, the two do not fit together."""

log = logging.getLogger(__name__)


class Timekeeper:
    """Keeps this process's clock by what Redis says. Redis away, or without the workers' word: the clock goes on."""

    def __init__(self, client: redis.asyncio.Redis, clock: HouseClock) -> None:
        self._client = client
        self._clock = clock
        self._away = False
        self._doubts = 0

    async def run(self) -> None:
        """Looks, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def known(self) -> None:
        """Before a call's first moment is noted: a process that has just begun may not have heard what time it is."""
        if not self._clock.calibrated:
            await self.look()

    async def look(self) -> None:
        """Never raises for Redis' sake."""
        try:
            pipeline = self._client.pipeline(transaction=False)
            pipeline.get(bus.CLOCK_KEY)
            pipeline.time()
            sent = self._clock.monotonic()
            lacks, time = await pipeline.execute()
            received = self._clock.monotonic()
        except (redis.RedisError, OSError) as error:
            if not self._away:
                log.warning("Redis does not tell the time", extra={"error": type(error).__name__})
            self._away = True
            return
        self._away = False
        if lacks is not None:
            self._take(bus.ms_of(time) + int(lacks), sent, received)

    def _take(self, told: int, sent: float, received: float) -> None:
        known = self._clock.now_ms() if self._clock.calibrated else told
        slow_ms = (received - sent) * 1000
        self._doubts = self._doubts + 1 if abs(known - told) > MOST_SKEW_MS + slow_ms else 0
        if self._doubts == 0 or self._doubts >= DOUBTS:
            self._doubts = 0
            self._clock.take(told, sent, received)
