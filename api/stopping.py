"""stopTasks: the wish to stop, stored for thousands of tasks at once."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Engine

from api.transactions import write
from shared import audit
from shared.schema import tasks
from shared.stops import stop_tasks

AT_ONCE = 10_000
"""Ids in one statement: below SQLite's limit of 32,766 variables."""
MOST_NOTED = 100
"""Ids of one request that the audit names; of a larger one it has the number."""


def stop(engine: Engine, batch_ids: Sequence[int], now: int, actor: str) -> list[int]:
    """Stores that these tasks are to stop; returns those that may have a live call, which the workers must end.

    Once this returned, no call of theirs begins (``shared.stops``). Unknown and final tasks are passed over.
    """
    wanted = sorted(set(batch_ids))

    def work(connection: Connection) -> list[int]:
        live: list[int] = []
        for start in range(0, len(wanted), AT_ONCE):
            live += stop_tasks(connection, tasks.c.batch_id.in_(wanted[start : start + AT_ONCE]), now)
        subject = audit.of_task(wanted[0]) if len(wanted) == 1 else ""
        audit.note(connection, actor, "stop", now, subject=subject, asked=len(wanted), batchIds=wanted[:MOST_NOTED])
        return live

    return write(engine, work)
