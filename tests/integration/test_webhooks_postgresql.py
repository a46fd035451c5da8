"""Webhooks on a real PostgreSQL: claims that pass over each other's rows, ends written once, and the indexes they walk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select, insert, text
from sqlalchemy.dialects import postgresql

from api import webhooks
from api.stopping import stop
from shared.clock import FakeClock
from shared.database import reading, writing
from shared.outbox import DEAD, TASK_FINISHED, WAITING, delivery_id, record_final
from shared.schema import webhook_deliveries
from tests.workers.twins import START_MS, Office, running_redis
from tests.workers.webhooks.desk import add_call, deliveries, finish, finished, post_round, register, remove
from tests.workers.webhooks.receiver import Receiver
from workers.sweep import sweep
from workers.webhooks.delivery import claim, due_endpoints, send_webhooks


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def open_office(tmp_path: Path, postgresql_url: str, redis_server: str) -> Iterator[Callable[[], Office]]:
    """Worker processes of one house."""
    offices: list[Office] = []
    clock = FakeClock(START_MS)

    def open_one() -> Office:
        offices.append(Office(tmp_path, postgresql_url, redis_server, clock=clock, webhook_private="1"))
        return offices[-1]

    yield open_one
    for office in offices:
        office.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as opened:
        yield opened


def test_three_workers_at_once_send_each_delivery_once(open_office: Callable[[], Office], receiver: Receiver) -> None:
    offices = [open_office() for _ in range(3)]
    register(offices[0], receiver.url)
    batch_ids = finished(offices[0], 120)
    for office in offices:
        send_webhooks(office.house)
    for office in offices:
        assert office.house.couriers.wait_idle(60)
    told = Counter(one.body["task"]["batchId"] for one in receiver.received)
    assert told == dict.fromkeys(batch_ids, 1)
    assert {(row.state, row.attempts) for row in deliveries(offices[0])} == {("delivered", 1)}


def test_a_claim_passes_over_what_another_transaction_holds(open_office: Callable[[], Office]) -> None:
    office = open_office()
    endpoint_id = register(office, "http://127.0.0.1:9000/")
    finished(office, 2)
    with office.house.write() as first, office.house.write() as second, office.house.write() as third:
        one, two = claim(first, endpoint_id, office.now), claim(second, endpoint_id, office.now)
        assert one is not None
        assert two is not None
        assert one.id != two.id
        assert claim(third, endpoint_id, office.now) is None


def test_the_way_of_a_delivery(open_office: Callable[[], Office], receiver: Receiver) -> None:
    office = open_office()
    receiver.answers = [500]
    removed = register(office, "http://127.0.0.1:9000/")
    register(office, receiver.url)
    batch_id = office.ticket()
    uuid = add_call(office, batch_id, answered_at=office.now, dialogue=[{"role": "user", "content": "好"}])
    finish(office, batch_id, "completed", True)
    remove(office, removed)
    sweep(office.house)
    post_round(office)
    office.advance(10)
    post_round(office)
    assert [one.body["record"]["uuid"] for one in receiver.received] == [uuid, uuid]
    assert sorted((row.endpoint_id, row.state) for row in deliveries(office)) == [(1, "dead"), (2, "delivered")]


def test_stops_and_ends_at_once_are_written_once(open_office: Callable[[], Office]) -> None:
    office = open_office()
    register(office, "http://127.0.0.1:9000/")
    batch_ids = office.tickets(300)
    assert stop(office.house.engine, batch_ids, office.now, "crm") == []
    with writing(office.house.engine) as connection:
        record_final(connection, [*batch_ids, *batch_ids], office.now)
    rows = deliveries(office)
    assert [row.batch_id for row in rows] == batch_ids
    assert {row.id for row in rows} == {delivery_id(1, batch_id, office.now) for batch_id in batch_ids}

    with writing(office.house.engine) as connection:
        replayed = [webhooks.replay(connection, wanted, office.now + 5, actor="crm") for wanted in (rows[0].id, "none")]
    assert replayed[0] is not None
    assert (replayed[0]["state"], replayed[0]["due_at"], replayed[1]) == ("waiting", office.now + 5, None)


@pytest.fixture
def full(open_office: Callable[[], Office]) -> Office:
    """A hundred thousand deliveries: most were delivered, one receiver is away, a few are dead."""
    office = open_office()
    away, other = register(office, "http://127.0.0.1:9000/"), register(office, "http://127.0.0.1:9001/")
    rows: list[dict[str, Any]] = []
    for batch_id in range(1, 100_001):
        state = WAITING if batch_id % 5 == 0 else DEAD if batch_id % 1000 == 1 else "delivered"
        due_at = office.now - batch_id if state == WAITING else None
        endpoint_id = other if batch_id == 50_000 else away
        rows.append(
            {
                "id": delivery_id(endpoint_id, batch_id, 1),
                "endpoint_id": endpoint_id,
                "batch_id": batch_id,
                "event": TASK_FINISHED,
                "state": state,
                "due_at": due_at,
                "created_at": office.now - 86_400_000 + batch_id,
            }
        )
    with writing(office.house.engine) as connection:
        connection.execute(insert(webhook_deliveries), rows)
    with office.house.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    return office


def cost(office: Office, statement: Select[Any] | str) -> tuple[str, int]:
    """The plan, and how many pages it touched."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    compiled = (
        statement
        if isinstance(statement, str)
        else str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    )
    with reading(office.house.engine) as connection:
        [(document,)] = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {compiled}").all()
    plan = document[0]["Plan"]
    return str(plan), plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def test_a_backlog_for_one_receiver_costs_another_nothing(full: Office) -> None:
    with full.house.write() as connection:
        claimed = claim(connection, 2, full.now)
        assert claimed is not None
        assert claimed.batch_id == 50_000
    plan, pages = cost(
        full,
        "SELECT id FROM webhook_deliveries WHERE state = 'waiting' AND endpoint_id = 1 "
        f"AND due_at <= {full.now} ORDER BY due_at LIMIT 1",
    )
    assert "ix_webhook_deliveries_due" in plan
    assert pages < 50
    with reading(full.house.engine) as connection:
        assert due_endpoints(connection, full.now) == ([1], [])


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (webhooks.DeliveryQuery(1, 50, None, None), "ix_webhook_deliveries_created_at"),
        (webhooks.DeliveryQuery(1, 50, "delivered", None), "ix_webhook_deliveries_created_at"),
        (webhooks.DeliveryQuery(1, 50, "dead", None), "ix_webhook_deliveries_dead"),
        (webhooks.DeliveryQuery(1, 50, None, 777), "ix_webhook_deliveries_batch_id"),
    ],
)
def test_every_listing_walks_an_index(full: Office, query: webhooks.DeliveryQuery, index: str) -> None:
    plan, pages = cost(full, webhooks.page_of(query))
    assert index in plan
    assert pages < 300
