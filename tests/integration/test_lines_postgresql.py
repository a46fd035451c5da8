"""Numbers compared as lines, and what goes by an index because of it, on PostgreSQL."""

from __future__ import annotations

import random

from sqlalchemy import insert, select, text

from shared.database import open_engine, reading, writing
from shared.erasure import event_queries
from shared.numbers import line
from shared.schema import do_not_call, phone_events, tasks
from shared.suppression import IMPORT, is_suppressed, suppress
from tests.shared.test_suppression import assert_sql_agrees

PREFIXES = ("", "0", "86", "+86", "0086", "860", "+860", "00860", "+1", "001", "1")


def drawn(count: int) -> list[str]:
    luck = random.Random(1)
    return [luck.choice(PREFIXES) + str(luck.randrange(10 ** luck.randint(3, 12))).zfill(3) for _ in range(count)]


def test_sql_and_python_say_the_same_of_every_number(postgresql_url: str) -> None:
    engine = open_engine(postgresql_url)
    with reading(engine) as connection:
        for country in ("86", "1", "852"):
            assert_sql_agrees(connection, ["", *drawn(300)], country)
    engine.dispose()


def test_a_long_list_costs_each_task_one_look(postgresql_url: str) -> None:
    engine = open_engine(postgresql_url)
    with writing(engine) as connection:
        suppress(connection, [f"138{number:08d}" for number in range(20_000)], IMPORT, 0, country="86")
        connection.execute(text("ANALYZE do_not_call"))
    query = select(tasks.c.batch_id).where(tasks.c.due_at <= 1, is_suppressed(tasks.c.number)).limit(10)
    query = query.params(country="86")
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
        for query in event_queries(["13800138000", "+8613800138000"]):
            literal = query.compile(engine, compile_kwargs={"literal_binds": True}).string
            plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {literal}".replace("%", "%%")).scalars())
            assert "Seq Scan on phone_events" not in plan, plan
            assert "ix_phone_events_" in plan, plan
    engine.dispose()


def test_of_two_spellings_at_once_one_entry_stays(postgresql_url: str) -> None:
    engine = open_engine(postgresql_url)
    with writing(engine) as connection:
        suppress(connection, ["13800138000", "+8613800138000", "008613800138000"], IMPORT, 0, country="86")
    with reading(engine) as connection:
        rows = connection.execute(select(do_not_call.c.number, do_not_call.c.line)).all()
    engine.dispose()
    assert [row.line for row in rows] == [line("13800138000", "86")]
