"""A process on a host whose wall clock is wrong: Python imports this by itself, before anything else, where it is on the path.

Nothing of it is in the product. FAULT_CLOCK names a file that holds by how many seconds the clock is ahead; it is read
again and again, so that a test may also set the clock of a process that runs. The monotonic clock stays as it is.
"""

from __future__ import annotations

import datetime
import os
import time
from pathlib import Path
from typing import Any

LOOK_SECONDS = 0.1

_file = Path(os.environ["FAULT_CLOCK"])
_true_time, _true_time_ns, _monotonic, _true = time.time, time.time_ns, time.monotonic, datetime.datetime
_seen = (-LOOK_SECONDS, 0.0)


def _ahead() -> float:
    global _seen
    now = _monotonic()
    if now - _seen[0] >= LOOK_SECONDS:
        _seen = (now, float(_file.read_text() or _seen[1]))
    return _seen[1]


class _Kind(type):
    """The class that stands in the place of datetime makes true ones, and takes them for its own."""

    def __call__(cls, *args: Any, **kwargs: Any) -> datetime.datetime:
        if cls is _Shifted:
            return _true(*args, **kwargs)
        made: datetime.datetime = super().__call__(*args, **kwargs)
        return made

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _true) if cls is _Shifted else super().__instancecheck__(value)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, _true) if cls is _Shifted else super().__subclasscheck__(other)


class _Shifted(_true, metaclass=_Kind):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
        return _true.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls) -> datetime.datetime:  # type: ignore[override]
        return _true.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> datetime.datetime:  # type: ignore[override]
        return cls.now()


time.time = lambda: _true_time() + _ahead()
time.time_ns = lambda: _true_time_ns() + round(_ahead() * 1e9)
datetime.datetime = _Shifted  # type: ignore[misc]
