"""How many sessions this process has and may have, counted in the moment in which one is let in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Literal

import msgspec
import redis
import redis.asyncio

from shared import bus
from shared.clock import Clock

HEADROOM_SHARE = 0.1
HEADROOM_LEAST = 8
"""Places above the capacity for phone calls alone: calls that were dialled when there was room and are answered now.
A customer who has picked up is not turned away for a rounding error between two processes."""
MAX_LOOK_UPS = 256
"""Phone calls that are being looked up at once. They take no session's place: sockets for calls that nobody knows wait
for seconds, and must not keep out a customer whose call is known. 256 KiB each at the most (media.legs.door)."""

Kind = Literal["phone", "session"]

log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()


def headroom(capacity: int) -> int:
    """Places for answered customers beyond ``capacity``."""
    return max(HEADROOM_LEAST, int(capacity * HEADROOM_SHARE))


class Registry:
    """Counts; keeps no session itself."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.draining = False
        self.recordable = True
        """Whether a new call could be recorded (media.shelf): if not, none is to be placed for this process."""
        self.conversable = True
        """Whether a new call could be talked with (media.speech.standing): if not, none is to be placed either."""
        self.refused = 0
        """How many were turned away."""
        self.admitted = 0
        """How many were let in since the start."""
        self._looked_up = 0
        self._held: dict[Kind, int] = {"phone": 0, "session": 0}
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def sessions(self) -> int:
        """All that were let in and not let out."""
        return sum(self._held.values())

    @property
    def phone_sessions(self) -> int:
        """Those of them that are phone calls."""
        return self._held["phone"]

    def admit(self, kind: Kind) -> bool:
        """Takes a place, or says that there is none. A draining process takes no session, yet answered phones."""
        limit = self.capacity + headroom(self.capacity) if kind == "phone" else self.capacity
        if self.sessions >= limit or (self.draining and kind != "phone"):
            self.refused += 1
            return False
        self._held[kind] += 1
        self.admitted += 1
        self._empty.clear()
        return True

    def release(self, kind: Kind) -> None:
        """Gives a place back. Raises ValueError if none was taken."""
        if self._held[kind] <= 0:
            raise ValueError(f"expected a place of kind {kind} that was taken, got none")
        self._held[kind] -= 1
        self._note_empty()

    def begin_look_up(self) -> bool:
        """A phone call is looked up before it is let in; False if MAX_LOOK_UPS are."""
        if self._looked_up >= MAX_LOOK_UPS:
            self.refused += 1
            return False
        self._looked_up += 1
        self._empty.clear()
        return True

    def end_look_up(self) -> None:
        """It is known, and was let in, or it is not."""
        self._looked_up -= 1
        self._note_empty()

    def _note_empty(self) -> None:
        if not self.sessions and not self._looked_up:
            self._empty.set()

    async def empty(self) -> None:
        """Returns when no session is left, and no call is being looked up."""
        await self._empty.wait()


class Heart:
    """Tells the workers every two seconds how much room there is (bus.MEDIA_KEY)."""

    def __init__(
        self, client: redis.asyncio.Redis, registry: Registry, clock: Clock, process: str, listen: str, place: str = ""
    ) -> None:
        """``listen``: host and port; ``place``: where they are one and the same for all (media.relief)."""
        self._client = client
        self._registry = registry
        self._clock = clock
        self._process = process
        self._listen = listen
        self._place = place
        self._away = False

    async def run(self) -> None:
        """Beats, for ever."""
        while True:
            await self.beat()
            await asyncio.sleep(bus.HEARTBEAT_SECONDS)

    async def beat(self) -> None:
        """One heartbeat; Redis away is logged."""
        await self._say(self._beat)

    async def _beat(self) -> None:
        beat = bus.Heartbeat(
            at=bus.ms_of(await self._client.time()),
            capacity=self._registry.capacity,
            sessions=self._registry.sessions,
            phone_sessions=self._registry.phone_sessions,
            draining=self._registry.draining,
            listen=self._listen,
            skew_ms=self._clock.skew_ms(),
            recording=self._registry.recordable,
            speech=self._registry.conversable,
            place=self._place,
        )
        await self._client.hset(bus.MEDIA_KEY, self._process, _encoder.encode(beat))

    async def stop(self) -> None:
        """This process is no more."""
        await self._say(lambda: self._client.hdel(bus.MEDIA_KEY, self._process))

    async def _say(self, command: Callable[[], object]) -> None:
        try:
            await command()  # type: ignore[misc]
            self._away = False
        except (redis.RedisError, OSError) as error:
            if not self._away:
                log.warning("heartbeats are not told", extra={"error": type(error).__name__})
            self._away = True
