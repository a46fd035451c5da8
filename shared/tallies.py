"""How many tasks and calls there are, without counting them: tallies that the database keeps by itself.

Triggers (migration 0010) keep them, so no statement can forget to: of all tasks, and of tasks and calls that are over, by
state. What is not over is never many, and is counted where it stands. On PostgreSQL a change adds a row of its own to
``tallies`` in its own transaction, so that no writer waits for another, and the sum is exact in every snapshot; the sweep
adds the rows up now and then. SQLite has one writer, whose triggers count in place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, literal, select, union_all

from shared.lifecycle import FINAL_TASKS, LIVE_CALLS, CallState
from shared.schema import calls, tallies, tasks

TASK, CALL = "task", "call"
ALL = ""
"""The state under which tasks of every state are counted."""
OVER_CALLS = frozenset(CallState) - LIVE_CALLS
MOST = 5_000
"""Rows that are added up at once: a few milliseconds, and below SQLite's limit of variables in a statement."""
FEW = 100
"""So few rows, or fewer, are not worth adding up: there is one for each state of tasks, and of calls of each type."""

_amount = func.sum(tallies.c.amount).label("amount")
_kinds = (tallies.c.kind, tallies.c.call_type, tallies.c.state)


def count_tasks(connection: Connection, state: str = ALL) -> int:
    """All tasks; or those in this state, which must be among FINAL_TASKS."""
    return _sum(connection, select(_amount).where(tallies.c.kind == TASK, tallies.c.state == state))


def count_calls(connection: Connection, call_type: str, states: frozenset[CallState]) -> int:
    """Calls of this type in these states, which must be among OVER_CALLS."""
    mine = (tallies.c.kind == CALL, tallies.c.call_type == call_type, tallies.c.state.in_(sorted(states)))
    return _sum(connection, select(_amount).where(*mine))


def _sum(connection: Connection, statement: Select[Any]) -> int:
    return int(connection.execute(statement).scalar() or 0)


def over(connection: Connection) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Tasks, then calls, that are over, by state."""
    found: dict[str, Counter[str]] = {TASK: Counter(), CALL: Counter()}
    for row in connection.execute(select(tallies.c.kind, tallies.c.state, _amount).group_by(*_kinds[::2])):
        if row.state != ALL:
            found[row.kind][row.state] = int(row.amount)
    return found[TASK], found[CALL]


def add_up(connection: Connection) -> int:
    """Makes one row of the many of each kind; returns how many there were. Two at once take different rows."""
    some = select(tallies.c.id, *_kinds, tallies.c.amount).order_by(tallies.c.id).limit(MOST)
    rows = connection.execute(some.with_for_update(skip_locked=True)).all()
    if len(rows) <= FEW:
        return 0
    sums: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        sums[row.kind, row.call_type, row.state] += row.amount
    connection.execute(delete(tallies).where(tallies.c.id.in_([row.id for row in rows])))
    added = [
        {"kind": kind, "call_type": call_type, "state": state, "amount": amount}
        for (kind, call_type, state), amount in sums.items()
    ]
    connection.execute(insert(tallies), added)
    return len(rows)


def repair(connection: Connection) -> int:
    """Counts everything, and adds a row for each tally that is wrong; returns how many were.

    One statement, which sees one state: what others write meanwhile they tally themselves, and nobody waits. It reads
    both tables, a second for a million tasks.
    """
    counted = union_all(
        select(
            literal(TASK).label("kind"),
            literal("").label("call_type"),
            literal(ALL).label("state"),
            func.count().label("amount"),
        ).select_from(tasks),
        select(literal(TASK), literal(""), tasks.c.state, func.count())
        .where(tasks.c.state.in_(sorted(FINAL_TASKS)))
        .group_by(tasks.c.state),
        select(literal(CALL), calls.c.call_type, calls.c.state, func.count())
        .where(calls.c.state.in_(sorted(OVER_CALLS)))
        .group_by(calls.c.call_type, calls.c.state),
        select(*_kinds, -tallies.c.amount),
    ).subquery("counted")
    kinds = (counted.c.kind, counted.c.call_type, counted.c.state)
    wrong = func.sum(counted.c.amount)
    difference = select(*kinds, wrong).group_by(*kinds).having(wrong != 0)
    return connection.execute(
        insert(tallies).from_select(["kind", "call_type", "state", "amount"], difference)
    ).rowcount
