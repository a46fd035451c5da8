"""Waiting tasks whose ``expiresAt`` has passed: the statement that says what ``shared.lifecycle.expired`` says of one.

A campaign's tasks mostly have one ``expiresAt`` between them, so that a hundred thousand can be over at once: ended one
by one they would be shown as waiting for most of an hour, and their webhooks would say so as late.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Connection, bindparam, select, update

from shared.lifecycle import TaskState
from shared.outbox import record_final
from shared.schema import tasks
from workers import store


def expire_tasks(connection: Connection, now: int, most: int) -> int:
    """Ends up to ``most`` waiting tasks that were to be over by ``now``, and puts their ends in the outbox.

    Returns how many; each is a row written, and one more in the outbox for every receiver. Those that another worker has
    in hand are passed over: it looks at their time itself.
    """
    over = select(tasks.c.batch_id).where(store.WAITING, tasks.c.expires_at <= now).order_by(tasks.c.expires_at)
    batch_ids = list(connection.execute(store.hold_tasks(over.limit(most))).scalars())
    if batch_ids:
        connection.execute(_EXPIRE.where(tasks.c.batch_id.in_(batch_ids)), {"now": now})
        record_final(connection, batch_ids, now)
    return len(batch_ids)


_now = bindparam("now", type_=BigInteger)
_EXPIRE = update(tasks).values(state=str(TaskState.EXPIRED), state_at=_now, final_at=_now, connected=False, due_at=None)
