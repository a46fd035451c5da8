"""The outbox of webhooks: a row for each endpoint, written in the transaction that makes a task final.

So there is no final task whose receivers were forgotten, and none that was told of and is not final. ``workers`` send
what stands here afterwards; the body is built from SQL then.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite

from shared.database import is_postgresql
from shared.schema import webhook_deliveries, webhook_endpoints

TASK_FINISHED = "task.finished"
TEST = "webhook.test"
WAITING, DELIVERED, DEAD = "waiting", "delivered", "dead"
STATES = (WAITING, DELIVERED, DEAD)
MOST_ENDPOINTS = 50
"""Registered at once: each has couriers of its own in every worker process, and together they must be few enough."""
NO_TASK = 0
"""The batch_id of a delivery that is about no task; those of tasks begin at 1."""

_ACTIVE = webhook_endpoints.c.disabled_at.is_(None)
_NAMESPACE = uuid.UUID("5b0b7c39-2f0e-4c0f-9a57-6a3d7f1b8d21")
"""Drawn once, for all delivery ids: change it, and a receiver no longer knows repeats by their id."""


def delivery_id(endpoint_id: int, batch_id: int, at: int) -> str:
    """The same for the same end of the same task at the same endpoint, however often it is written and sent.

    ``at`` is the task's final_at: a task that a person dials again and that ends again is news.
    """
    return str(uuid.uuid5(_NAMESPACE, f"{endpoint_id}:{batch_id}:{at}"))


def count_receivers(connection: Connection) -> int:
    """How many rows the end of one task makes."""
    return connection.execute(select(func.count()).select_from(webhook_endpoints).where(_ACTIVE)).scalar_one()


def record_final(connection: Connection, batch_ids: Sequence[int], final_at: int) -> int:
    """Puts the end of these tasks in the outbox, for every endpoint that is registered; returns how many rows that made.

    To be called in the transaction that sets their ``final_at``, and only for tasks that were not final before. Doing
    it twice changes nothing. Without an endpoint it costs the question whether there is one.
    """
    if not batch_ids:
        return 0
    active = select(webhook_endpoints.c.id).where(_ACTIVE)
    endpoint_ids = connection.execute(active.order_by(webhook_endpoints.c.id)).scalars().all()
    rows = [
        row(endpoint_id, batch_id, TASK_FINISHED, final_at) for endpoint_id in endpoint_ids for batch_id in batch_ids
    ]
    if rows:
        into = postgresql.insert if is_postgresql(connection) else sqlite.insert
        connection.execute(into(webhook_deliveries).on_conflict_do_nothing(), rows)
    return len(rows)


def row(endpoint_id: int, batch_id: int, event: str, at: int) -> dict[str, Any]:
    """A delivery that waits to be sent."""
    return {
        "id": delivery_id(endpoint_id, batch_id, at),
        "endpoint_id": endpoint_id,
        "batch_id": batch_id,
        "event": event,
        "state": WAITING,
        "due_at": at,
        "created_at": at,
    }
