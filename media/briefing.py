"""What a call is about: from Redis, or from a worker that is asked to write it there."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

import msgspec
import redis
import redis.asyncio

from media.bell import Bell
from media.timekeeping import Timekeeper
from shared import bus, doorbell
from shared.errors import BriefingMissing

WAIT_SECONDS = 5.0
"""How long a socket waits for its call to be known (reading.md, "Phone system")."""
FIRST_LOOK = 0.05
LONGEST_LOOK = 0.4
"""Seconds between looks, doubling: a worker that is free writes a briefing within 20 ms."""

log = logging.getLogger(__name__)
_decoder = msgspec.json.Decoder(bus.Briefing)


class Briefings(Protocol):
    """Who knows."""

    async def find(self, call_id: str) -> bus.Briefing:
        """Raises BriefingMissing after WAIT_SECONDS."""

    async def read(self, identity: str) -> bus.Briefing | None:
        """What Redis has now, by uuid or call_id; None if it has nothing, or is away."""


class RedisBriefings:
    """Implements Briefings."""

    def __init__(self, client: redis.asyncio.Redis, bell: Bell, timekeeper: Timekeeper) -> None:
        self._client = client
        self._bell = bell
        self._timekeeper = timekeeper

    async def find(self, call_id: str) -> bus.Briefing:
        """See Briefings. A worker is asked as soon as the first look finds nothing, and told of the audio when it knows."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                briefing = await self._wait_for(call_id)
                await self._timekeeper.known()
                return briefing
        except TimeoutError as error:
            raise BriefingMissing(f"no worker knew call {call_id} within {WAIT_SECONDS:g} s") from error

    async def read(self, identity: str) -> bus.Briefing | None:
        """See Briefings."""
        try:
            held = await self._client.get(bus.briefing_key(identity))
        except (redis.RedisError, OSError) as error:
            log.warning("a briefing could not be read", extra={"error": type(error).__name__})
            return None
        if held is None:
            return None
        try:
            return _decoder.decode(held)
        except msgspec.DecodeError:
            log.warning("a briefing is not as it should be", extra={"identity": identity})
            return None

    async def _wait_for(self, call_id: str) -> bus.Briefing:
        look = FIRST_LOOK
        asked = False
        while (briefing := await self.read(call_id)) is None:
            if not asked:
                self._bell.ring(doorbell.BRIEF, call_id)
                asked = True
            await asyncio.sleep(look)
            look = min(LONGEST_LOOK, look * 2)
        if asked:  # it was unknown when its first frame was told of: that it is answered would come out at its end only
            self._bell.ring(doorbell.AUDIO_STARTED, call_id)
        return briefing
