"""stopTasks in SQL says what the lifecycle says of one task."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from api.stopping import AT_ONCE, stop
from shared.lifecycle import FINAL_TASKS, Task, TaskState, stopped

NOW, BEFORE = 2_000_000, 1_000_000


@pytest.mark.parametrize("asked_before", [None, BEFORE])
@pytest.mark.parametrize("state", list(TaskState))
def test_sql_agrees_with_the_lifecycle_in_every_state(
    engine: Engine, add_task: Any, stored: Any, state: TaskState, asked_before: int | None
) -> None:
    final = state in FINAL_TASKS
    columns: dict[str, Any] = {
        "state": state,
        "stop_requested_at": asked_before,
        "connected": True if final else None,
        "due_at": None if final else 5,
        "final_at": 7 if final else None,
        "attempts": 2,
    }
    batch_id = add_task(state_at=BEFORE, **columns)
    expected = stopped(Task(batch_id=batch_id, **columns), NOW)
    live = stop(engine, [batch_id], NOW, "crm")
    row = stored()[0]
    assert {name: row[name] for name in columns} == {name: getattr(expected, name) for name in columns}
    assert row["state_at"] == (BEFORE if expected.state == state else NOW)
    assert live == ([batch_id] if expected.state is TaskState.STOPPING else [])


def test_stopping_twice_keeps_the_first_time(engine: Engine, add_task: Any, stored: Any) -> None:
    batch_id = add_task(state="in_call")
    assert stop(engine, [batch_id], NOW, "crm") == stop(engine, [batch_id, batch_id], NOW + 1, "crm") == [batch_id]
    assert (stored()[0]["stop_requested_at"], stored()[0]["state_at"]) == (NOW, NOW)


def test_more_ids_than_one_statement_takes(engine: Engine, add_task: Any, stored: Any) -> None:
    batch_id = add_task(batch_id=3 * AT_ONCE)
    assert stop(engine, range(4 * AT_ONCE), NOW, "crm") == []
    assert stored()[0]["batch_id"] == batch_id
    assert stored()[0]["state"] == "stopped"
