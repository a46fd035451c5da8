"""How many requests a key may send: a token bucket for each, shared by all processes through Redis.

A key that was quiet may send a minute's worth at once; after that they come back one by one. While Redis is away each
process counts for itself: a limit that is too generous for a while, and no request that fails for want of a counter.
"""

from __future__ import annotations

import logging
import math
import threading
from typing import cast

import redis

from shared.clock import Clock

KEY = "waihu:rate:{}"
AWAY_SECONDS = 5.0
"""After Redis failed it is left alone for so long: each try may cost its whole time-out."""
MOST_BUCKETS = 10_000
"""In this process while Redis is away; far above the keys that may exist."""

_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local rate = tonumber(ARGV[1])
local held = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = math.min(rate, (tonumber(held[1]) or rate) + math.max(0, now - (tonumber(held[2]) or now)) * rate / 60000)
local wait = 0
if tokens >= 1 then tokens = tokens - 1 else wait = math.ceil((1 - tokens) * 60000 / rate) end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', now)
redis.call('PEXPIRE', KEYS[1], 120000)
return wait
"""

log = logging.getLogger(__name__)


class RateLimiter:
    """One process's. Safe from several threads."""

    def __init__(self, client: redis.Redis, clock: Clock) -> None:
        self._take = client.register_script(_TAKE)
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}
        self._away_until = -math.inf

    def take(self, identity: str, rate: int) -> int:
        """Counts one request of ``rate`` a minute: 0 if it may pass, else whole seconds until one may."""
        if self._clock.monotonic() >= self._away_until:
            try:
                wait_ms = cast("int", self._take(keys=[KEY.format(identity)], args=[rate]))
                return math.ceil(wait_ms / 1000)
            except redis.RedisError as error:
                log.warning("Redis is away; requests are counted here", extra={"error": type(error).__name__})
                self._away_until = self._clock.monotonic() + AWAY_SECONDS
        return self._take_here(identity, rate)

    def _take_here(self, identity: str, rate: int) -> int:
        with self._lock:
            now = self._clock.monotonic()
            if len(self._buckets) >= MOST_BUCKETS:
                self._buckets.clear()
            tokens, at = self._buckets.get(identity, (float(rate), now))
            tokens = min(rate, tokens + (now - at) * rate / 60)
            wait = 0 if tokens >= 1 else math.ceil((1 - tokens) * 60 / rate)
            self._buckets[identity] = (tokens - 1 if wait == 0 else tokens, now)
            return wait
