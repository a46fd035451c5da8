"""Call ids: 19 digits, ``yyMMddHHmmss`` in the configured zone and seven more, as the document's samples show.

Two processes may draw the same seven digits within one second; the primary key then refuses the second row and the
claim is simply made again, so no coordination is needed.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

_SUFFIXES = 10_000_000
UUID_LENGTH = 19


class CallIds:
    """Draws call ids; one object per process. Not shared between threads without the interpreter's own lock on next()."""

    def __init__(self, zone: ZoneInfo, start: int | None = None) -> None:
        self._zone = zone
        self._suffixes: Iterator[int] = itertools.count(secrets.randbelow(_SUFFIXES) if start is None else start)

    def draw(self, now_ms: int) -> str:
        """A new id for a call created at ``now_ms`` (milliseconds since 1970, UTC)."""
        moment = datetime.fromtimestamp(now_ms / 1000, self._zone)
        return f"{moment:%y%m%d%H%M%S}{next(self._suffixes) % _SUFFIXES:07d}"


def is_call_uuid(text: str) -> bool:
    """Whether ``text`` has the form of our ids; safe to use in a file's name then."""
    return len(text) == UUID_LENGTH and text.isascii() and text.isdigit()
