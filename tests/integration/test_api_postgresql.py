"""The API on a real PostgreSQL: COPY, races between transactions, row locks, and the plans of its queries."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, Engine, Select, func, insert, select, text, update

from api import record_list, repeats, task_list
from api.app import create_app
from api.envelope import ParameterError, encode
from api.fields import Fields
from api.house import EXTENSION
from api.intake import envelope, take_in
from api.stopping import stop
from api.tickets import CheckedTicket, read
from shared.clock import SystemClock
from shared.database import open_engine, reading, writing
from shared.lifecycle import FINAL_TASKS, Task, TaskState, stopped
from shared.schema import phone_events, tasks
from shared.settings import load

AT_ONCE = 6
BATCH = 1000
TICKET = {
    "ticketNo": "T20231001001",
    "phone": "0571-88001234",
    "username": "张三",
    "ticketType": "活动通知1",
    "ticketContent": "尊敬的张三先生，提醒您参加我们本周末的线下优惠活动。",
}


class RememberingBell:
    """A twin of the doorbell."""

    def __init__(self) -> None:
        self.rung: list[tuple[str, tuple[Any, ...]]] = []

    def ring(self, name: str, *args: Any) -> bool:
        self.rung.append((name, args))
        return True


@pytest.fixture
def engine(postgresql_url: str) -> Iterator[Engine]:
    made = open_engine(postgresql_url)
    yield made
    made.dispose()


@pytest.fixture
def app(engine: Engine, postgresql_url: str, tmp_path: Path) -> Iterator[Flask]:
    settings = replace(load({}, tmp_path), database_url=postgresql_url)
    made = create_app(settings, engine, RememberingBell(), SystemClock())
    yield made
    made.extensions[EXTENSION].ringer.close()


@pytest.fixture
def stored(engine: Engine) -> Callable[[], list[dict[str, Any]]]:
    def read() -> list[dict[str, Any]]:
        with reading(engine) as connection:
            return [dict(row) for row in connection.execute(select(tasks).order_by(tasks.c.batch_id)).mappings()]

    return read


def batch(count: int = BATCH, **changed: Any) -> list[dict[str, Any]]:
    return [TICKET | {"ticketNo": f"T{index:05d}"} | changed for index in range(count)]


def all_at_once(app: Flask, path: str, requests: list[dict[str, Any]]) -> list[Any]:
    together = threading.Barrier(len(requests))

    def send(options: dict[str, Any]) -> Any:
        client = app.test_client()
        together.wait(30)
        return client.post(path, **options)

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(send, requests))


def test_every_column_of_a_task_arrives_through_copy(app: Flask, stored: Any) -> None:
    awkward = "🎉 \\N \\. \\\\ \t tab \r\n line \"quoted\" 'single' \u2028 \x01"
    ticket = TICKET | {"ticketNo": awkward, "username": awkward, "ticketType": awkward, "ticketContent": awkward}
    answer = app.test_client().post("/api/aicall/createTasks", json=[ticket, TICKET]).json
    first, second = stored()
    assert [item["batchId"] for item in answer["data"]] == [first["batch_id"], second["batch_id"]]
    for column in ("ticket_no", "username", "ticket_type", "ticket_content"):
        assert first[column] == awkward
    assert (first["phone"], first["number"], first["exten"]) == ("0571-88001234", "057188001234", "")
    assert (second["state"], second["due_at"], second["priority"]) == ("pending", second["created_at"], 0)
    assert len(bytes(first["digest"])) == 16


def test_ids_come_in_the_order_of_the_tickets_however_these_are_numbered(app: Flask, stored: Any) -> None:
    tickets = batch()[::-1]
    answer = app.test_client().post("/api/aicall/createTasks", json=tickets).json
    ids = [item["batchId"] for item in answer["data"]]
    assert ids == sorted(ids)
    assert {row["batch_id"]: row["ticket_no"] for row in stored()} == {
        item["batchId"]: item["ticketNo"] for item in answer["data"]
    }


def test_the_same_batch_at_the_same_time_makes_its_tasks_once(app: Flask, stored: Any) -> None:
    answers = all_at_once(app, "/api/aicall/createTasks", [{"json": batch()}] * AT_ONCE)
    assert [answer.status_code for answer in answers] == [200] * AT_ONCE
    assert len({answer.data for answer in answers}) == 1
    assert len(stored()) == BATCH


def test_batches_that_overlap_in_opposite_order_do_not_deadlock(app: Flask, stored: Any) -> None:
    forward, backward = {"json": batch()}, {"json": batch()[::-1]}
    answers = all_at_once(app, "/api/aicall/createTasks", [forward, backward] * (AT_ONCE // 2))
    pairs = [{item["ticketNo"]: item["batchId"] for item in answer.json["data"]} for answer in answers]
    assert all(pair == pairs[0] for pair in pairs)
    assert len(stored()) == BATCH


def test_one_ticket_with_other_bodies_at_the_same_time_lets_one_win(app: Flask, stored: Any) -> None:
    requests = [{"json": [*batch(50, username=f"张{index}")]} for index in range(AT_ONCE)]
    answers = all_at_once(app, "/api/aicall/createTasks", requests)
    assert sorted(answer.json["code"] for answer in answers) == [200] + [405] * (AT_ONCE - 1)
    assert len({row["username"] for row in stored()}) == 1


def test_the_same_key_at_the_same_time_is_answered_word_for_word(app: Flask, stored: Any) -> None:
    request = {"json": batch(), "headers": {"Idempotency-Key": "k"}}
    answers = all_at_once(app, "/api/aicall/createTasks", [request] * AT_ONCE)
    assert len({answer.data for answer in answers}) == 1
    assert sorted("Idempotency-Replayed" in answer.headers for answer in answers) == [False] + [True] * (AT_ONCE - 1)
    assert len(stored()) == BATCH


def test_the_same_key_with_other_bodies_at_the_same_time_lets_one_win(app: Flask, stored: Any) -> None:
    requests = [
        {"json": [TICKET | {"ticketNo": f"T{index}"}], "headers": {"Idempotency-Key": "k"}} for index in range(AT_ONCE)
    ]
    answers = all_at_once(app, "/api/aicall/createTasks", requests)
    assert sorted(answer.json["code"] for answer in answers) == [200] + [405] * (AT_ONCE - 1)
    assert len(stored()) == 1


def test_a_ticket_is_free_again_once_its_task_is_final_and_old(app: Flask, engine: Engine, stored: Any) -> None:
    client = app.test_client()
    first = client.post("/api/aicall/createTasks", json=[TICKET]).json["data"][0]["batchId"]
    with writing(engine) as connection:
        connection.execute(tasks.update().values(state="completed", created_at=0))
    second = client.post("/api/aicall/createTasks", json=[TICKET]).json["data"][0]["batchId"]
    assert second > first
    assert [row["state"] for row in stored()] == ["completed", "pending"]


def test_a_row_that_the_database_refuses_leaves_nothing_of_its_batch(app: Flask, engine: Engine, stored: Any) -> None:
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE tasks ADD CHECK (ticket_no <> 'T00500')"))
    response = app.test_client().post("/api/aicall/createTasks", json=batch())
    assert (response.status_code, response.json["code"]) == (500, 500)
    assert "T00500" not in response.text
    assert stored() == []


def test_a_connection_that_died_in_the_pool_is_replaced(app: Flask, engine: Engine, stored: Any) -> None:
    client = app.test_client()
    assert client.post("/api/aicall/createTasks", json=batch(1)).json["code"] == 200
    with writing(engine) as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        )
        assert client.post("/api/aicall/createTasks", json=batch(2)).json["code"] == 200
    assert len(stored()) == 2


def test_a_connection_that_dies_under_copy_is_tried_again(app: Flask, engine: Engine, stored: Any) -> None:
    """The batch waits for a row that another transaction holds; its backend is shot there; the retry then succeeds."""
    posted: list[Any] = []
    with writing(engine) as holder:
        row = {"ticket_no": "T00005", "phone": "1", "number": "1", "line": "1", "username": "n", "ticket_type": "t"}
        row |= {"ticket_content": "c", "digest": b"0" * 16, "state_at": 0, "created_at": 0}
        holder.execute(insert(tasks).values(row))
        poster = threading.Thread(
            target=lambda: posted.append(app.test_client().post("/api/aicall/createTasks", json=batch(10)))
        )
        poster.start()
        waiting = text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        pause = threading.Event()
        for _ in range(600):
            with writing(engine) as killer:
                if killer.execute(waiting).all():
                    break
            pause.wait(0.05)
        else:
            pytest.fail("the batch never waited for the row")
        holder.rollback()
    poster.join(60)
    assert posted[0].json["code"] == 200
    assert len(stored()) == 10


@pytest.mark.parametrize("asked_before", [None, 1000])
def test_stopping_in_sql_agrees_with_the_lifecycle(engine: Engine, stored: Any, asked_before: int | None) -> None:
    now, before = 5000, 900
    expected = {}
    with writing(engine) as connection:
        for index, state in enumerate(TaskState):
            final = state in FINAL_TASKS
            known: dict[str, Any] = {
                "batch_id": index,
                "state": state,
                "stop_requested_at": asked_before,
                "connected": True if final else None,
                "due_at": None if final else 5,
                "final_at": 7 if final else None,
            }
            row = {
                "ticket_no": str(state),
                "phone": "1",
                "number": "1",
                "line": "1",
                "username": "n",
                "ticket_type": "t",
            }
            row |= {"ticket_content": "c", "digest": b"0" * 16, "state_at": before, "created_at": 0}
            connection.execute(insert(tasks).values(row | known))
            expected[index] = stopped(Task(**known), now)
    live = stop(engine, list(expected), now, "crm")
    for row in stored():
        task = expected[row["batch_id"]]
        seen = Task(
            **{name: row[name] for name in ("batch_id", "stop_requested_at", "connected", "due_at", "final_at")},
            state=TaskState(row["state"]),
        )
        assert seen == task
    assert live == [batch_id for batch_id, task in expected.items() if task.state is TaskState.STOPPING]


def test_stops_in_opposite_order_at_the_same_time_do_not_deadlock(app: Flask, stored: Any) -> None:
    made = app.test_client().post("/api/aicall/createTasks", json=batch()).json["data"]
    ids = [item["batchId"] for item in made]
    answers = all_at_once(
        app, "/api/aicall/stopTasks", [{"json": {"batchIds": ids}}, {"json": {"batchIds": ids[::-1]}}] * (AT_ONCE // 2)
    )
    assert {answer.json["code"] for answer in answers} == {0}
    assert {row["state"] for row in stored()} == {"stopped"}


def test_events_are_stored_as_they_came_and_in_order(app: Flask, engine: Engine) -> None:
    client = app.test_client()
    events = [
        {"event_name": "cdr", "call_id": f"c{index}", "pay_load": [{"n": index, "text": "🎉"}]} for index in range(300)
    ]
    assert client.post("/api/phone/events", json=events).json == {"code": 0, "msg": "ok"}
    assert client.post("/api/phone/events", json={"event_name": "x\0y" * 50, "call_id": "c" * 500}).json["code"] == 0
    huge = b'{"event_name": "n", "n": ' + b"9" * 1000 + b"}"
    assert client.post("/api/phone/events", data=huge).status_code in (200, 400)
    deep = b'{"event_name": "n", "x": ' + b"[" * 900 + b"]" * 900 + b"}"
    assert client.post("/api/phone/events", data=deep).status_code in (200, 400)
    with reading(engine) as connection:
        rows = connection.execute(select(phone_events.c.body).order_by(phone_events.c.id).limit(300)).scalars().all()
    assert rows == events


def test_queries_of_every_kind_of_character_are_answered(app: Flask) -> None:
    client = app.test_client()
    for value in ("%", "_", "'", "\\", '"', "🎉", ":x", "%(x)s", "$1", "\x01"):
        answer = client.post("/api/aicall/records/list", json={"callType": "02", "uuid": value, "extnum": value}).json
        assert (answer["code"], answer["total"]) == (0, 0)
        assert client.get("/api/v1/calls/" + value.replace("%", "%25")).status_code == 404


# --- plans -----------------------------------------------------------------------------------------------------------

TASKS, CALLS = 50_000, 50_000


@pytest.fixture(scope="module")
def full_engine(postgresql_server: str) -> Iterator[Engine]:
    """A database with many tasks and calls, and fresh statistics."""
    from shared.database import upgrade
    from tests.postgres import fresh_database

    with fresh_database(postgresql_server) as url:
        upgrade(url)
        engine = open_engine(url)
        with writing(engine) as connection:
            connection.execute(
                text(
                    "INSERT INTO tasks (ticket_no, phone, number, line, username, ticket_type, ticket_content, digest, state,"
                    " state_at, created_at) SELECT 'T' || n, '139' || n, '139' || n, '139' || n, 'x', 't', 'c', '\\x00', 'completed',"
                    f" n, n FROM generate_series(1, {TASKS}) n"
                )
            )
            connection.execute(
                text(
                    "INSERT INTO calls (uuid, batch_id, call_type, state, call_id, caller, number, line, telephone, created_at)"
                    " SELECT lpad(n::text, 19, '0'), n, '02', 'ended', 'call-' || n, '0571', '139' || n, '139' || n,"
                    " '139' || n, n"
                    f" FROM generate_series(1, {CALLS}) n"
                )
            )
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        yield engine
        engine.dispose()


def plan_of(engine: Engine, statement: Select[Any]) -> str:
    compiled = statement.compile(engine, compile_kwargs={"literal_binds": True})
    with reading(engine) as connection:
        return "\n".join(connection.exec_driver_sql("EXPLAIN " + str(compiled).replace("%", "%%")).scalars())


def fields(**given: Any) -> Fields:
    from zoneinfo import ZoneInfo

    return Fields(given, ZoneInfo("Asia/Shanghai"))


@pytest.mark.parametrize(
    ("given", "index"),
    [
        ({"callType": "02"}, "ix_calls_listed"),
        (
            {"callType": "02", "calloutTimeStart": "1970-01-01 08:00:01", "calloutTimeEnd": "1970-01-01 08:00:01"},
            "ix_calls_listed",
        ),
        ({"callType": "02", "telephone": "13912345"}, "ix_calls_line"),
        ({"callType": "02", "uuid": "0000000000000012345"}, "pk_calls"),
        ({"callType": "02", "uuid": "call-77"}, "uq_calls_call_id"),
    ],
)
def test_queries_of_records_use_their_index(full_engine: Engine, given: dict[str, Any], index: str) -> None:
    plan = plan_of(
        full_engine, record_list.page_of(record_list.read_query(fields(**given)), given.get("telephone", ""))
    )
    assert index in plan
    assert "Seq Scan" not in plan


@pytest.mark.parametrize(
    ("given", "index"),
    [
        ({}, "ix_tasks_created_at"),
        ({"createTimeStart": "1970-01-01 08:00:01", "createTimeEnd": "1970-01-01 08:00:02"}, "ix_tasks_created_at"),
        ({"batchId": 777}, "pk_tasks"),
    ],
)
def test_queries_of_tasks_use_their_index(full_engine: Engine, given: dict[str, Any], index: str) -> None:
    plan = plan_of(full_engine, task_list.page_of(task_list.read_query(fields(pageNum=1, pageSize=10, **given))))
    assert index in plan
    assert "Seq Scan" not in plan


def test_the_lookup_of_repeated_tickets_uses_its_index(full_engine: Engine) -> None:
    from api import repeats

    with reading(full_engine) as connection:
        plan = "\n".join(
            connection.execute(
                text("EXPLAIN " + repeats.POSTGRESQL_LOOKUP), {"numbers": '["T1", "T2", "T3"]'}
            ).scalars()
        )
    assert "ix_tasks_ticket_no" in plan
    assert "Seq Scan" not in plan


def test_a_parameter_error_is_never_a_database_error(app: Flask) -> None:
    with pytest.raises(ParameterError):
        record_list.read_query(fields(callType="02", timeLenEnd=2**40))


def test_a_request_that_stood_still_finds_that_its_tickets_were_sent_again_and_are_done(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index keeps apart live tasks only; the twin's came to its end while this one stood between look-up and insert."""
    batch = read(encode([TICKET]), 10)

    def post() -> bytes:
        return take_in(
            engine, batch, now=1_000_000, repeat_after_ms=86_400_000, actor="crm", response_of=envelope(200)
        ).response

    find, stalled = repeats.find, [True]

    def slow(connection: Connection, tickets: Sequence[CheckedTicket]) -> list[repeats.Known]:
        known = find(connection, tickets)
        if stalled.pop() if stalled else False:
            twin.append(post())
            with writing(engine) as other:
                other.execute(update(tasks).values(state="completed", final_at=1_000_000))
        return known

    twin: list[bytes] = []
    monkeypatch.setattr(repeats, "find", slow)
    assert post() == twin[0]
    with reading(engine) as connection:
        assert connection.execute(select(func.count()).select_from(tasks)).scalar_one() == 1
