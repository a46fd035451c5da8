"""The phone system's circuit breaker as everybody sees it: its setting, and what stands in Redis. ``workers`` act on it.

It counts startcalls that could not leave, were not answered readably, or were refused, one after another; a placed
call ends the count, and what becomes of a placed call is no concern of it. Open: nothing is dialled for a while. Then
one call tries: placed, and the breaker closes; otherwise it rests again.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

import redis

from shared.bus import ms_of
from shared.values import assignments, duration, positive

BREAKER_KEY = "waihu:breaker"
"""A hash: ``streak``, ``since`` (of the streak), ``until`` (present while it is not closed), ``probe`` (the trying call
must be done by then), ``cause``. It may be lost: a wiped Redis forgets that the phone system is down, which costs as many
calls as it takes to learn it again, and those could not leave or are told apart by the lifecycle as ever."""


@dataclass(frozen=True)
class BreakerRule:
    """``failures`` in a row, the first not longer ago than ``within_ms``: nothing is dialled for ``rest_ms``."""

    failures: int
    within_ms: int
    rest_ms: int


class Standing(enum.StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    """The rest is over, and one call may try."""
    TRYING = "trying"
    """One call is trying."""


@dataclass(frozen=True)
class BreakerView:
    """``until``: when the rest ends or the try must be done, if it is not closed."""

    standing: Standing = Standing.CLOSED
    cause: str = ""
    until: int | None = None


def parse_breaker(text: str) -> BreakerRule | None:
    """``failures=5,within=30s,rest=15s``; empty: there is no breaker. Raises ValueError that says what was expected."""
    if not text.strip():
        return None
    values = assignments(text, ("failures", "within", "rest"))
    rule = BreakerRule(
        positive(values["failures"]),
        round(duration(values["within"]) * 1000),
        round(duration(values["rest"]) * 1000),
    )
    if not rule.within_ms or not rule.rest_ms:
        raise ValueError("expected within and rest to last")
    return rule


def view(stored: Mapping[bytes, bytes], now: int) -> BreakerView:
    """What the hash at BREAKER_KEY says at this moment of its writer's clock, which is the Redis server's."""
    until, probe = (int(float(stored.get(name, b"0"))) for name in (b"until", b"probe"))
    cause = stored.get(b"cause", b"").decode()
    if not until:
        return BreakerView()
    if until > now:
        return BreakerView(Standing.OPEN, cause, until)
    return BreakerView(Standing.TRYING, cause, probe) if probe > now else BreakerView(Standing.HALF_OPEN, cause, until)


def look(client: redis.Redis) -> BreakerView:
    """How it stands now. Raises redis.RedisError."""
    pipeline = client.pipeline(transaction=False)
    pipeline.hgetall(BREAKER_KEY)
    pipeline.time()
    stored, time = pipeline.execute()
    return view(stored, ms_of(time))
