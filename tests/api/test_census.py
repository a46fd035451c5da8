"""Counting a large table takes a while: it is done the more seldom, the longer it takes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, event

from api.census import FRESH_SECONDS, REST, Census
from shared.clock import FakeClock
from shared.lifecycle import TaskState

TOOK = 0.25
"""Seconds that each statement takes."""


def test_a_count_that_took_long_is_kept_ten_times_as_long(engine: Engine, clock: FakeClock, add_task: Any) -> None:
    census = Census(engine, clock)
    statements = []

    def slow(*_: Any) -> None:
        statements.append(1)
        clock.advance(TOOK)

    event.listen(engine, "after_cursor_execute", slow)
    assert census.take().tasks[TaskState.PENDING].count == 0
    took = TOOK * len(statements)
    assert REST * took > FRESH_SECONDS
    event.remove(engine, "after_cursor_execute", slow)
    add_task()
    clock.advance(REST * took - 0.1)
    assert census.take().tasks[TaskState.PENDING].count == 0
    clock.advance(0.2)
    assert census.take().tasks[TaskState.PENDING].count == 1
