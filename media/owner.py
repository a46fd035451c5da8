"""Which session holds a call: one Redis key each, fenced by the part number that the file system handed out.

Redis away: every session goes on with what it has. Two sessions of one call (its socket came back to another process)
then write parts of their own, which finish_call joins; nothing is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec
import redis
import redis.asyncio

from shared import bus

BATCH = 50
"""Keys renewed in one round trip: under a millisecond of the loop at a time."""
_CLAIM = """
local held = redis.call('GET', KEYS[1])
if held then
  local owner = cjson.decode(held)
  if tonumber(owner.part) > tonumber(ARGV[2]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
"""
"""Takes or renews the key unless a higher part has it."""

_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""

log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()


class Owners:
    """The calls that this process holds."""

    def __init__(self, client: redis.asyncio.Redis, process: str) -> None:
        self._client = client
        self._process = process
        self._held: dict[str, tuple[int, Callable[[], None]]] = {}
        self._away = False
        self._claim = client.register_script(_CLAIM)
        self._release = client.register_script(_RELEASE)

    async def take(self, uuid: str, part: int, on_lost: Callable[[], None]) -> None:
        """Holds the call from now on, and tells whoever held it. ``on_lost`` is called if a later session takes it."""
        self._held[uuid] = (part, on_lost)
        await self.renew([uuid])
        hint = _encoder.encode(bus.Hint(type="owner", part=part))
        try:
            await self._client.publish(bus.call_channel(uuid), hint)
        except (redis.RedisError, OSError) as error:
            self._note_away(error)

    def lost_to(self, uuid: str, part: int) -> None:
        """A hint: session ``part`` says that it took the call."""
        held = self._held.get(uuid)
        if held is not None and part > held[0]:
            self._lose(uuid)

    async def release(self, uuid: str, part: int) -> None:
        """Session ``part`` of the call is over. A later one that lives here keeps the call."""
        if self._held.get(uuid, (None,))[0] != part:
            return
        del self._held[uuid]
        try:
            await self._release(keys=[bus.owner_key(uuid)], args=[self._value(part)])
        except (redis.RedisError, OSError):
            return  # it expires by itself

    async def run(self) -> None:
        """Renews every key in time, for ever."""
        while True:
            await asyncio.sleep(bus.OWNER_RENEW_SECONDS)
            await self.renew(list(self._held))

    async def renew(self, uuids: Sequence[str]) -> None:
        """Takes the keys of these calls anew, BATCH in one round trip; a call that a later session has is lost."""
        for start in range(0, len(uuids), BATCH):
            held = [(uuid, self._held[uuid][0]) for uuid in uuids[start : start + BATCH] if uuid in self._held]
            if not held:
                continue
            try:
                async with self._client.pipeline(transaction=False) as pipeline:
                    for uuid, part in held:
                        arguments: list[bytes | int] = [self._value(part), part, bus.OWNER_TTL_MS]
                        await self._claim(keys=[bus.owner_key(uuid)], args=arguments, client=pipeline)
                    kept = await pipeline.execute()
            except (redis.RedisError, OSError) as error:
                self._note_away(error)
                return
            self._away = False
            for (uuid, part), answer in zip(held, kept, strict=True):
                if not answer and self._held.get(uuid, (None,))[0] == part:
                    self._lose(uuid)

    def _note_away(self, error: Exception) -> None:
        if not self._away:
            log.warning("Redis is away; nobody is told who holds which call", extra={"error": type(error).__name__})
        self._away = True

    def _lose(self, uuid: str) -> None:
        _, on_lost = self._held.pop(uuid)
        log.info("a later session took the call", extra={"uuid": uuid})
        on_lost()

    def _value(self, part: int) -> bytes:
        return _encoder.encode(bus.Owner(process=self._process, part=part))
