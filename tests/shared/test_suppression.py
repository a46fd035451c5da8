"""The do-not-call list: entries, and the tasks of those who come onto it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select

from shared.database import open_engine, reading, upgrade, writing
from shared.numbers import CHINA, line
from shared.schema import do_not_call, tasks, webhook_deliveries, webhook_endpoints
from shared.suppression import AT_ONCE, CUSTOMER, IMPORT, is_suppressed, suppress

NOW = 1_767_153_838_953
NUMBER, OTHER = "13800138000", "13900139000"
_ticket_numbers = itertools.count(1)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'waihu.db'}"
    upgrade(url)
    opened = open_engine(url)
    yield opened
    opened.dispose()


def add_task(engine: Engine, number: str = NUMBER, state: str = "pending") -> int:
    row = {
        "ticket_no": f"T{next(_ticket_numbers)}",
        "phone": number,
        "number": number,
        "line": line(number, CHINA),
        "username": "张三",
        "ticket_type": "回访",
        "ticket_content": "内容",
        "digest": b"0" * 16,
        "state": state,
        "state_at": NOW,
        "created_at": NOW,
        "due_at": NOW if state in ("pending", "retry_wait") else None,
    }
    with writing(engine) as connection:
        return int(connection.execute(insert(tasks).returning(tasks.c.batch_id), row).scalar_one())


def stored(engine: Engine, batch_id: int) -> Any:
    with reading(engine) as connection:
        return connection.execute(select(tasks).where(tasks.c.batch_id == batch_id)).one()


def entries(engine: Engine) -> list[tuple[str, str, str | None]]:
    with reading(engine) as connection:
        rows = connection.execute(select(do_not_call).order_by(do_not_call.c.number)).all()
    return [(row.number, row.source, row.call_uuid) for row in rows]


def test_waiting_tasks_of_the_number_are_stopped_for_good(engine: Engine) -> None:
    waiting, again = add_task(engine), add_task(engine, state="retry_wait")
    others = add_task(engine, OTHER)
    with writing(engine) as connection:
        connection.execute(insert(webhook_endpoints).values(url="http://x", secret="s", created_at=NOW))
        assert suppress(connection, [NUMBER], CUSTOMER, NOW + 5, call_uuid="2" * 19) == []
    assert entries(engine) == [(NUMBER, "customer", "2" * 19)]
    for batch_id in (waiting, again):
        task = stored(engine, batch_id)
        assert (task.state, task.connected, task.final_at, task.due_at) == ("stopped", False, NOW + 5, None)
        assert task.held_by == "do_not_call"
    assert stored(engine, others).state == "pending"
    with reading(engine) as connection:
        told = connection.execute(select(webhook_deliveries.c.batch_id)).scalars()
        assert sorted(told) == [waiting, again]


def test_live_ones_are_told_of_but_who_is_talking_is_not_cut_off(engine: Engine) -> None:
    states = {state: add_task(engine, state=state) for state in ("queued", "dialing", "in_call", "completed")}
    spared = add_task(engine, state="dialing")
    with writing(engine) as connection:
        live = suppress(connection, [NUMBER], CUSTOMER, NOW + 5, spare=spared)
    assert live == [states["queued"], states["dialing"]]
    after = {state: stored(engine, batch_id).state for state, batch_id in states.items()}
    assert after == {"queued": "stopping", "dialing": "stopping", "in_call": "in_call", "completed": "completed"}
    assert stored(engine, spared).state == "dialing"
    assert stored(engine, states["queued"]).stop_requested_at == NOW + 5


def test_an_entry_is_kept_as_it_was_first_made(engine: Engine) -> None:
    for source in (IMPORT, CUSTOMER):
        with writing(engine) as connection:
            suppress(connection, [NUMBER, NUMBER], source, NOW)
    assert entries(engine) == [(NUMBER, "import", None)]


def test_a_long_list_goes_in_pieces(engine: Engine) -> None:
    many = [f"138{index:08d}" for index in range(AT_ONCE + 10)]
    last = add_task(engine, many[-1])
    with writing(engine) as connection:
        suppress(connection, many, IMPORT, NOW)
    assert len(entries(engine)) == AT_ONCE + 10
    assert stored(engine, last).state == "stopped"


def test_a_query_can_ask_for_it(engine: Engine) -> None:
    add_task(engine)
    add_task(engine, OTHER)
    with writing(engine) as connection:
        suppress(connection, [OTHER], IMPORT, NOW)
        query = select(tasks.c.number).where(is_suppressed(tasks.c.line))
        found = connection.execute(query).scalars()
        assert list(found) == [OTHER]


SPELLINGS = ("13800138000", "+8613800138000", "8613800138000", "008613800138000", "013800138000")


@pytest.mark.parametrize("listed", SPELLINGS)
def test_a_number_is_on_the_list_with_and_without_its_country_code(engine: Engine, listed: str) -> None:
    waiting = {spelling: add_task(engine, spelling) for spelling in SPELLINGS}
    other = add_task(engine, OTHER)
    with writing(engine) as connection:
        suppress(connection, [listed], IMPORT, NOW)
    assert {stored(engine, batch_id).state for batch_id in waiting.values()} == {"stopped"}
    assert stored(engine, other).state == "pending"
    late = [add_task(engine, spelling) for spelling in SPELLINGS]
    with writing(engine) as connection:
        for spelling in SPELLINGS:
            suppress(connection, [spelling], CUSTOMER, NOW)
        query = select(tasks.c.batch_id).where(is_suppressed(tasks.c.line), tasks.c.state == "pending")
        found = connection.execute(query).scalars()
        assert list(found) == [] or sorted(found) == late
    assert entries(engine) == [(listed, "import", None)]


def test_whether_a_number_is_on_the_list_is_asked_of_an_index(engine: Engine) -> None:
    query = select(tasks.c.batch_id).where(is_suppressed(tasks.c.line))
    literal = query.compile(engine, compile_kwargs={"literal_binds": True}).string
    with reading(engine) as connection:
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {literal}")]
    assert any("USING" in step and "INDEX" in step and "(line=?)" in step for step in plan), plan
