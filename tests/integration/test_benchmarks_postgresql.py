"""What dispatch is held against asks the same of PostgreSQL, and is answered by the same plan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from benchmarks.crowd import NOW, grow
from benchmarks.dispatch import CLAIM_BY_HAND, LOOK
from shared.database import open_engine, reading
from workers.dispatch import CLAIM, due_tasks


@pytest.fixture
def crowd(postgresql_url: str) -> Iterator[Engine]:
    """Twenty thousand tasks, two hundred of them due."""
    engine = open_engine(postgresql_url)
    grow(engine, 0, 20_000)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE tasks, calls"))
    yield engine
    engine.dispose()


def plan(engine: Engine, statement: str, parameters: Any) -> list[tuple[str, str]]:
    """What PostgreSQL does for it, from the top: each step and the index it goes by. The locking of rows is left out."""
    steps: list[tuple[str, str]] = []

    def walk(node: dict[str, Any]) -> None:
        if node["Node Type"] != "LockRows":
            steps.append((node["Node Type"], node.get("Index Name", "")))
        for child in node.get("Plans", []):
            walk(child)

    with engine.connect() as connection:
        found = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
    walk(found[0]["Plan"])
    return steps


def test_the_floor_of_dispatch_finds_what_dispatch_finds_and_no_slower(crowd: Engine) -> None:
    sent: list[tuple[str, Any]] = []
    event.listen(
        crowd, "before_cursor_execute", lambda _c, _cursor, statement, given, *_: sent.append((statement, given))
    )
    with reading(crowd) as connection:
        ours = [tuple(row) for row in due_tasks(connection, NOW, CLAIM)]
    statement, given = sent[-1]
    with reading(crowd) as connection:
        theirs = [tuple(row) for row in connection.exec_driver_sql(LOOK, (NOW,))]
    assert len(ours) == CLAIM
    assert theirs == ours
    steps = plan(crowd, statement, given)
    assert ("Index Scan", "ix_tasks_due") in steps
    assert plan(crowd, LOOK, (NOW,)) == steps
    small = {("Seq Scan", "")}  # of the do-not-call list and the pauses, which claims ask beside
    assert [step for step in plan(crowd, CLAIM_BY_HAND, (NOW,)) if step not in small] == steps
