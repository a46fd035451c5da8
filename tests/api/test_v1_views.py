"""/api/v1: plain HTTP and problem JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, insert

from shared.clock import FakeClock
from shared.database import open_engine, writing
from shared.lifecycle import WAITING_TASKS, TaskState
from shared.schema import phone_events

CALL_ID = "bbd910fc-e5fd-11f0-a660-525400eaab18"


@pytest.fixture
def talk(engine: Engine, add_task: Any, add_call: Any, clock: FakeClock) -> tuple[int, str]:
    """A finished task with two calls, the second of them answered, with its events."""
    now = clock.now_ms()
    batch_id = add_task(ticket_no="T9", state="completed", connected=True, final_at=now, attempts=2, caller="0571")
    add_call(batch_id=batch_id, created_at=now - 90_000)
    uuid = add_call(
        batch_id=batch_id,
        call_id=CALL_ID,
        created_at=now - 9000,
        dialing_at=now - 8900,
        answered_at=now - 5000,
        ended_at=now,
        hangup_cause="NORMAL_CLEARING:sip:200",
        time_len=5,
        wav_file="ai_call/2025/12/31/12/2512311203580000001.wav",
        dialogue=[{"role": "assistant", "content": "您好"}, {"role": "user", "content": "好"}],
        tags=[{"name": "callback_wanted", "value": "明天", "at": now}],
    )
    events = [
        {"event_name": "firstAnswer", "received_at": now - 4990, "event_time": 1767153844421},
        {"event_name": "cdr", "received_at": now + 10, "event_time": None},
    ]
    with writing(engine) as connection:
        for event in events:
            body = {"event_name": event["event_name"], "event_time": event.pop("event_time")}
            connection.execute(
                insert(phone_events).values(event | {"body": body, "call_uuid": uuid, "applied_at": now})
            )
    return batch_id, uuid


def test_a_task_comes_with_its_calls(client: FlaskClient, talk: tuple[int, str]) -> None:
    batch_id, uuid = talk
    response = client.get(f"/api/v1/tasks/{batch_id}")
    assert response.status_code == 200
    body = response.json
    assert (body["batchId"], body["status"], body["state"], body["attempts"]) == (batch_id, "已完成", "completed", 2)
    assert body["createdAt"] == "2025-12-31T12:03:58.953+08:00"
    assert [(call["uuid"] == uuid, call["callId"]) for call in body["calls"]] == [(True, CALL_ID), (False, "")]


@pytest.mark.parametrize(
    ("state", "gate", "shown"),
    [("pending", "window", "window"), ("expired", "window", None), ("stopped", "do_not_call", "do_not_call")],
)
def test_a_task_says_which_gate_put_it_off_or_stopped_it(
    client: FlaskClient, add_task: Any, state: str, gate: str, shown: str | None
) -> None:
    batch_id = add_task(ticket_no="T10", state=state, held_by=gate)
    assert client.get(f"/api/v1/tasks/{batch_id}").json["heldBy"] == shown


def test_a_call_comes_with_dialogue_tags_and_timeline_by_either_id(client: FlaskClient, talk: tuple[int, str]) -> None:
    batch_id, uuid = talk
    body = client.get(f"/api/v1/calls/{uuid}").json
    assert client.get(f"/api/v1/calls/{CALL_ID}").json == body
    assert (body["uuid"], body["batchId"], body["ticketNo"], body["state"]) == (uuid, batch_id, "T9", "ended")
    assert [turn["content"] for turn in body["dialogue"]] == ["您好", "好"]
    assert body["tags"][0]["name"] == "callback_wanted"
    assert [(moment["source"], moment["event"], moment["eventTime"]) for moment in body["timeline"]] == [
        ("call", "queued", None),
        ("call", "dialing", None),
        ("call", "answered", None),
        ("phone", "firstAnswer", 1767153844421),
        ("task", "created", None),
        ("task", "completed", None),
        ("call", "ended", None),
        ("phone", "cdr", None),
    ]


def test_the_timeline_shows_what_people_did(client: FlaskClient, talk: tuple[int, str], clock: FakeClock) -> None:
    batch_id, uuid = talk
    clock.advance(60)
    client.post("/api/aicall/stopTasks", json={"batchIds": [batch_id]})
    last = client.get(f"/api/v1/calls/{uuid}").json["timeline"][-1]
    assert (last["source"], last["event"], last["actor"]) == ("audit", "stop", "loopback")


def test_the_trail_of_a_task_has_the_batches_it_was_in(client: FlaskClient, clock: FakeClock) -> None:
    def ticket(number: int) -> dict[str, str]:
        names = ("phone", "username", "ticketType", "ticketContent")
        return {"ticketNo": f"T{number}"} | dict.fromkeys(names, "13800138000")

    def submit(*numbers: int) -> list[int]:
        clock.advance(1)
        made = client.post("/aicall/createTasks", json=[ticket(number) for number in numbers]).json["data"]
        return [task["batchId"] for task in made]

    def trail(batch_id: int) -> list[str]:
        rows = client.get(f"/api/v1/audit?subject=task:{batch_id}").json["rows"]
        return [row["action"] for row in rows]

    first, second = submit(1, 2)
    [alone] = submit(3)
    clock.advance(1)
    client.post("/aicall/stopTasks", json={"batchIds": [second, alone]})
    assert [trail(batch_id) for batch_id in (first, second, alone)] == [
        ["submit"],
        ["stop", "submit"],
        ["stop", "submit"],
    ]
    assert trail(alone + 1) == []
    assert client.get("/api/v1/audit?subject=task:x").json["rows"] == []


def test_a_live_call_can_be_looked_at(client: FlaskClient, add_call: Any) -> None:
    uuid = add_call(state="ringing", ended_at=None)
    body = client.get(f"/api/v1/calls/{uuid}").json
    assert (body["state"], body["endedAt"], body["callEndTime"], body["tags"]) == ("ringing", None, "", [])


def test_stats_count_by_state(client: FlaskClient, talk: tuple[int, str]) -> None:
    body = client.get("/api/v1/stats").json
    assert body["tasks"]["completed"] == 1
    assert body["tasks"]["pending"] == 0
    assert body["calls"]["ended"] == 2
    assert body["unappliedEvents"] == 0


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/tasks/1", 404),
        ("/api/v1/tasks/x", 404),
        ("/api/v1/tasks/99999999999999999999", 404),
        ("/api/v1/calls/2512311203580000001", 404),
        ("/api/v1/calls/a%00b", 404),
        ("/api/v1/nothing", 404),
    ],
)
def test_what_is_not_there_is_a_problem(client: FlaskClient, path: str, status: int) -> None:
    response = client.get(path)
    assert (response.status_code, response.mimetype) == (status, "application/problem+json")
    body = response.json
    assert (body["type"], body["status"], body["title"]) == ("about:blank", status, "Not Found")


def test_another_method_is_a_problem_that_names_the_right_one(client: FlaskClient) -> None:
    response = client.post("/api/v1/stats")
    assert (response.status_code, response.mimetype) == (405, "application/problem+json")
    assert "GET" in response.headers["Allow"]


def test_a_failing_database_is_a_problem_without_details(make_app: Callable[..., Flask]) -> None:
    empty = open_engine("sqlite://")
    response = make_app(engine=empty).test_client().get("/api/v1/stats")
    empty.dispose()
    assert (response.status_code, response.mimetype) == (500, "application/problem+json")
    assert "no such table" not in response.text


def test_an_audit_of_an_action_that_does_not_exist_is_refused(client: FlaskClient) -> None:
    answer = client.get("/api/v1/audit?action=listne")
    assert answer.status_code == 400
    assert "listen" in answer.json["detail"]
    assert client.get("/api/v1/audit?action=listen").status_code == 200


def test_tasks_are_found_by_ticket_number_telephone_and_state(client: FlaskClient, ticket: Any) -> None:
    sent = [ticket() | {"ticketNo": f"T{place}", "phone": f"1391234567{place}"} for place in range(3)]
    ids = [made["batchId"] for made in client.post("/api/aicall/createTasks", json=sent).json["data"]]
    client.post("/api/aicall/stopTasks", json={"batchIds": ids[2:]})

    def found(**query: str) -> list[int]:
        answer = client.get("/api/v1/tasks", query_string=query).json
        assert answer["total"] == len(answer["rows"])
        return [row["batchId"] for row in answer["rows"]]

    assert found() == ids[::-1]
    assert found(ticketNo="T1") == [ids[1]]
    assert found(ticketNo="T") == []
    assert found(phone="+86 139-1234-5672") == [ids[2]]
    assert found(status="stopped") == [ids[2]]
    assert found(status="pending", phone="13912345672") == []
    page = client.get("/api/v1/tasks?pageNum=2&pageSize=2").json
    assert (page["total"], [row["batchId"] for row in page["rows"]]) == (3, [ids[0]])
    assert {"heldBy", "state", "status"} <= set(page["rows"][0])


@pytest.mark.parametrize("status", [None, *TaskState])
def test_no_count_of_tasks_reads_all_of_them(
    client: FlaskClient, add_task: Any, plans: Any, status: str | None
) -> None:
    for place, state in enumerate(TaskState):
        waits = state in WAITING_TASKS
        add_task(ticket_no=f"T{place}", state=str(state), due_at=1 if waits else None)
    answers = []
    query = {"status": status} if status else {}
    steps = plans(lambda: answers.append(client.get("/api/v1/tasks", query_string=query).json))
    assert answers[0]["total"] == len(answers[0]["rows"]) == (1 if status else len(TaskState))
    walks = [step for plan in steps for step in plan if step.startswith("SCAN tasks") and "active" not in step]
    assert walks == ["SCAN tasks USING INDEX ix_tasks_created_at"]  # for the page, which ends when it is full


@pytest.mark.parametrize("query", ["status=nothing", "phone=abc", "pageNum=0", "pageSize=501", "pageNum=x"])
def test_a_search_that_is_wrong_names_the_field(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/api/v1/tasks?{query}")
    name = query.partition("=")[0]
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (400, name)
    came = {
        "status": "收到的是 'nothing'",
        "phone": "收到的是 'abc'",
        "pageNum": "收到的是",
        "pageSize": "收到的是 501",
    }
    assert came[name] in answer.json["detail"]
