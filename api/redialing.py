"""Dialling a task again because a person wants it (``POST /api/v1/tasks/{batchId}/redial``).

One statement puts a final task back to pending, and only if it is failed, unknown, not connected or expired, was not
stopped and has no live call: workers that look at it meanwhile see either the end or the new beginning. Its retries
begin anew (``no_answers``, ``refusals`` and ``unknowns`` are 0 again); ``attempts`` goes on counting every dial there ever was. An
``expires_at`` that has passed is dropped. Every gate is asked again as for any task.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, Update, case, exists, null, select, text, update
from sqlalchemy.exc import IntegrityError

from api.transactions import write
from shared import audit
from shared.errors import WaihuError
from shared.lifecycle import LIVE_CALLS, TaskState
from shared.schema import calls, tasks
from shared.suppression import is_suppressed

REDIALABLE = (TaskState.FAILED, TaskState.UNKNOWN, TaskState.NOT_CONNECTED, TaskState.EXPIRED)

_columns = tasks.c
_LIVE = text(f"calls.state IN ({', '.join(repr(str(state)) for state in sorted(LIVE_CALLS))})")
"""Written out as the partial index has it."""


class NoSuchTask(WaihuError):
    code = "redial.missing"


class NotRedialable(WaihuError):
    """The task cannot be dialled again as things stand; the message says why."""

    code = "redial.refused"


def redial(engine: Engine, batch_id: int, reason: str, now: int, actor: str) -> None:
    """Makes the task due now. Raises NoSuchTask, NotRedialable; DBAPIError."""

    def work(connection: Connection) -> None:
        if connection.execute(_statement(batch_id, now)).rowcount:
            audit.note(connection, actor, "redial", now, subject=audit.of_task(batch_id), reason=reason)
        else:
            _explain(connection, batch_id, now)

    try:
        write(engine, work)
    except IntegrityError as error:
        raise NotRedialable(
            f"another task with the ticketNo of task {batch_id} is live; stop that one first"
        ) from error


def _statement(batch_id: int, now: int) -> Update:
    return (
        update(tasks)
        .where(
            _columns.batch_id == batch_id,
            _columns.state.in_(REDIALABLE),
            ~exists().where(calls.c.batch_id == _columns.batch_id, _LIVE),
            ~is_suppressed(_columns.line),
            _columns.number != "",
        )
        .values(
            state=str(TaskState.PENDING),
            state_at=now,
            due_at=now,
            final_at=null(),
            connected=null(),
            stop_requested_at=null(),
            held_by=null(),
            no_answers=0,
            refusals=0,
            unknowns=0,
            expires_at=case((_columns.expires_at <= now, null()), else_=_columns.expires_at),
        )
    )


def _explain(connection: Connection, batch_id: int, now: int) -> None:
    """Says why not; silent if this very request did it and only its answer was lost."""
    query = select(_columns.state, _columns.state_at, _columns.number, is_suppressed(_columns.line).label("suppressed"))
    row = connection.execute(query.where(_columns.batch_id == batch_id)).one_or_none()
    if row is None:
        raise NoSuchTask(f"no task {batch_id}")
    if row.state == TaskState.PENDING and row.state_at == now:
        return
    if row.state not in REDIALABLE:
        raise NotRedialable(f"task {batch_id} is {row.state}; only {', '.join(REDIALABLE)} can be dialled again")
    if row.suppressed:
        raise NotRedialable(f"the number of task {batch_id} is on the do-not-call list")
    if not row.number:
        raise NotRedialable(f"the customer of task {batch_id} was erased")
    raise NotRedialable(f"a call of task {batch_id} still lives")
