"""The do-not-call list: who is on it, and what becomes of the tasks for those who come onto it.

A number stands there as it was given, and is compared as a line (``shared.lines``): with and without its country code it
is one. Putting one on the list and stopping its tasks is one transaction: once that is committed, no call to the number
begins, as after stopTasks.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, select
from sqlalchemy.dialects import postgresql, sqlite

from shared import lines
from shared import numbers as phone_numbers
from shared.database import is_postgresql
from shared.gate_config import DO_NOT_CALL
from shared.lifecycle import TaskState
from shared.schema import do_not_call, tasks
from shared.stops import stop_tasks

CUSTOMER, IMPORT, PERSON = "customer", "import", "person"
"""Who asked: the customer in a call, a list, somebody of the house."""
AT_ONCE = 10_000
"""Numbers in one statement: well below SQLite's limit of 32,766 variables."""


def suppress(
    connection: Connection,
    numbers: Collection[str],
    source: str,
    now: int,
    *,
    reason: str = "",
    call_uuid: str | None = None,
    spare: int | None = None,
) -> list[int]:
    """Puts ``numbers`` on the list and stops their tasks; returns those that may have a live call, which workers must end.

    A number that is on it already keeps its entry. A customer who is being talked to is talked to to the end; the task
    ``spare`` is left alone whatever its state. ``reason`` must hold none of the customer's words: they are the
    dialogue's, and are erased with it.
    """
    live: list[int] = []
    country = lines.hold_country(connection)
    ordered = sorted(set(numbers))
    for start in range(0, len(ordered), AT_ONCE):
        chunk = ordered[start : start + AT_ONCE]
        into = postgresql.insert(do_not_call) if is_postgresql(connection) else sqlite.insert(do_not_call)
        rows: list[dict[str, Any]] = [
            {
                "number": number,
                "line": phone_numbers.line(number, country),
                "source": source,
                "reason": reason,
                "call_uuid": call_uuid,
                "created_at": now,
            }
            for number in chunk
        ]
        connection.execute(into.on_conflict_do_nothing(), rows)
        live += _stop(connection, sorted({row["line"] for row in rows}), now, spare)
    return live


def is_suppressed(line: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether the line in a column of tasks or calls is on the list."""
    return exists(select(do_not_call.c.number).where(do_not_call.c.line == line))


def _stop(connection: Connection, lines_of_them: Sequence[str], now: int, spare: int | None) -> list[int]:
    mine = tasks.c.line.in_(lines_of_them) & (tasks.c.state != str(TaskState.IN_CALL))
    return stop_tasks(connection, mine if spare is None else mine & (tasks.c.batch_id != spare), now, DO_NOT_CALL)
