"""How often one customer's number may be called: FREQUENCY_CAP. Pure; times are milliseconds since 1970."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from shared.values import duration

_LIMIT = re.compile(r"([1-9]\d{0,3})\s*/\s*(\S+)")


class Limit(NamedTuple):
    """At most ``attempts`` in any ``span_ms`` that end now."""

    attempts: int
    span_ms: int


Cap = tuple[Limit, ...]


def parse_cap(text: str) -> Cap:
    """``2/1d,5/7d``: two in 24 hours and five in seven days; empty: no cap. Raises ValueError."""
    limits = []
    for part in (part.strip() for part in text.split(",")) if text.strip() else ():
        match = _LIMIT.fullmatch(part)
        span = duration(match[2]) if match else 0
        if match is None or span <= 0:
            raise ValueError(f"expected how often in which time, such as 2/1d,5/7d, got {part[:40]!r}")
        limits.append(Limit(int(match[1]), round(span * 1000)))
    return tuple(limits)


def longest(cap: Cap) -> int:
    """How far back attempts count, in milliseconds; 0 without a cap."""
    return max((limit.span_ms for limit in cap), default=0)


def free_at(cap: Cap, attempts: Sequence[int], now: int) -> int | None:
    """When the number may be called again, after attempts at these times; None: it may be called now.

    An attempt leaves the span exactly ``span_ms`` after it was made. The answer is the earliest moment at which no
    limit is reached any more.
    """
    ends = []
    for limit in cap:
        inside = sorted((at for at in attempts if at > now - limit.span_ms), reverse=True)
        if len(inside) >= limit.attempts:
            ends.append(inside[limit.attempts - 1] + limit.span_ms)
    return max(ends, default=None)
