"""What ``POST /api/v1/tasks`` takes beyond createTasks: priority, notBefore, expiresAt and timezone of each ticket."""

from __future__ import annotations

import functools
import hashlib
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from api import tickets
from api.body import decode, type_name
from api.envelope import FieldProblem, ParameterError
from api.received import received
from api.repeats import Plan
from api.tickets import DIGEST_BYTES, CheckedTicket, Schedule
from shared.moments import iso

LOWEST, HIGHEST = -1000, 1000
LONGEST_WAIT_MS = 366 * 24 * 3600 * 1000
"""A notBefore or expiresAt beyond a year, leap years included, is a slip of the keyboard."""
_LONGEST_ZONE = 40


@functools.cache
def _zones() -> frozenset[str]:
    """The names that this machine knows: looking for them takes milliseconds, and a batch asks ten thousand times."""
    return frozenset(available_timezones())


def read(body: bytes, limit: int, zone: ZoneInfo, now: int) -> list[CheckedTicket]:
    """The tickets in a request's body with their schedules. ``zone``: of times that name none.

    Raises ParameterError that names everything that is wrong, of both, but for a time that is over: whether that is wrong
    depends on what was sent before (``require_ahead``).
    """
    problems: list[FieldProblem] = []
    checked: list[CheckedTicket] = []
    try:
        checked = tickets.read(body, limit)
    except ParameterError as error:
        problems += error.problems
    document = decode(body)
    items = document if isinstance(document, list) else [document]
    found = [_Reader(item, index, zone, now, problems).schedule() for index, item in enumerate(items[:limit])]
    if problems:
        raise ParameterError(sorted(problems, key=lambda problem: -1 if problem.index is None else problem.index))
    return [_with(ticket, schedule) for ticket, schedule in zip(checked, found, strict=True)]


def require_ahead(plan: Plan, now: int) -> None:
    """Raises ParameterError that names every new ticket whose time is over; one that was sent before stays what it became."""
    over = {place for place, ticket in enumerate(plan.fresh) if ticket.schedule and _is_over(ticket.schedule, now)}
    problems = [
        FieldProblem(index, "expiresAt", "已经过去")
        for index, (existing, place) in enumerate(plan.places)
        if existing is None and place in over
    ]
    if problems:
        raise ParameterError(problems)


def _is_over(schedule: Schedule, now: int) -> bool:
    return schedule.expires_at is not None and schedule.expires_at <= now


def read_moment(text: str, zone: ZoneInfo) -> int:
    """ISO 8601, with an offset or in ``zone``, as milliseconds since 1970. Raises ValueError."""
    if len(text) < len("yyyy-MM-dd HH:mm"):
        raise ValueError("expected a date and a time")
    moment = datetime.fromisoformat(text)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    try:
        return round(aware.timestamp() * 1000)
    except OverflowError as error:
        raise ValueError("expected a time that clocks can show") from error


def _with(ticket: CheckedTicket, schedule: Schedule) -> CheckedTicket:
    """A ticket without a schedule is the very one that createTasks takes, its digest included."""
    if schedule == Schedule():
        return ticket
    digest = hashlib.blake2b(ticket.digest + msgspec.json.encode(schedule), digest_size=DIGEST_BYTES).digest()
    return msgspec.structs.replace(ticket, schedule=schedule, digest=digest)


class _Reader:
    """Reads one ticket's schedule, and notes what is wrong with it."""

    def __init__(self, item: Any, index: int, zone: ZoneInfo, now: int, problems: list[FieldProblem]) -> None:
        self._item = item if isinstance(item, dict) else {}
        self._index = index
        self._zone = zone
        self._now = now
        self._problems = problems

    def schedule(self) -> Schedule:
        zone = self._timezone()
        not_before, expires_at = self._moment("notBefore"), self._moment("expiresAt")
        if expires_at is not None and not_before is not None and expires_at <= not_before:
            self._problem("expiresAt", "应晚于 notBefore")
        return Schedule(self._priority(), not_before, expires_at, zone)

    def _priority(self) -> int:
        value = self._item.get("priority")
        if value is None:
            return 0
        if type(value) is not int or not LOWEST <= value <= HIGHEST:
            self._problem("priority", f"应为 {LOWEST} 到 {HIGHEST} 之间的整数，越大越先拨打，{received(value)}")
            return 0
        return value

    def _timezone(self) -> str | None:
        value = self._item.get("timezone")
        if value is None:
            return None
        if not isinstance(value, str) or len(value) > _LONGEST_ZONE or value not in _zones():
            self._problem("timezone", f"应为 IANA 时区名，如 Asia/Shanghai，{received(value)}")
            return None
        self._zone = ZoneInfo(value)
        return value

    def _moment(self, name: str) -> int | None:
        value = self._item.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self._problem(name, f"应为 ISO 8601 时间字符串，收到的是{type_name(value)}")
            return None
        try:
            moment = read_moment(value, self._zone)
        except ValueError:
            self._problem(name, f"应为 ISO 8601 时间，如 2026-01-05T10:00:00+08:00，收到的是 {value[:40]!r}")
            return None
        last = self._now + LONGEST_WAIT_MS
        if moment > last:
            self._problem(name, f"不能晚于 {iso(last, self._zone)}（366 天之后），收到的是 {value[:40]!r}")
        return moment

    def _problem(self, name: str, message: str) -> None:
        self._problems.append(FieldProblem(self._index, name, message))
