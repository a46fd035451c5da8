"""Redis: key and channel names, and what is said under them. Redis holds only what may be lost (design, section 2).

Every message is a hint whose truth can be read again. Keys expire by themselves; nothing here is ever the only copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
import redis
import redis.asyncio

LIVE_CHANNEL = "waihu:live"
"""What happens in calls now, for the live view."""
MEDIA_KEY = "waihu:media"
"""Hash: media process id -> Heartbeat."""
HEARTBEAT_SECONDS = 2.0
HEARTBEAT_TTL_MS = 8_000
"""A process that was silent for so long counts as gone: four heartbeats, above any stall seen."""
LEASES_KEY = "waihu:room:leases"
"""Sorted set: uuid of each call that has room, from before it is dialled until it has ended -> when that expires, in
milliseconds of the Redis server's clock. Written by the workers alone."""
CLOCK_KEY = "waihu:clock"
"""What must be added to the Redis server's clock to have the house's, in milliseconds: the database keeps the time, and
media has none. Written by the workers before they grant room, and again with each sweep and each briefing that is asked for."""
CLOCK_TTL_SECONDS = 600
"""A Redis whose clock is put right while no worker looks is believed no longer."""
SKEW_PREFIX = "waihu:skew:"
"""And a worker's host: how far that host's own clock is ahead of the house's, if it is wrong. For ``waihu doctor``."""
SKEW_TTL_SECONDS = 300
"""Above the time in which each of a dozen workers has swept."""
BRIEFING_TTL_SECONDS = 4 * 3600
"""Longer than any call may ring and last."""
OWNER_TTL_MS = 10_000
OWNER_RENEW_SECONDS = 3.0
"""Three chances to renew before a call counts as held by nobody."""
CONNECT_TIMEOUT_SECONDS = 1.0
ASYNC_CONNECTIONS = 50
"""Of one media process to Redis at most: commands take a fraction of a millisecond, and a call makes a handful."""
COMMAND_TIMEOUT_SECONDS = 2.0
"""Redis answers within a millisecond or is down; whoever asks must not hang with it."""


def briefing_key(identity: str) -> str:
    """``identity``: our uuid or the phone system's call_id; the briefing is written under both."""
    return f"waihu:briefing:{identity}"


def owner_key(uuid: str) -> str:
    return f"waihu:owner:{uuid}"


def call_channel(uuid: str) -> str:
    """Workers to media: hints for the session that holds the call."""
    return f"waihu:call:{uuid}"


class Briefing(msgspec.Struct, frozen=True, kw_only=True):
    """All that media needs to know of a call."""

    uuid: str
    call_id: str
    batch_id: int
    created_at: int
    caller: str
    number: str
    ticket_no: str
    username: str
    ticket_type: str
    ticket_content: str
    stop_asked: bool = False


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Which session holds a call: its process, and its part number, which fences off earlier ones."""

    process: str
    part: int


class Hint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """On a call's channel. ``hangup`` and ``stopped``: end the call; ``briefing``: read it again; ``owner``: part ``part`` took over."""

    type: Literal["hangup", "stopped", "briefing", "owner"]
    reason: str = ""
    part: int = 0


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """One media process: how many sessions it can take, how many it has, of those how many are phone calls.

    ``at``: when, by the Redis server's clock, by which it is judged too. ``skew_ms``: how far its host's own clock is ahead
    of the house's; None while it does not know.
    """

    at: int
    capacity: int
    sessions: int
    phone_sessions: int
    draining: bool
    listen: str
    skew_ms: int | None = None
    recording: bool = True
    """False: its disk takes no recording now, and a call that comes to it is hung up."""
    speech: bool = True
    """False: a speech provider does not work for it now, and a call that comes to it ends with an apology at best."""
    place: str = ""
    """Where ``listen`` is one and the same port (media.relief); "": an older version, which does not say."""

    @property
    def fit(self) -> bool:
        """Whether whoever is called for it now would be talked with, and recorded."""
        return self.recording and self.speech


_heartbeats = msgspec.json.Decoder(Heartbeat)


def heartbeats(client: redis.Redis, now_ms: int | None = None) -> list[Heartbeat]:
    """Those of the media processes that live, by Redis' own clock unless ``now_ms`` is given. Raises redis.RedisError."""
    pipeline = client.pipeline(transaction=False)
    pipeline.hvals(MEDIA_KEY)
    pipeline.time()
    told, time = pipeline.execute()
    return living(told, ms_of(time) if now_ms is None else now_ms)


def living(told: Iterable[bytes], now_ms: int) -> list[Heartbeat]:
    """Those of MEDIA_KEY's values that are not older than HEARTBEAT_TTL_MS; what cannot be read is passed over."""
    found = []
    for raw in told:
        try:
            beat = _heartbeats.decode(raw)
        except msgspec.DecodeError:
            continue
        if now_ms - beat.at <= HEARTBEAT_TTL_MS:
            found.append(beat)
    return found


def none_fit(beats: Iterable[Heartbeat]) -> bool:
    """Whether there are media processes, and whoever is called now would not be talked with, or not recorded, by any."""
    fit = [beat.fit for beat in beats]
    return bool(fit) and not any(fit)


class LiveEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """On the live channel: an Active Call event of one call, without speech unless the watcher may have it."""

    uuid: str
    at: int
    event: str
    data: dict[str, object] = {}


def ms_of(time: Sequence[int]) -> int:
    """What TIME answers, in milliseconds since 1970."""
    seconds, microseconds = time
    return int(seconds) * 1000 + int(microseconds) // 1000


def open_redis(url: str) -> redis.Redis:
    """A client with bounded waits; it connects when first used. Commands raise redis.RedisError when Redis is away."""
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        socket_timeout=COMMAND_TIMEOUT_SECONDS,
        health_check_interval=30,
    )


def open_async_redis(url: str) -> redis.asyncio.Redis:
    """As open_redis, for asyncio. When all connections are in use, a command waits for one as long as for an answer:
    a hundred calls that are answered at once are no reason to take Redis for away."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url,
        max_connections=ASYNC_CONNECTIONS,
        timeout=COMMAND_TIMEOUT_SECONDS,
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        socket_timeout=COMMAND_TIMEOUT_SECONDS,
        health_check_interval=30,
    )
    return redis.asyncio.Redis.from_pool(pool)
