"""Stopping many tasks at once: the statement that says what ``shared.lifecycle.stopped`` says of one."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    String,
    bindparam,
    case,
    func,
    literal,
    null,
    select,
    update,
)

from shared.lifecycle import FINAL_TASKS, WAITING_TASKS, TaskState
from shared.outbox import record_final
from shared.schema import tasks

_columns = tasks.c
_waiting = _columns.state.in_(sorted(WAITING_TASKS))
_open = _columns.state.not_in(sorted(FINAL_TASKS))
_now = bindparam("now", type_=BigInteger)


def stop_tasks(connection: Connection, chosen: ColumnElement[bool], now: int, by: str | None = None) -> list[int]:
    """Stores that the ``chosen`` tasks are to stop; returns those that may have a live call, which workers must end.

    ``by``: the gate that stops them; None: a person.

    Once this is committed, no call of theirs begins: a waiting task is stopped for good, and dialling a queued one asks
    for ``stop_requested_at`` in the statement that makes it "dialing". Final tasks are passed over.
    """
    # Locked in the order of ids, so that two requests for the same tasks wait for each other and do not deadlock.
    found = select(_columns.batch_id, _columns.state).where(chosen, _open).order_by(_columns.batch_id).with_for_update()
    rows = connection.execute(found).all()
    if not rows:
        return []
    these = _columns.batch_id.in_([row.batch_id for row in rows])
    connection.execute(_STOP.where(these), {"now": now, "by": by})
    record_final(connection, [row.batch_id for row in rows if row.state in WAITING_TASKS], now)
    return [row.batch_id for row in rows if row.state not in WAITING_TASKS]


_STOP = update(tasks).values(
    stop_requested_at=func.coalesce(_columns.stop_requested_at, _now),
    held_by=case((_columns.stop_requested_at.is_(None), bindparam("by", type_=String)), else_=_columns.held_by),
    state=case((_waiting, str(TaskState.STOPPED)), else_=str(TaskState.STOPPING)),
    state_at=case((_columns.state == str(TaskState.STOPPING), _columns.state_at), else_=_now),
    connected=case((_waiting, literal(False, Boolean)), else_=_columns.connected),
    final_at=case((_waiting, _now), else_=_columns.final_at),
    due_at=case((_waiting, null()), else_=_columns.due_at),
)
