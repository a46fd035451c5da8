"""How calls came out over a time range: one statement for each grouping, along the index of ended calls.

Counted are calls of tasks that may have left the house and have ended. Answer-seizure ratio: answered ÷ attempts.
Connect rate: tasks with an answered call ÷ tasks dialled. Average call duration: seconds of the answered ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, ColumnElement, Connection, Integer, Label, case, cast, distinct, func, select, text

from api.fields import Fields
from api.received import received
from shared.moments import iso
from shared.schema import calls, tasks

HOUR_MS = 3_600_000
LONGEST_RANGE_MS = 92 * 24 * HOUR_MS
"""A quarter of a year: what one statement reads stays bounded."""
MOST_ROWS = 10_000
SHORT_SECONDS = 10
"""A shorter talk counts as short unless the request says otherwise."""
GROUPS = ("hour", "caller", "ticketType")

_ENDED = text("calls.call_type = '02' AND calls.state IN ('ended', 'lost', 'refused')")
"""Written out as ix_calls_listed has it."""
_columns = calls.c
_answered = _columns.answered_at.is_not(None)


@dataclass(frozen=True)
class StatsQuery:
    """Times are milliseconds since 1970, both inclusive."""

    since: int
    until: int
    groups: tuple[str, ...]
    short_seconds: int


def read_query(fields: Fields) -> StatsQuery:
    """The query in a request. Raises ParameterError."""
    since, until = fields.moments("from", "to")
    for name, value in (("from", since), ("to", until)):
        if value is None and fields.text(name) is None:
            fields.problem(name, "缺少必填字段，格式 yyyy-MM-dd HH:mm:ss")
    if since is not None and until is not None and until - since > LONGEST_RANGE_MS:
        fields.problem("to", "时间范围最长 92 天")
    given = fields.text("groupBy") or ""
    groups = tuple(part.strip() for part in given.split(",") if part.strip())
    if len(set(groups)) != len(groups) or not set(groups) <= set(GROUPS):
        fields.problem("groupBy", f"应为 {'、'.join(GROUPS)} 中的若干个，各一次，以逗号分隔，{received(given)}")
    short = fields.integer("shortSeconds", low=1, high=3600)
    fields.done()
    return StatsQuery(since or 0, until or 0, groups, SHORT_SECONDS if short is None else short)


def count(connection: Connection, query: StatsQuery, zone: ZoneInfo) -> dict[str, Any]:
    """The document that answers the query."""
    total = connection.execute(select(*_measures(query)).where(*_range(query))).mappings().one()
    rows: list[dict[str, Any]] = []
    if query.groups:
        rows = [
            {name: _label(name, row[name], query, zone) for name in query.groups} | _shown(row)
            for row in connection.execute(_grouped(query, zone)).mappings()
        ]
    return {
        "from": iso(query.since, zone),
        "to": iso(query.until, zone),
        "shortSeconds": query.short_seconds,
        "total": _shown(total),
        "rows": rows[:MOST_ROWS],
        "truncated": len(rows) > MOST_ROWS,
    }


def _grouped(query: StatsQuery, zone: ZoneInfo) -> Any:
    keys = [_key(name, query, zone) for name in query.groups]
    source = calls.outerjoin(tasks, tasks.c.batch_id == _columns.batch_id)
    statement = select(*keys, *_measures(query)).select_from(source).where(*_range(query))
    return statement.group_by(*[key.element for key in keys]).order_by(*query.groups).limit(MOST_ROWS + 1)


def _key(name: str, query: StatsQuery, zone: ZoneInfo) -> Label[Any]:
    if name == "hour":
        # Zones differ from UTC by whole hours or by a part of one; only the part moves where an hour begins.
        # The divisor stands in the text: as a parameter PostgreSQL would not know the two expressions for the same.
        shift = _part_of_hour(query, zone)
        return Label("hour", cast(text(f"(calls.created_at + {shift}) / {HOUR_MS}"), BigInteger))
    return Label(name, _columns.caller if name == "caller" else func.coalesce(tasks.c.ticket_type, ""))


def _part_of_hour(query: StatsQuery, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(query.since / 1000, zone).utcoffset()
    return int(offset.total_seconds() * 1000) % HOUR_MS if offset else 0


def _label(name: str, value: Any, query: StatsQuery, zone: ZoneInfo) -> Any:
    return iso(value * HOUR_MS - _part_of_hour(query, zone), zone) if name == "hour" else value


def _range(query: StatsQuery) -> Sequence[ColumnElement[bool]]:
    return _ENDED, _columns.created_at >= query.since, _columns.created_at <= query.until  # type: ignore[return-value]


def _measures(query: StatsQuery) -> list[Label[Any]]:
    short = _answered & (_columns.time_len < query.short_seconds)
    return [
        Label("attempts", func.count()),
        Label("answered", _sum(_answered)),
        Label("refused", _sum(_columns.state == "refused")),
        Label("lost", _sum(_columns.state == "lost")),
        Label("short", _sum(short)),
        Label("seconds", func.coalesce(func.sum(case((_answered, _columns.time_len), else_=0)), 0)),
        Label("dialled", func.count(distinct(_columns.batch_id))),
        Label("connected", func.count(distinct(case((_answered, _columns.batch_id))))),
    ]


def _sum(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return cast(func.coalesce(func.sum(case((condition, 1), else_=0)), 0), Integer)


def _shown(row: Any) -> dict[str, Any]:
    answered = int(row["answered"])
    return {
        "attempts": int(row["attempts"]),
        "answered": answered,
        "refused": int(row["refused"]),
        "lost": int(row["lost"]),
        "shortCalls": int(row["short"]),
        "answerSeizureRatio": _ratio(answered, int(row["attempts"])),
        "averageCallSeconds": _ratio(int(row["seconds"]), answered),
        "tasksDialled": int(row["dialled"]),
        "tasksConnected": int(row["connected"]),
        "connectRate": _ratio(int(row["connected"]), int(row["dialled"])),
    }


def _ratio(part: int, whole: int) -> float | None:
    """None where there is nothing to divide by."""
    return round(part / whole, 4) if whole else None
