"""records/list: what may be asked, and the rows that answer it (callcenter-api.md, section 2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, Select, TextClause, and_, func, or_, select, text

from api.fields import Fields
from api.received import received
from api.task_list import LAST_PAGE, LONGEST_PAGE
from shared import lines, numbers
from shared.errors import NumberError
from shared.lifecycle import CallState
from shared.rows import record_row
from shared.schema import calls, tasks
from shared.tallies import count_calls

CALL_TYPES = {"01": "呼入", "02": "AI 外呼", "03": "人工外呼"}
DEFAULT_PAGE, DEFAULT_SIZE = 1, 10
LONGEST_CALL_SECONDS = 2**31 - 1
"""The width of the column; no call lasts so long."""
LISTED = (CallState.ENDED, CallState.LOST, CallState.REFUSED)
"""The states that shared.lifecycle.Call.listed names, and ix_calls_listed holds."""
_LISTED = text(f"calls.state IN ({', '.join(repr(str(state)) for state in sorted(LISTED))})")
"""Written out as ix_calls_listed has it: with parameters SQLite would not see that it may use it. Who asks for one call
or one line gives parameters on purpose: knowing nothing of how many rows there are, SQLite would take the order of that
index for more than an index of few rows."""

_columns = calls.c
_ASKED_ALWAYS = 2
"""Conditions of every query: the type of call, and that it is a record. Without others, the tallies know the total."""


@dataclass(frozen=True)
class RecordQuery:
    """Bounds are inclusive, times milliseconds since 1970; None means any."""

    call_type: str
    page: int = DEFAULT_PAGE
    size: int = DEFAULT_SIZE
    identity: str | None = None
    telephone: numbers.Dialable | None = None
    extnum: str | None = None
    called_from: int | None = None
    called_to: int | None = None
    seconds_from: int | None = None
    seconds_to: int | None = None


def read_query(fields: Fields) -> RecordQuery:
    """The query in a request. Raises ParameterError that names every field that is wrong."""
    call_type = fields.choice("callType", CALL_TYPES)
    page = fields.integer("pageNum", low=1, high=LAST_PAGE)
    size = fields.integer("pageSize", low=1, high=LONGEST_PAGE)
    identity, extnum = fields.text("uuid"), fields.text("extnum")
    telephone = _telephone(fields)
    called_from, called_to = fields.moments("calloutTimeStart", "calloutTimeEnd")
    seconds_from, seconds_to = fields.integers("timeLenStart", "timeLenEnd", low=0, high=LONGEST_CALL_SECONDS)
    fields.done()
    return RecordQuery(
        call_type,
        page or DEFAULT_PAGE,
        size or DEFAULT_SIZE,
        identity,
        telephone,
        extnum,
        called_from,
        called_to,
        seconds_from,
        seconds_to,
    )


def _telephone(fields: Fields) -> numbers.Dialable | None:
    given = fields.text("telephone")
    if given is None:
        return None
    try:
        return numbers.parse(given)
    except NumberError:
        fields.problem("telephone", f"不是有效的号码：应为 3 到 20 位数字，可带前导 +，{received(given)}")
        return None


def find(
    connection: Connection, query: RecordQuery, zone: ZoneInfo, url_of: Callable[[str], str]
) -> tuple[int, list[dict[str, Any]]]:
    """How many records match, and one page of them as the document shows them, newest first.

    ``url_of`` makes the wavFileUrl of a recording's name.
    """
    line = lines.of(connection, query.telephone.number) if query.telephone is not None else ""
    conditions = _conditions(query, line)
    if len(conditions) == _ASKED_ALWAYS:
        total = count_calls(connection, query.call_type, frozenset(LISTED))
    else:
        total = connection.execute(select(func.count()).select_from(calls).where(*conditions)).scalar_one()
    return total, [record_row(row, zone, url_of) for row in connection.execute(page_of(query, line)).mappings()]


def page_of(query: RecordQuery, line: str = "") -> Select[Any]:
    """The statement for one page, along ix_calls_listed unless a filter has an index of its own.

    ``line``: of the telephone that is asked for, which is found in every spelling.
    """
    ordered = (
        select(calls, tasks.c.ticket_no, tasks.c.username)
        .select_from(calls.outerjoin(tasks, tasks.c.batch_id == _columns.batch_id))
        .where(*_conditions(query, line))
        .order_by(_columns.created_at.desc(), _columns.uuid.desc())
    )
    return ordered.limit(query.size).offset((query.page - 1) * query.size)


def _conditions(query: RecordQuery, line: str) -> list[ColumnElement[bool] | TextClause]:
    few = query.identity is not None or query.telephone is not None
    conditions: list[ColumnElement[bool] | TextClause] = [
        _columns.call_type == query.call_type,
        _columns.state.in_(LISTED) if few else _LISTED,
    ]
    if query.identity is not None:
        # Said in full, so that the partial unique index on call_id serves the second half.
        theirs = and_(_columns.call_id == query.identity, _columns.call_id != "")
        conditions.append(or_(_columns.uuid == query.identity, theirs))
    if query.telephone is not None:
        conditions.append(_columns.line == line)
        if query.telephone.exten:
            conditions.append(_columns.exten == query.telephone.exten)
    if query.extnum is not None:
        conditions.append(_columns.extnum == query.extnum)
    bounds = (
        (_columns.created_at, query.called_from, query.called_to),
        (_columns.time_len, query.seconds_from, query.seconds_to),
    )
    for column, low, high in bounds:
        if low is not None:
            conditions.append(column >= low)
        if high is not None:
            conditions.append(column <= high)
    return conditions
