"""Phones that ring for a house whose last media process is leaving: who answers must find somebody there."""

from __future__ import annotations

import asyncio
import logging

import redis
import redis.asyncio

from media.registry import Registry
from media.relief import others
from shared import bus

LOOK_SECONDS = 0.5
"""How often a process that drains looks whether a phone still rings."""

log = logging.getLogger(__name__)


class Ringing:
    """Knows, as far as Redis tells, whether an audio socket may still come that only this process can take."""

    def __init__(self, client: redis.asyncio.Redis, registry: Registry, process: str) -> None:
        """``registry`` and ``process``: this process's sessions and its name."""
        self._client = client
        self._registry = registry
        self._process = process

    async def over(self) -> None:
        """Returns when no phone rings whose audio must come here; never while Redis is away: then nobody can tell."""
        away = False
        while True:
            try:
                if not await self._expected():
                    return
                away = False
            except (redis.RedisError, OSError) as error:
                if not away:
                    log.warning("cannot tell whether phones ring", extra={"error": type(error).__name__})
                away = True
            await asyncio.sleep(LOOK_SECONDS)

    async def _expected(self) -> bool:
        """Calls have room for which no media process has a session, and no other takes new ones. Raises RedisError."""
        now = bus.ms_of(await self._client.time())
        leases = await self._client.zcount(bus.LEASES_KEY, f"({now}", "+inf")
        beats = await others(self._client, self._process)
        if any(not beat.draining and beat.sessions < beat.capacity for beat in beats):
            return False
        return bool(leases > self._registry.phone_sessions + sum(beat.phone_sessions for beat in beats))
