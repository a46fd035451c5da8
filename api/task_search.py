"""``GET /api/v1/tasks``: tasks by ticket number, telephone number and state, newest first."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, RowMapping, func, select

from api.fields import Fields
from api.received import received
from api.task_list import LAST_PAGE, LONGEST_PAGE
from shared import lines, numbers
from shared.errors import NumberError
from shared.lifecycle import FINAL_TASKS, WAITING_TASKS, TaskState
from shared.schema import ACTIVE_TASKS, tasks
from shared.tallies import ALL, count_tasks

DEFAULT_SIZE = 50
STATES = tuple(str(state) for state in TaskState)
_columns = tasks.c


@dataclass(frozen=True)
class TaskSearch:
    """None means any. ``number`` is found in every spelling."""

    page: int
    size: int
    ticket_no: str | None
    number: str | None
    state: str | None


def read_query(fields: Fields) -> TaskSearch:
    """The query in a request. Raises ParameterError that names every field that is wrong."""
    page = fields.integer("pageNum", low=1, high=LAST_PAGE) or 1
    size = fields.integer("pageSize", low=1, high=LONGEST_PAGE) or DEFAULT_SIZE
    ticket_no, phone, state = fields.text("ticketNo"), fields.text("phone"), fields.text("status")
    if state is not None and state not in STATES:
        fields.problem("status", f"应为 {'、'.join(STATES)} 之一，{received(state)}")
    number = None
    if phone is not None:
        try:
            number = numbers.parse_loosely(phone).number
        except NumberError:
            fields.problem("phone", f"不是有效的号码：应为 3 到 20 位数字，可带前导 +，{received(phone)}")
    fields.done()
    return TaskSearch(page, size, ticket_no, number, state)


def find(connection: Connection, query: TaskSearch) -> tuple[int, list[RowMapping]]:
    """How many tasks match, and one page of them."""
    chosen = _conditions(connection, query)
    total = _total(connection, query, chosen)
    ordered = select(tasks).where(*chosen).order_by(_columns.created_at.desc(), _columns.batch_id.desc())
    rows = connection.execute(ordered.limit(query.size).offset((query.page - 1) * query.size))
    return total, list(rows.mappings())


def _total(connection: Connection, query: TaskSearch, chosen: list[ColumnElement[bool]]) -> int:
    """Looked up in the tallies where they know it; what is not over is few, and counted along the index of what waits or lives."""
    counted = select(func.count()).select_from(tasks).where(*chosen)
    if query.ticket_no is None and query.number is None:
        if query.state is None or query.state in FINAL_TASKS:
            return count_tasks(connection, query.state or ALL)
        counted = counted.where(_columns.due_at.is_not(None) if query.state in WAITING_TASKS else ACTIVE_TASKS)
    return connection.execute(counted).scalar_one()


def _conditions(connection: Connection, query: TaskSearch) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query.ticket_no is not None:
        conditions.append(_columns.ticket_no == query.ticket_no)
    if query.number is not None:
        conditions.append(_columns.line == lines.of(connection, query.number))
    if query.state is not None:
        conditions.append(_columns.state == query.state)
    return conditions
