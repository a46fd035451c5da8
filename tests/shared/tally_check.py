"""What the tallies say beside what counting finds."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from shared.lifecycle import FINAL_TASKS
from shared.schema import calls, tallies, tasks
from shared.tallies import OVER_CALLS


def wrong_tallies(connection: Connection) -> list[str]:
    """Every kind, type and state whose tally differs from its count, in words."""
    told = {
        (row.kind, row.call_type, row.state): int(row.amount)
        for row in connection.execute(
            select(
                tallies.c.kind, tallies.c.call_type, tallies.c.state, func.sum(tallies.c.amount).label("amount")
            ).group_by(tallies.c.kind, tallies.c.call_type, tallies.c.state)
        )
    }
    found = {("task", "", ""): connection.execute(select(func.count()).select_from(tasks)).scalar_one()}
    for state, count in connection.execute(select(tasks.c.state, func.count()).group_by(tasks.c.state)):
        if state in FINAL_TASKS:
            found["task", "", state] = count
    for call_type, state, count in connection.execute(
        select(calls.c.call_type, calls.c.state, func.count()).group_by(calls.c.call_type, calls.c.state)
    ):
        if state in OVER_CALLS:
            found["call", call_type, state] = count
    keys = sorted(set(told) | set(found))
    return [
        f"{key}: told {told.get(key, 0)}, found {found.get(key, 0)}"
        for key in keys
        if told.get(key, 0) != found.get(key, 0)
    ]
