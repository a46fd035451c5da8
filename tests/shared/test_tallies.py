"""Tallies: what the triggers keep is what counting would find, whatever is written, and repaired if they were off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete, func, insert, select, text, update

from shared import tallies
from shared.database import _alembic, open_engine, reading, upgrade, writing
from shared.lifecycle import CallState, TaskState
from shared.schema import calls, tasks
from shared.schema import tallies as table
from tests.shared.tally_check import wrong_tallies


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path_factory.mktemp('tallies') / 'waihu.db'}"
    upgrade(url)
    engine = open_engine(url)
    yield engine
    engine.dispose()


def a_task(number: int, state: TaskState) -> dict[str, object]:
    return {
        "batch_id": number,
        "ticket_no": f"T{number}",
        "phone": "1",
        "number": "1",
        "line": "1",
        "username": "u",
        "ticket_type": "t",
        "ticket_content": "c",
        "digest": b"",
        "state": state,
        "state_at": 1,
        "created_at": 1,
    }


def a_call(number: int, state: CallState, call_type: str) -> dict[str, object]:
    return {
        "uuid": f"{number:019d}",
        "call_type": call_type,
        "state": state,
        "caller": "1",
        "number": f"{number}",
        "line": f"{number}",
        "telephone": "1",
        "created_at": 1,
    }


TASK_STEPS = st.tuples(st.sampled_from(["insert", "update", "delete"]), st.integers(1, 6), st.sampled_from(TaskState))
CALL_STEPS = st.tuples(
    st.sampled_from(["insert", "update", "delete"]),
    st.integers(1, 6),
    st.sampled_from(CallState),
    st.sampled_from(["01", "02", "03"]),
)


def write_task(connection: Connection, step: str, number: int, state: TaskState) -> None:
    exists = connection.execute(select(tasks.c.batch_id).where(tasks.c.batch_id == number)).first()
    if step == "insert" and exists is None:
        connection.execute(insert(tasks), a_task(number, state))
    elif step == "update":
        connection.execute(update(tasks).where(tasks.c.batch_id >= number).values(state=state, state_at=2))
    elif step == "delete":
        connection.execute(delete(tasks).where(tasks.c.batch_id == number))


def write_call(connection: Connection, step: str, number: int, state: CallState, call_type: str) -> None:
    uuid = f"{number:019d}"
    exists = connection.execute(select(calls.c.uuid).where(calls.c.uuid == uuid)).first()
    if step == "insert" and exists is None:
        connection.execute(insert(calls), a_call(number, state, call_type))
    elif step == "update":
        connection.execute(update(calls).where(calls.c.uuid <= uuid).values(state=state))
    elif step == "delete":
        connection.execute(delete(calls).where(calls.c.uuid == uuid))


@settings(max_examples=60, deadline=None)
@given(st.lists(TASK_STEPS, max_size=12), st.lists(CALL_STEPS, max_size=12), st.booleans())
def test_whatever_is_written_the_tallies_are_what_counting_finds(
    engine: Engine,
    of_tasks: list[tuple[str, int, TaskState]],
    of_calls: list[tuple[str, int, CallState, str]],
    undo: bool,
) -> None:
    with engine.connect() as connection, connection.begin() as transaction:
        for task_step in of_tasks:
            write_task(connection, *task_step)
        for call_step in of_calls:
            write_call(connection, *call_step)
        assert wrong_tallies(connection) == []
        assert tallies.count_tasks(connection) == connection.execute(select(func.count()).select_from(tasks)).scalar()
        transaction.rollback() if undo else transaction.commit()
    with reading(engine) as connection:
        assert wrong_tallies(connection) == []


def test_tallies_that_are_wrong_are_mended_by_a_count(engine: Engine) -> None:
    with writing(engine) as connection:
        for number, state in ((101, TaskState.COMPLETED), (102, TaskState.PENDING)):
            connection.execute(insert(tasks), a_task(number, state))
        right = tallies.count_tasks(connection), tallies.over(connection)
        connection.execute(update(table).values(amount=table.c.amount + 7))
        assert wrong_tallies(connection)
        assert tallies.repair(connection) > 0
        assert wrong_tallies(connection) == []
        assert (tallies.count_tasks(connection), tallies.over(connection)) == right
        assert tallies.repair(connection) == 0


def test_many_rows_become_few_and_say_the_same(engine: Engine) -> None:
    with writing(engine) as connection:
        row = {"kind": "call", "call_type": "02", "state": "ended", "amount": 1}
        connection.execute(insert(table), [row] * 300 + [row | {"amount": -1}] * 100)
        before = tallies.count_calls(connection, "02", frozenset({CallState.ENDED}))
        assert tallies.add_up(connection) > 400
        assert connection.execute(select(func.count()).select_from(table)).scalar_one() <= tallies.FEW
        assert tallies.count_calls(connection, "02", frozenset({CallState.ENDED})) == before
        assert tallies.add_up(connection) == 0
        tallies.repair(connection)


def test_an_upgrade_counts_what_was_there(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    command.upgrade(_alembic(url), "0007")
    engine = open_engine(url)
    with writing(engine) as connection:
        rows = [a_task(1, TaskState.COMPLETED), a_task(2, TaskState.PENDING), a_call(1, CallState.LOST, "03")]
        for row in rows:
            del row["line"]  # which came later
        connection.execute(insert(tasks), rows[:2])
        connection.execute(insert(calls), rows[2])
    upgrade(url)
    with writing(engine) as connection:
        assert wrong_tallies(connection) == []
        assert tallies.count_tasks(connection) == 2
        assert tallies.count_calls(connection, "03", frozenset({CallState.LOST})) == 1
        connection.execute(text("UPDATE tasks SET state = 'failed' WHERE batch_id = 2"))
        assert wrong_tallies(connection) == []
    engine.dispose()
