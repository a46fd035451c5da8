"""How the text of a setting becomes its value. Every parser raises ValueError, which says what was expected."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)?")
LONGEST_SECONDS = 366 * 86400.0
"""Beyond this a duration is a slip of the keyboard."""
_CALLER = re.compile(r"\+?[0-9]{3,20}")
_COUNTRY = re.compile(r"[1-9][0-9]{0,2}")
_WHOLE = re.compile(r"[0-9]{1,9}")
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


@dataclass(frozen=True)
class Caller:
    """A number we call from: how many calls at once, how many new ones a second, and how many a day it may have."""

    number: str
    concurrency: int = 30
    cps: float = 10.0
    daily: int = 0
    """Most calls a day in the configured zone; 0: no limit."""


def duration(text: str) -> float:
    """Seconds in ``500ms``, ``30s``, ``10m``, ``2h``, ``1d``; a bare number is seconds. Raises ValueError."""
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match.group(1)) * _UNITS[match.group(2) or "s"] if match else LONGEST_SECONDS + 1
    if seconds > LONGEST_SECONDS:
        raise ValueError(f"expected a duration of at most a year, such as 500ms, 30s, 10m or 2h, got {text[:40]!r}")
    return seconds


def durations(text: str) -> tuple[float, ...]:
    return tuple(duration(part) for part in text.split(",") if part.strip())


def boolean(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered not in _TRUE + _FALSE:
        raise ValueError(f"expected 1 or 0 (true/false, yes/no, on/off), got {text!r}")
    return lowered in _TRUE


def positive(text: str) -> int:
    if not _WHOLE.fullmatch(text.strip()) or int(text) == 0:
        raise ValueError(f"expected a whole number above 0, got {text[:40]!r}")
    return int(text)


def country_code(text: str) -> str:
    """The digits of a country's calling code, without +. Raises ValueError."""
    code = text.strip().removeprefix("+")
    if not _COUNTRY.fullmatch(code):
        raise ValueError(f"expected a country's calling code such as 86, got {text[:40]!r}")
    return code


def limit(text: str) -> int | None:
    """A whole number above 0, None for the empty text: no limit. Raises ValueError."""
    return positive(text) if text.strip() else None


def words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def choice(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.strip() not in allowed:
            raise ValueError(f"expected one of {', '.join(name or '(empty)' for name in allowed)}, got {text!r}")
        return text.strip()

    return parse


def zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text.strip())
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"expected a time zone such as Asia/Shanghai, got {text!r}") from error


def callers(text: str) -> tuple[Caller, ...]:
    callers = tuple(_caller(part) for part in text.split(";") if part.strip())
    if not callers:
        raise ValueError("expected at least one number, such as 057128167421:concurrency=30,cps=10")
    if len({caller.number for caller in callers}) < len(callers):
        raise ValueError("expected each number once")
    return callers


def _caller(text: str) -> Caller:
    number, _, limits = text.strip().partition(":")
    values: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in limits.split(","))):
        name, _, value = item.partition("=")
        values[name.strip()] = value.strip()
    unknown = set(values) - {"concurrency", "cps", "daily"}
    if unknown or not _CALLER.fullmatch(number):
        raise ValueError(f"expected NUMBER:concurrency=30,cps=10, got {text.strip()!r}")
    cps = float(values.get("cps", "10"))
    if not 0 < cps < 10_000:
        raise ValueError(f"expected cps above 0, got {cps}")
    daily = positive(values["daily"]) if values.get("daily", "0") != "0" else 0
    return Caller(number, positive(values.get("concurrency", "30")), cps, daily)


def assignments(text: str, names: tuple[str, ...]) -> dict[str, str]:
    """``failures=5,within=30s`` by name; each of ``names`` exactly once. Raises ValueError."""
    pairs = [part.partition("=") for part in text.split(",")]
    values = {name.strip(): value.strip() for name, _, value in pairs}
    if len(pairs) != len(names) or set(values) != set(names):
        raise ValueError(f"expected {','.join(f'{name}=…' for name in names)}, got {text.strip()[:60]!r}")
    return values


def listen(text: str) -> tuple[str, int]:
    host, _, port = text.strip().rpartition(":")
    if not host or not _WHOLE.fullmatch(port) or not 0 < int(port) < 65536:
        raise ValueError(f"expected HOST:PORT, got {text!r}")
    return host.strip("[]"), int(port)


_ENCODED = "; in a password write @ as %40, : as %3A, / as %2F, # as %23, ? as %3F and % as %25"


def url(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        stripped = text.strip().rstrip("/")
        if stripped and not _is_url(stripped, schemes):
            wanted = " or ".join(scheme + "://" for scheme in schemes)
            raise ValueError(f"expected a URL beginning with {wanted}, with its host and port if any{_ENCODED}")
        if urlsplit(stripped).netloc.count("@") > 1:
            raise ValueError(f"expected at most one @ before the host{_ENCODED}")
        return stripped

    return parse


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    """Whether ``text`` is a URL that can be connected to. It may hold a password, so nobody is shown it."""
    try:
        parts = urlsplit(text)
        host = parts.netloc or (parts.path if parts.scheme in ("sqlite", "unix") else "")
        return parts.scheme in schemes and bool(host) and parts.port != 0
    except ValueError:
        return False


def host_of(url: str) -> str:
    """In small letters, without the port; "" if there is none, as in the Origin ``null``."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
