"""Tallies and the order of due tasks on a real PostgreSQL, where many write at once and statistics come late."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from shared import tallies
from shared.database import open_engine, writing
from shared.lifecycle import CallState
from tests.shared.tally_check import wrong_tallies
from workers.dispatch import due_tasks

_TASKS = """INSERT INTO tasks (batch_id, ticket_no, phone, number, line, username, ticket_type, ticket_content, digest, state, state_at,
        created_at, due_at)
    SELECT i, 'T' || i, '1', '138' || i, '138' || i, 'u', 't', 'c', '', CASE WHEN i % 3 = 0 THEN 'completed' ELSE 'pending' END, 1, 1,
        CASE WHEN i % 3 = 0 THEN NULL ELSE 1 END FROM generate_series(:first, :last) AS i"""
_CALLS = """INSERT INTO calls (uuid, batch_id, call_type, state, caller, number, line, telephone, created_at)
    SELECT 'u' || batch_id, batch_id, '02', CASE WHEN batch_id % 2 = 0 THEN 'answered' ELSE 'ended' END, '1', number, line, phone, 1
    FROM tasks WHERE state = 'completed'"""


@pytest.fixture
def engine(postgresql_url: str) -> Iterator[Engine]:
    engine = open_engine(postgresql_url)
    yield engine
    engine.dispose()


def make(connection: Connection, first: int, last: int) -> None:
    connection.execute(text(_TASKS), {"first": first, "last": last})


def test_one_row_a_statement_or_a_change_and_always_what_counting_finds(engine: Engine) -> None:
    with writing(engine) as connection:
        make(connection, 1, 90)
        connection.execute(text(_CALLS))
        assert wrong_tallies(connection) == []
        for change in (
            "UPDATE tasks SET state = 'stopped' WHERE batch_id < 40",
            "UPDATE tasks SET state = 'pending' WHERE batch_id < 20",
            "UPDATE tasks SET username = 'x'",
            "UPDATE calls SET state = 'lost' WHERE batch_id > 50",
            "DELETE FROM calls WHERE batch_id > 80",
            "DELETE FROM tasks WHERE batch_id > 80",
        ):
            connection.execute(text(change))
            assert wrong_tallies(connection) == [], change
        assert tallies.count_tasks(connection) == 80
        assert tallies.repair(connection) == 0
        assert tallies.add_up(connection) > tallies.FEW
        assert wrong_tallies(connection) == []
        connection.execute(text("TRUNCATE tasks, calls CASCADE"))
        assert wrong_tallies(connection) == []
        assert tallies.count_calls(connection, "02", frozenset({CallState.ENDED, CallState.LOST})) == 0


def test_nobody_waits_for_another_who_ends_tasks_or_adds_up(engine: Engine) -> None:
    with writing(engine) as connection:
        make(connection, 1, 400)
        connection.execute(text("UPDATE tasks SET state = 'stopped' WHERE batch_id <= 200"))
    with engine.connect() as first, first.begin(), engine.connect() as second, second.begin():
        for one, ids in ((first, "between 201 and 250"), (second, "between 251 and 300")):
            one.execute(text("SET LOCAL lock_timeout = '1s'"))
            assert tallies.add_up(one) > 0 or one is second
            one.execute(text(f"UPDATE tasks SET state = 'stopped' WHERE batch_id {ids}"))
            make(one, 1_000 if one is first else 2_000, 1_010 if one is first else 2_010)
    with writing(engine) as connection:
        assert wrong_tallies(connection) == []


def test_a_count_mends_what_was_written_past_the_triggers_while_others_write(engine: Engine) -> None:
    with writing(engine) as connection:
        make(connection, 1, 30)
    with writing(engine) as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        make(connection, 31, 60)
    with engine.connect() as other, other.begin():
        make(other, 61, 90)
        with writing(engine) as connection:
            assert len(wrong_tallies(connection)) == 2
            assert tallies.repair(connection) == 2
    with writing(engine) as connection:
        assert wrong_tallies(connection) == []


def test_due_tasks_are_read_along_their_index_before_there_are_statistics(engine: Engine) -> None:
    """A plan that sorts reads all that are due, at every claim."""
    heard: list[tuple[str, Any]] = []

    def hear(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        heard.append((statement, parameters))

    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE tasks SET (autovacuum_enabled = false)"))
        make(connection, 1, 20_000)
        event.listen(engine, "before_cursor_execute", hear)
        assert len(due_tasks(connection, 2, 100)) == 100
        event.remove(engine, "before_cursor_execute", hear)
        cursor = connection.connection.cursor()
        cursor.execute(f"EXPLAIN {heard[-1][0]}", heard[-1][1])
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Index Scan using ix_tasks_due" in plan
    assert "Sort" not in plan
