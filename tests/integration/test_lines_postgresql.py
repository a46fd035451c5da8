"""Numbers compared as lines, and what goes by an index because of it, on PostgreSQL."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, select, text

from api.insertion import insert_tasks
from api.tickets import CheckedTicket, Ticket, digest
from shared import lines
from shared.database import _alembic, open_engine, reading, upgrade, writing
from shared.erasure import event_queries
from shared.numbers import line
from shared.schema import do_not_call, metadata, phone_events, tasks
from shared.suppression import IMPORT, is_suppressed, suppress
from tests.postgres import fresh_database
from tests.shared.old_numbers import BEFORE, OTHERS, SPELLINGS, make_old, require_lines, require_same_lines
from tests.shared.tally_check import wrong_tallies

PREFIXES = ("", "0", "86", "+86", "0086", "860", "+860", "00860", "+1", "001", "1")


@pytest.fixture
def old_url(postgresql_server: str) -> Iterator[str]:
    """An empty database without a schema."""
    with fresh_database(postgresql_server) as url:
        yield url


def test_tasks_and_calls_become_lines_and_live_calls_to_one_customer_are_let_be(old_url: str) -> None:
    engine = make_old(old_url)
    for _ in range(2):
        upgrade(old_url)
        with writing(engine) as connection:
            require_lines(connection)
            assert wrong_tallies(connection) == []
            live = connection.execute(text("SELECT count(*) FROM calls WHERE state = 'answered'")).scalar()
            assert live == len(SPELLINGS)
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []
        command.downgrade(_alembic(old_url), BEFORE)
    engine.dispose()


def test_all_lines_follow_a_country_that_changes(old_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "AT_ONCE", 2)
    engine = make_old(old_url)
    upgrade(old_url)
    for country in ("1", "852", "86"):
        with writing(engine) as connection:
            suppress(connection, [*SPELLINGS, *OTHERS[:-1]], IMPORT, 0)
            assert lines.change_country(connection, country)
        more = True
        while more:
            with writing(engine) as connection:
                more = lines.compute_some(connection)
        with reading(engine) as connection:
            require_lines(connection, country)
    engine.dispose()


def test_a_country_does_not_change_under_somebody_who_stores_lines_by_it(postgresql_url: str) -> None:
    """A batch that is being stored is stored, and followed."""
    engine = open_engine(postgresql_url)
    changed: list[bool] = []

    def change() -> None:
        with writing(engine) as connection:
            changed.append(lines.change_country(connection, "1"))
            while lines.compute_some(connection):
                pass

    with writing(engine) as storing:
        ticket = Ticket("T", "4155550100", "n", "t", "c")
        insert_tasks(storing, [CheckedTicket(ticket, ticket.phone, "", digest(ticket))], 1)
        rival = threading.Thread(target=change)
        rival.start()
        rival.join(0.5)
        assert changed == []
    rival.join(30)
    assert changed == [True]
    with reading(engine) as connection:
        assert connection.execute(select(tasks.c.line)).scalar_one() == "+14155550100"
    engine.dispose()


@pytest.mark.parametrize("country", ["86", "1", "852"])
def test_the_migration_to_lines_and_python_say_the_same_of_every_number(postgresql_url: str, country: str) -> None:
    luck = random.Random(1)
    made = [luck.choice(PREFIXES) + str(luck.randrange(10 ** luck.randint(3, 12))).zfill(3) for _ in range(300)]
    engine = open_engine(postgresql_url)
    with reading(engine) as connection:
        require_same_lines(connection, ["", *made], country)
    engine.dispose()


def test_a_long_list_costs_each_task_one_look(postgresql_url: str) -> None:
    engine = open_engine(postgresql_url)
    with writing(engine) as connection:
        suppress(connection, [f"138{number:08d}" for number in range(20_000)], IMPORT, 0)
        connection.execute(text("ANALYZE do_not_call"))
    query = select(tasks.c.batch_id).where(tasks.c.due_at <= 1, is_suppressed(tasks.c.line)).limit(10)
    with reading(engine) as connection:
        literal = query.compile(engine, compile_kwargs={"literal_binds": True}).string
        plan = "\n".join(connection.execute(text(f"EXPLAIN {literal}")).scalars())
    engine.dispose()
    assert "uq_do_not_call_line" in plan or "Hash" in plan, plan
    assert "Seq Scan on do_not_call" not in plan or "Hash" in plan, plan


def test_erasing_one_customer_does_not_read_the_whole_inbox(postgresql_url: str) -> None:
    engine = open_engine(postgresql_url)
    event = {"received_at": 0, "event_name": "cdr", "applied_at": 0, "body": {"callee": "13900139000"}}
    rows = [
        event | {"call_uuid": str(number).zfill(19), "call_id": f"c{number}", "request_id": str(number).zfill(19)}
        for number in range(20_000)
    ]
    with writing(engine) as connection:
        connection.execute(insert(phone_events), rows)
        connection.execute(text("ANALYZE phone_events"))
    with reading(engine) as connection:
        for query in (query for exten in ("", "8001") for query in event_queries("+8613800138000", exten, "86")):
            literal = query.compile(engine, compile_kwargs={"literal_binds": True}).string
            plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {literal}".replace("%", "%%")).scalars())
            assert "Seq Scan on phone_events" not in plan, plan
            assert "ix_phone_events_" in plan, plan
    engine.dispose()


def test_of_two_spellings_at_once_one_entry_stays(postgresql_url: str) -> None:
    engine = open_engine(postgresql_url)
    with writing(engine) as connection:
        suppress(connection, ["13800138000", "+8613800138000", "008613800138000"], IMPORT, 0)
    with reading(engine) as connection:
        rows = connection.execute(select(do_not_call.c.number, do_not_call.c.line)).all()
    engine.dispose()
    assert [row.line for row in rows] == [line("13800138000", "86")]
