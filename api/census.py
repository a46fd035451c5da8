"""How many tasks and calls are in each state, and how old the oldest is: for metrics and the live statistics."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from sqlalchemy import Column, ColumnElement, Connection, Engine, Table, TextClause, func, select, text

from shared import tallies
from shared.clock import Clock
from shared.database import reading
from shared.lifecycle import CallState, TaskState
from shared.outbox import DEAD, WAITING
from shared.schema import ACTIVE_TASKS, LIVE_CALL, calls, phone_events, tasks, webhook_deliveries

FRESH_SECONDS = 1.0
"""However many ask within a second get one count."""
REST = 10
"""A count is kept ten times as long as it took: whoever asks, however often and however much waits, costs the database no
more than a tenth of one connection's time."""


@dataclass(frozen=True)
class Group:
    """``oldest_at``: when the oldest one came into its state (a task) or was created (a call); None if there is none, and
    of what is over."""

    count: int = 0
    oldest_at: int | None = None


@dataclass(frozen=True)
class Count:
    at: int
    tasks: dict[TaskState, Group]
    calls: dict[CallState, Group]
    waiting_events: Group
    webhooks: dict[str, Group]
    """Deliveries that wait, and that were given up; by the end of their task."""


class Census:
    """Counts at most once in FRESH_SECONDS, less often if it takes long; whoever asks meanwhile waits for that count."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._lock = threading.Lock()
        self._last: Count | None = None
        self._fresh_until = 0.0

    def take(self) -> Count:
        """The count, at most FRESH_SECONDS old, or REST times as old as it took to count. Raises DBAPIError."""
        with self._lock:
            started = self._clock.monotonic()
            if self._last is None or started > self._fresh_until:
                with reading(self._engine) as connection:
                    self._last = count(connection, self._clock.now_ms())
                ended = self._clock.monotonic()
                self._fresh_until = max(started + FRESH_SECONDS, ended + REST * (ended - started))
            return self._last


def count(connection: Connection, now: int) -> Count:
    """Counts now; every state is there, also those that nothing is in.

    What is over is looked up in the tallies, and has no ages; what waits is counted along its index, and the rest is as
    much as there are live calls.
    """
    over_tasks, over_calls = tallies.over(connection)
    task_groups = _groups(connection, tasks, tasks.c.state_at, tasks.c.due_at.is_not(None))
    task_groups |= _groups(connection, tasks, tasks.c.state_at, ACTIVE_TASKS)
    call_groups = _groups(connection, calls, calls.c.created_at, LIVE_CALL)
    waiting = select(func.count(), func.min(phone_events.c.received_at)).where(phone_events.c.applied_at.is_(None))
    return Count(
        now,
        {state: task_groups.get(state) or Group(over_tasks.get(state, 0)) for state in TaskState},
        {state: call_groups.get(state) or Group(over_calls.get(state, 0)) for state in CallState},
        Group(*connection.execute(waiting).one()),
        {state: _webhooks(connection, state) for state in (WAITING, DEAD)},
    )


def _groups(
    connection: Connection, table: Table, since: Column[int], those: ColumnElement[bool] | TextClause
) -> dict[str, Group]:
    query = select(table.c.state, func.count(), func.min(since)).where(those).group_by(table.c.state)
    return {row[0]: Group(row[1], row[2]) for row in connection.execute(query)}


def _webhooks(connection: Connection, state: str) -> Group:
    """Along the partial index of that state: those that were delivered are many, and need no counting."""
    those = text(f"webhook_deliveries.state = '{state}'")
    query = select(func.count(), func.min(webhook_deliveries.c.created_at)).where(those)
    return Group(*connection.execute(query).one())
