"""calltask/list: what may be asked, and the rows that answer it (callcenter-api.md, section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select

from api.fields import MAX_LONG, MIN_LONG, Fields
from shared.rows import task_row
from shared.schema import tasks
from shared.tallies import count_tasks

LONGEST_PAGE = 500
LAST_PAGE = 500
"""Both from reading.md; together they bound what OFFSET must skip to 250,000 rows."""

_columns = tasks.c


@dataclass(frozen=True)
class TaskQuery:
    """Bounds are inclusive, times milliseconds since 1970; None means any."""

    page: int
    size: int
    batch_id: int | None
    created_from: int | None
    created_to: int | None


def read_query(fields: Fields) -> TaskQuery:
    """The query in a request. Raises ParameterError that names every field that is wrong."""
    page = fields.integer("pageNum", low=1, high=LAST_PAGE, required=True)
    size = fields.integer("pageSize", low=1, high=LONGEST_PAGE, required=True)
    batch_id = fields.integer("batchId", low=MIN_LONG, high=MAX_LONG)
    created_from, created_to = fields.moments("createTimeStart", "createTimeEnd")
    fields.done()
    return TaskQuery(page or 1, size or 1, batch_id, created_from, created_to)


def find(connection: Connection, query: TaskQuery) -> tuple[int, list[dict[str, Any]]]:
    """How many tasks match, and one page of them as the document shows them, newest first."""
    conditions = _conditions(query)
    matching = select(func.count()).select_from(tasks).where(*conditions)
    total = connection.execute(matching).scalar_one() if conditions else count_tasks(connection)
    return total, [task_row(row) for row in connection.execute(page_of(query)).mappings()]


def page_of(query: TaskQuery) -> Select[Any]:
    """The statement for one page, along ix_tasks_created_at; a batch shares one created_at, so batch_id settles the order."""
    ordered = select(tasks).where(*_conditions(query)).order_by(_columns.created_at.desc(), _columns.batch_id.desc())
    return ordered.limit(query.size).offset((query.page - 1) * query.size)


def _conditions(query: TaskQuery) -> list[ColumnElement[bool]]:
    conditions = []
    if query.batch_id is not None:
        conditions.append(_columns.batch_id == query.batch_id)
    if query.created_from is not None:
        conditions.append(_columns.created_at >= query.created_from)
    if query.created_to is not None:
        conditions.append(_columns.created_at <= query.created_to)
    return conditions
