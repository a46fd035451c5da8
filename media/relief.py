"""Who takes over from a process that leaves: another one that listens on its port and stays.

Processes that share a port get new sockets by lot, and the kernel knows nothing of draining. So a process that leaves
stops listening as soon as another is there to take what comes, or its own calls would never end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from pathlib import Path
from typing import Protocol

import redis
import redis.asyncio

from media.registry import headroom
from shared import bus

LOOK_SECONDS = 0.5
"""How often a process that drains looks who else is there."""
KNOCK_SECONDS = 1.0
"""A listener on this host takes a connection at once, or there is none."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NETWORK = Path("/proc/self/ns/net")

log = logging.getLogger(__name__)


def place() -> str:
    """Where a port number means the same port: this boot of this machine and, within it, this network namespace.

    A host's name says neither: containers with a network of their own may have one name, and those of one network
    several. It stands in where the kernel does not tell.
    """
    try:
        return f"{_BOOT.read_text(encoding='ascii').strip()} {os.readlink(_NETWORK)}"
    except OSError:
        return socket.gethostname()


async def others(client: redis.asyncio.Redis, process: str) -> list[bus.Heartbeat]:
    """The media processes that live besides ``process``. Raises RedisError."""
    pipeline = client.pipeline(transaction=False)
    pipeline.hgetall(bus.MEDIA_KEY)
    pipeline.time()
    told, time = await pipeline.execute()
    return bus.living([raw for name, raw in told.items() if name != process.encode()], bus.ms_of(time))


class Port(Protocol):
    """media.server.MediaServer, as far as it is listened to."""

    @property
    def listening(self) -> bool:
        """Whether new sockets may come."""

    async def listen(self) -> None:
        """Listens, if it does not yet. Raises OSError."""

    async def stand_down(self) -> None:
        """Listens no more, if it does; whoever has knocked is let in, and who is connected stays."""

    async def quiet(self) -> None:
        """Returns when no socket is left."""


class Relief:
    """One process's, while it drains."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        process: str,
        listen: tuple[str, int],
        port: Port,
    ) -> None:
        """``process``: its name; ``listen``: host and port, as all who share them are told."""
        self.port = port
        self._client = client
        self._process = process
        self._listen = listen
        self._place = place()
        self._turn = asyncio.Lock()
        self._troubled = False

    async def run(self) -> None:
        """Looks again and again, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> bool:
        """Stops listening if another process is there for new calls, and begins again if none is. Whether one is."""
        async with self._turn:
            try:
                relieved = await self._relieved()
                if relieved and self.port.listening:
                    log.info("media listens no more: another process takes new calls at this port")
                    await self.port.stand_down()
                elif not relieved and not self.port.listening:
                    log.warning("media listens again: no other process takes new calls at this port")
                    await self.port.listen()
                self._troubled = False
            except (redis.RedisError, OSError) as error:
                if not self._troubled:
                    log.warning("cannot tell who takes new calls", extra={"error": type(error).__name__})
                self._troubled = True
            return not self.port.listening

    async def _relieved(self) -> bool:
        """Raises RedisError while this process listens, and nobody can tell."""
        if self.port.listening:
            return any(beat.sessions < beat.capacity for beat in await self._neighbours())
        if not await self._somebody_listens():  # a process that was killed beats on for eight seconds
            return False
        try:  # not at the capacity: what it exceeds comes and goes with every call, and we would with it
            return any(beat.sessions < beat.capacity + headroom(beat.capacity) for beat in await self._neighbours())
        except redis.RedisError:
            return True

    async def _neighbours(self) -> list[bus.Heartbeat]:
        """Those who stay, at this port of this host. An older version does not say where it is."""
        host, port = self._listen
        here = (self._place, f"{host}:{port}")
        beats = await others(self._client, self._process)
        return [beat for beat in beats if not beat.draining and (beat.place, beat.listen) == here]

    async def _somebody_listens(self) -> bool:
        try:
            async with asyncio.timeout(KNOCK_SECONDS):
                _, writer = await asyncio.open_connection(*self._listen)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True
