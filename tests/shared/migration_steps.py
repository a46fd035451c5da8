"""Down through every migration and up again with rows in all tables that they change. For SQLite and PostgreSQL."""

from __future__ import annotations

from collections import Counter

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, text

from shared.database import MIGRATIONS, _alembic, open_engine, upgrade, writing
from shared.schema import audit, calls, do_not_call, idempotency_keys, pauses, phone_events, tasks
from tests.shared.tally_check import wrong_tallies

FROM_THE_FIRST = ("tasks", "calls", "phone_events", "idempotency_keys")
_TASK = {
    "phone": "13800138000",
    "number": "13800138000",
    "line": "+8613800138000",
    "username": "张三",
    "ticket_type": "回访",
    "ticket_content": "x",
    "digest": b"\0" * 16,
    "state_at": 1,
    "created_at": 1,
}
_CALL = {"call_type": "02", "caller": "0571", "telephone": "13800138000", "created_at": 1}


def require_steps(url: str) -> None:
    """Raises AssertionError, or what the database says, at the first step that loses a row or fails."""
    upgrade(url)
    engine = open_engine(url)
    with writing(engine) as connection:
        _fill(connection)
        before = _count(connection)
    steps = [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]
    for down in steps[1:]:
        command.downgrade(_alembic(url), down)
        with writing(engine) as connection:
            assert _count(connection) == before, down
    for up in reversed(steps[:-1]):
        command.upgrade(_alembic(url), up)
        with writing(engine) as connection:
            assert _count(connection) == before, up
    with writing(engine) as connection:
        assert wrong_tallies(connection) == []
        if connection.dialect.name == "sqlite":
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
    command.downgrade(_alembic(url), "base")
    upgrade(url)
    with writing(engine) as connection:
        assert _count(connection) == Counter()
    engine.dispose()


def _fill(connection: Connection) -> None:
    for place, (task, call) in enumerate((("completed", "ended"), ("in_call", "answered"), ("pending", "unplaced"))):
        row = _TASK | {"ticket_no": f"T{place}", "state": task}
        batch_id = connection.execute(insert(tasks).values(row).returning(tasks.c.batch_id)).scalar_one()
        number = f"1380013800{place}"
        row = _CALL | {"uuid": f"{place:019d}", "batch_id": batch_id, "state": call, "call_id": f"c{place}"}
        connection.execute(insert(calls).values(row | {"number": number, "line": f"+86{number}", "dialogue": []}))
    event = {"received_at": 1, "event_name": "cdr", "body": {}}
    connection.execute(insert(phone_events).values(event))
    key = {"key": "k", "digest": b"\0" * 32, "response": b"{}", "created_at": 1}
    connection.execute(insert(idempotency_keys).values(key))
    entry = {"number": "13800138000", "line": "+8613800138000", "source": "person", "created_at": 1}
    connection.execute(insert(do_not_call).values(entry))
    connection.execute(insert(pauses).values(ticket_type="", created_at=1))
    connection.execute(insert(audit).values(at=1, actor="cli:x", action="pause", detail={}))


def _count(connection: Connection) -> Counter[str]:
    """Rows of the tables that are there at every step."""
    return +Counter(
        {table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in FROM_THE_FIRST}
    )
