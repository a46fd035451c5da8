"""How times are printed: everything is stored as milliseconds since 1970 in UTC and shown in one configured zone."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo


def printed(at: int | None, zone: ZoneInfo) -> str:
    """``yyyy-MM-dd HH:mm:ss`` as the call-center document writes it; "" for a time that never came."""
    return "" if at is None else f"{datetime.fromtimestamp(at / 1000, zone):%Y-%m-%d %H:%M:%S}"


def iso(at: int | None, zone: ZoneInfo) -> str | None:
    """ISO 8601 with milliseconds and offset, for ``/api/v1``."""
    return None if at is None else datetime.fromtimestamp(at / 1000, zone).isoformat(timespec="milliseconds")
