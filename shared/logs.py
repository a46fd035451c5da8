"""Logging for every process: constant text plus fields, as text or JSON, with numbers and secrets masked.

Whatever a line says and wherever it was logged, library or ours, it passes through ``Mask`` before it is written: no
phone number in full and no secret of the settings leaves in it (design, section 5, promise 6).
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from typing import Any, TextIO
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from celery.signals import setup_logging

from shared import numbers
from shared.errors import database_kind
from shared.ids import is_call_uuid
from shared.settings import Settings
from shared.visible import UNSEEN, visible, visible_json

HIDDEN = "********"
SHORTEST_SECRET = 4
"""Masking a shorter one would blacken every line and hide nothing that could not be guessed."""
_QUIET = {
    "httpcore2": logging.WARNING,
    "httpx2": logging.WARNING,
    "websockets": logging.WARNING,
    "alembic": logging.WARNING,
}
"""Libraries that tell too much: headers, whole frames, every migration step."""

_PHONE_FIELDS = frozenset({"phone", "number", "callee", "caller", "telephone", "mobile", "tel"})
_NAMED = re.compile(
    r"((?:phone|number|callee|caller|telephone|mobile|tel|电话|号码)[\"'\s:=：]{1,4})(\+?\d{7,24})(?!\d)", re.IGNORECASE
)
_BARE = re.compile(
    r"(?<![0-9a-fA-F])(?<![0-9]\.)"
    r"(?:(?:\+|00)?86[- ]?)?(?:1[3-9]\d[- ]?\d{4}[- ]?\d{4}|0\d{2,3}-\d{7,8})(?![0-9a-zA-Z])"
    r"|(?<![0-9a-fA-F])(?<![0-9]\.)(?:\+\d{7,15}|0\d{9,16})(?![0-9a-zA-Z])"
)
"""Mobile numbers, landlines with their area code, anything international; never our 19 digits, never a time in ms."""
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PLAIN = re.compile(r"[^\s\"'=]+")


class Mask:
    """Hides phone numbers, and the secrets it was given."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({secret for secret in secrets if len(secret) >= SHORTEST_SECRET}, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, known))) if known else None

    def text(self, text: str) -> str:
        """``text`` without them."""
        if self._secrets is not None:
            text = self._secrets.sub(HIDDEN, text)
        return _BARE.sub(lambda match: numbers.mask(match[0]), _NAMED.sub(_masked_field, text))

    def field(self, name: str, value: Any) -> Any:
        """One extra field's value: numbers, booleans and null as they are, all else as masked text."""
        if name in _PHONE_FIELDS:
            return numbers.mask(str(value))
        return value if isinstance(value, bool | int | float) or value is None else self.text(str(value))


def _masked_field(match: re.Match[str]) -> str:
    return match[0] if is_call_uuid(match[2]) else match[1] + numbers.mask(match[2])


class TextFormatter(logging.Formatter):
    """``2026-11-20 14:00:00.123 INFO worker message key=value``; a traceback follows on lines of its own."""

    def __init__(self, mask: Mask, process: str, zone: ZoneInfo) -> None:
        super().__init__()
        self._mask, self._process, self._zone = mask, process, zone

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, self._zone)
        extras = "".join(f" {name}={_quoted(value)}" for name, value in _extras(record, self._mask).items())
        message = visible(self._mask.text(record.getMessage()))
        line = f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d} {record.levelname} {self._process} {message}{extras}"
        trace = _trace(self, record, self._mask)
        return f"{line}\n{trace}" if trace else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (ISO 8601), level, process, logger, message, the fields, and error if there is one."""

    def __init__(self, mask: Mask, process: str, zone: ZoneInfo) -> None:
        super().__init__()
        self._mask, self._process, self._zone = mask, process, zone

    def format(self, record: logging.LogRecord) -> str:
        document: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, self._zone).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "process": self._process,
            "logger": record.name,
            "message": self._mask.text(record.getMessage()),
        }
        for name, value in _extras(record, self._mask).items():
            document.setdefault(name, value)
        trace = _trace(self, record, self._mask)
        if trace:
            document["error"] = trace
        return visible_json(document)


def configure(settings: Settings, process: str, stream: TextIO | None = None) -> None:
    """Sends every log of this process to ``stream`` (stderr) in the configured format; safe to call again."""
    make = JsonFormatter if settings.log_format == "json" else TextFormatter
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(make(Mask(secrets_of(settings)), process, settings.timezone))
    root = logging.getLogger()
    for former in list(root.handlers):
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(settings.log_level)
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(max(level, root.level))
    logging.captureWarnings(True)


def configure_celery(settings: Settings, process: str) -> None:
    """Has ``configure`` called where Celery would set up its own logging: once connected, Celery leaves the root alone.

    The latest call in a process counts.
    """

    def set_up(**_: Any) -> None:
        configure(settings, process)

    setup_logging.disconnect(dispatch_uid="waihu-logs")  # Celery keeps the first receiver of a uid
    setup_logging.connect(set_up, weak=False, dispatch_uid="waihu-logs")


def secrets_of(settings: Settings) -> list[str]:
    """Every secret that was set: the settings marked so, and the passwords inside URLs."""
    found = []
    for item in fields(settings):
        value = getattr(settings, item.name)
        if settings.sources.get(item.name) not in ("environment", ".env"):
            continue
        if item.metadata.get("secret"):
            found += list(value) if isinstance(value, tuple) else [str(value)]
        elif isinstance(value, str) and "://" in value:
            password = urlsplit(value).password or ""
            found += [password, unquote(password)]
    return found


def _extras(record: logging.LogRecord, mask: Mask) -> dict[str, Any]:
    return {name: mask.field(name, value) for name, value in vars(record).items() if name not in _STANDARD}


def _quoted(value: Any) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) and not UNSEEN.search(text) else visible_json(text)


def _trace(formatter: logging.Formatter, record: logging.LogRecord, mask: Mask) -> str:
    """The traceback or stack of a record, masked, each line set in so that none passes for one of the log; "" if none."""
    parts = [_told(record.exc_info[1])] if record.exc_info and record.exc_info[1] else []
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(f"    {visible(line)}" for line in mask.text("\n".join(parts)).split("\n")) if parts else ""


_CAUSED = "\n\nThe above exception was the direct cause of the following exception:\n\n"
_MEANWHILE = "\n\nDuring handling of the above exception, another exception occurred:\n\n"


def _told(error: BaseException) -> str:
    """As Python writes an error with all that led to it, but of a database's error its kind alone (``database_kind``)."""
    pieces: list[str] = []
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        pieces.append(_alone(current))
        before = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
        if before is not None and id(before) not in seen:
            pieces.append(_CAUSED if current.__cause__ else _MEANWHILE)
        current = before
    return "".join(reversed(pieces))


def _alone(error: BaseException) -> str:
    """One error, without what led to it; with those it is a group of."""
    where = traceback.format_tb(error.__traceback__)
    kind = database_kind(error)
    what = [f"{type(error).__module__}.{kind}"] if kind else traceback.format_exception_only(error)
    if isinstance(error, BaseExceptionGroup):
        what += [f"of the group:\n{_told(one)}\n" for one in error.exceptions]
    return "".join(["Traceback (most recent call last):\n", *where, *what] if where else what).rstrip("\n")
