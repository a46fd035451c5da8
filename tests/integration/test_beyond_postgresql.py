"""Schedules, dialling again, statistics, lists, keys and erasure on a real PostgreSQL, where their SQL differs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.exc import DBAPIError

from api.app import create_app
from api.house import EXTENSION
from shared import api_keys
from shared.clock import FakeClock
from shared.database import is_transient, open_engine, reading, writing
from shared.schema import audit, calls, phone_events, tasks
from shared.settings import load

NOON = 1_767_585_600_000  # 2026-01-05 12:00:00 in Shanghai
TICKET = {
    "ticketNo": "A",
    "phone": "13800138000",
    "username": "张三",
    "ticketType": "回访",
    "ticketContent": "内\\容\t1",
}
AT_ONCE = 6


class SilentBell:
    def ring(self, name: str, *args: Any) -> bool:
        return True


@pytest.fixture
def engine(postgresql_url: str) -> Iterator[Engine]:
    made = open_engine(postgresql_url)
    yield made
    made.dispose()


@pytest.fixture
def app(engine: Engine, tmp_path: Path) -> Iterator[Flask]:
    settings = load({}, tmp_path)
    made = create_app(replace(settings), engine, SilentBell(), FakeClock(NOON))
    yield made
    made.extensions[EXTENSION].ringer.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def call(engine: Engine, batch_id: int, uuid: str, **values: Any) -> None:
    row = {"uuid": uuid, "batch_id": batch_id, "call_type": "02", "state": "ended", "caller": "0571"}
    row |= {"number": "13800138000", "line": "+8613800138000", "telephone": "13800138000", "created_at": NOON}
    with writing(engine) as connection:
        connection.execute(insert(calls).values(row | values))


def test_schedules_go_in_with_copy(client: FlaskClient, engine: Engine) -> None:
    batch = [TICKET | {"priority": -3, "timezone": "Asia/Tokyo", "notBefore": "2026-01-06T10:00:00"}]
    batch.append(TICKET | {"ticketNo": "B", "expiresAt": "2026-01-06T10:00:00Z"})
    assert client.post("/api/v1/tasks", json=batch).status_code == 201
    with reading(engine) as connection:
        rows = connection.execute(select(tasks).order_by(tasks.c.batch_id)).all()
    assert [(row.priority, row.zone, row.due_at, row.expires_at) for row in rows] == [
        (-3, "Asia/Tokyo", 1_767_661_200_000, None),
        (0, None, NOON, 1_767_693_600_000),
    ]
    assert rows[0].ticket_content == TICKET["ticketContent"]


def test_of_many_who_dial_a_task_again_one_does(app: Flask, engine: Engine) -> None:
    batch_id = app.test_client().post("/api/v1/tasks", json=[TICKET]).json["tasks"][0]["batchId"]
    with writing(engine) as connection:
        connection.execute(tasks.update().values(state="failed", final_at=NOON, state_at=1))
    together = threading.Barrier(AT_ONCE)

    def send(_: int) -> int:
        client = app.test_client()
        together.wait(30)
        return client.post(f"/api/v1/tasks/{batch_id}/redial", json={"reason": "x"}).status_code

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = set(pool.map(send, range(AT_ONCE)))
    # The clock stands still, so whoever comes second looks like a repetition of the same request.
    assert answers == {202}
    with reading(engine) as connection:
        assert connection.execute(select(tasks.c.state)).scalar_one() == "pending"
        assert len(connection.execute(select(audit).where(audit.c.action == "redial")).all()) == 1


def test_statistics(client: FlaskClient, engine: Engine) -> None:
    batch_id = client.post("/api/v1/tasks", json=[TICKET]).json["tasks"][0]["batchId"]
    call(engine, batch_id, "1" * 19)
    call(engine, batch_id, "2" * 19, created_at=NOON + 3_600_000, answered_at=NOON + 3_600_000, time_len=25)
    query = "from=2026-01-05 00:00:00&to=2026-01-05 23:59:59&groupBy=hour,caller,ticketType"
    document = client.get(f"/api/v1/stats/calls?{query}").json
    total = document["total"]
    assert (total["attempts"], total["answerSeizureRatio"], total["averageCallSeconds"]) == (2, 0.5, 25.0)
    assert (total["connectRate"], total["shortCalls"]) == (1.0, 0)
    assert [(row["hour"], row["caller"], row["ticketType"], row["attempts"]) for row in document["rows"]] == [
        ("2026-01-05T12:00:00.000+08:00", "0571", "回访", 1),
        ("2026-01-05T13:00:00.000+08:00", "0571", "回访", 1),
    ]


def test_the_do_not_call_list_and_pauses(client: FlaskClient) -> None:
    lines = "\n".join(f"138{index:08d}" for index in range(6_000))
    path = "/api/v1/do-not-call"
    assert client.post(f"{path}/import", data=lines.encode(), content_type="text/csv").json["added"] == 6_000
    assert client.get(f"{path}/export").text.count("\r\n") == 6_001
    assert client.delete(f"{path}/13800000001").status_code == 204
    assert client.get(path).json["total"] == 5_999
    assert client.post("/api/v1/pause", json={"ticketType": "回访"}).json["rows"][0]["ticketType"] == "回访"
    assert client.post("/api/v1/resume", json={"ticketType": "回访"}).json["rows"] == []


def test_a_key_and_its_scope(client: FlaskClient, engine: Engine) -> None:
    with writing(engine) as connection:
        key = api_keys.add(connection, "crm", ["read"], 1, actor="cli:test")
    assert client.get("/api/v1/stats").status_code == 401
    assert client.get("/api/v1/stats", headers={"X-API-Key": key}).status_code == 200
    assert client.get("/api/v1/audit", headers={"X-API-Key": key}).status_code == 403


def test_a_customer_is_erased(client: FlaskClient, engine: Engine) -> None:
    batch_id = client.post("/api/v1/tasks", json=[TICKET]).json["tasks"][0]["batchId"]
    call(engine, batch_id, "1" * 19, call_id="theirs", dialogue=[{"role": "user", "content": "好"}])
    with writing(engine) as connection:
        for body in ({"callee": "13800138000"}, {"callee": 13800138000}, {"callee": 138001380001}):
            row = {"received_at": NOON, "event_name": "cdr", "body": body}
            connection.execute(insert(phone_events).values(row))
    proof = client.post("/api/v1/erasures", json={"number": "13800138000", "reason": "来函"}).json
    assert (proof["erased"]["tasks"], proof["erased"]["calls"], proof["erased"]["events"]) == (1, 1, 2)
    assert set(proof["remaining"].values()) == {0}
    with reading(engine) as connection:
        assert connection.execute(select(tasks.c.state, tasks.c.ticket_no)).one() == ("stopped", f"erased-{batch_id}")
        assert connection.execute(select(calls.c.dialogue)).scalar_one() == []


def test_a_process_that_stands_still_in_a_transaction_gives_up_its_locks(
    engine: Engine, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.database.IDLE_TIMEOUT_MS", 300)
    still = open_engine(postgresql_url)
    lock = text("SELECT pg_advisory_xact_lock(7)")
    with still.connect() as asleep:
        asleep.begin()
        asleep.execute(lock)
        with writing(engine) as connection:
            connection.execute(lock)  # comes back once the other was ended
        with pytest.raises(DBAPIError) as raised:
            asleep.execute(text("SELECT 1"))
    assert is_transient(raised.value)
    still.dispose()
