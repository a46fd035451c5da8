"""Tickets with a schedule, dialling again on purpose, pausing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, insert, select

from shared.clock import FakeClock
from shared.database import reading, writing
from shared.doorbell import DISPATCH
from shared.schema import audit, do_not_call, pauses

PATH = "/api/v1/tasks"
HOUR_MS = 3_600_000
Ticket = Callable[..., dict[str, Any]]


def noted(engine: Engine) -> list[tuple[str, str, str]]:
    with reading(engine) as connection:
        rows = connection.execute(select(audit).order_by(audit.c.id))
        return [(row.actor, row.action, row.subject) for row in rows]


def at(clock: FakeClock, seconds: float) -> str:
    return datetime.fromtimestamp(clock.now_ms() / 1000 + seconds, UTC).isoformat()


def test_a_ticket_may_say_how_urgent_it_is_and_when(
    client: FlaskClient, ticket: Ticket, stored: Any, clock: FakeClock, rung: Any
) -> None:
    given = ticket(
        priority=7, timezone="Asia/Tokyo", notBefore="2026-01-05T10:00:00", expiresAt="2026-01-05T12:00:00+08:00"
    )
    response = client.post(PATH, json=[given])
    assert response.status_code == 201
    (task,) = stored()
    assert response.json == {"created": 1, "tasks": [{"batchId": task["batch_id"], "ticketNo": given["ticketNo"]}]}
    assert (task["priority"], task["zone"], task["state"]) == (7, "Asia/Tokyo", "pending")
    assert task["due_at"] == 1_767_574_800_000  # 01:00 UTC
    assert task["expires_at"] == 1_767_585_600_000  # 04:00 UTC
    assert (DISPATCH, ()) in rung()


def test_without_a_schedule_it_is_the_very_ticket_of_create_tasks(
    client: FlaskClient, ticket: Ticket, stored: Any
) -> None:
    first = client.post("/api/aicall/createTasks", json=[ticket()]).json["data"]
    again = client.post(PATH, json=ticket())
    assert (again.status_code, again.json) == (200, {"created": 0, "tasks": first})
    other = client.post(PATH, json=ticket(priority=1))
    assert other.status_code == 400
    assert "ticketNo" in other.json["detail"]
    assert len(stored()) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("priority", "7"),
        ("priority", True),
        ("priority", 1001),
        ("timezone", "Mars/Base"),
        ("timezone", 8),
        ("notBefore", 1767577000),
        ("notBefore", "2026-01-05"),
        ("notBefore", "tomorrow at ten o'clock"),
        ("notBefore", "2036-01-05T10:00:00Z"),
        ("expiresAt", "2020-01-05T10:00:00Z"),
        ("phone", "x"),
    ],
)
def test_one_bad_field_and_nothing_is_created(
    client: FlaskClient, ticket: Ticket, stored: Any, field: str, value: Any
) -> None:
    batch = [ticket(ticketNo="A"), ticket(ticketNo="B", **{field: value})]
    response = client.post(PATH, json=batch)
    assert (response.status_code, response.mimetype) == (400, "application/problem+json")
    assert f"第 2 条 {field}" in response.json["detail"]
    assert stored() == []


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("priority", 1001, "收到的是 1001"),
        ("priority", "high", "收到的是 'high'"),
        ("timezone", "Mars/Base", "收到的是 'Mars/Base'"),
        ("notBefore", "tomorrow", "收到的是 'tomorrow'"),
        ("phone", "139 1234 5678 ext", "收到的是 '139**********"),
    ],
)
def test_a_refusal_shows_what_came(client: FlaskClient, ticket: Ticket, field: str, value: Any, shown: str) -> None:
    (error,) = client.post(PATH, json=[ticket(**{field: value})]).json["errors"]
    assert shown in error["message"]


def test_a_time_too_far_ahead_is_told_the_last_that_is_taken(
    client: FlaskClient, ticket: Ticket, clock: FakeClock
) -> None:
    last = datetime.fromtimestamp(clock.now_ms() / 1000 + 366 * 86_400, ZoneInfo("Asia/Shanghai"))
    text = last.isoformat(timespec="milliseconds")
    assert client.post(PATH, json=[ticket(ticketNo="A", notBefore=text)]).status_code == 201
    batch = [ticket(ticketNo="B", expiresAt="9999-12-31 23:59:59")]
    (error,) = client.post(PATH, json=batch).json["errors"]
    assert error["message"] == f"不能晚于 {text}（366 天之后），收到的是 '9999-12-31 23:59:59'"


def test_faults_of_ticket_and_schedule_are_named_together(client: FlaskClient, ticket: Ticket) -> None:
    detail = client.post(PATH, json=[ticket(phone="x", priority="high")]).json["detail"]
    assert "phone" in detail
    assert "priority" in detail


def test_an_idempotency_key_answers_the_same_and_is_not_that_of_create_tasks(
    client: FlaskClient, ticket: Ticket
) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = client.post(PATH, json=[ticket()], headers=headers)
    again = client.post(PATH, json=[ticket()], headers=headers)
    assert (first.status_code, again.status_code, again.data) == (201, 201, first.data)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert client.post("/api/aicall/createTasks", json=[ticket()], headers=headers).json["code"] == 405


def test_what_is_sent_again_after_its_time_is_over_has_its_first_answer(
    client: FlaskClient, ticket: Ticket, stored: Any, clock: FakeClock
) -> None:
    """A client that timed out does not know that it was stored, and must not be told that it was not."""
    batch = [ticket(ticketNo="A", expiresAt=at(clock, 30)), ticket(ticketNo="B")]
    headers = {"Idempotency-Key": "k1"}
    first = client.post(PATH, json=batch, headers=headers)
    clock.advance(31)
    again = client.post(PATH, json=batch, headers=headers)
    assert (again.status_code, again.data, again.headers["Idempotency-Replayed"]) == (201, first.data, "true")
    without = client.post(PATH, json=batch)
    assert (without.status_code, without.json) == (200, {"created": 0, "tasks": first.json["tasks"]})
    assert len(stored()) == 2


def test_a_new_ticket_whose_time_is_over_is_refused_and_all_that_came_with_it(
    client: FlaskClient, ticket: Ticket, stored: Any, clock: FakeClock
) -> None:
    known = ticket(ticketNo="A", expiresAt=at(clock, 30))
    client.post(PATH, json=[known])
    clock.advance(31)
    late = ticket(ticketNo="C", expiresAt=at(clock, 0))
    answer = client.post(PATH, json=[known, ticket(ticketNo="B"), late])
    assert answer.status_code == 400
    assert [(item["index"], item["field"]) for item in answer.json["errors"]] == [(2, "expiresAt")]
    assert [task["ticket_no"] for task in stored()] == ["A"]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "2020-01-05T10:00:00Z"])
def test_a_time_before_which_is_over_means_now(
    client: FlaskClient, ticket: Ticket, stored: Any, clock: FakeClock, moment: str
) -> None:
    made = client.post(PATH, json=[ticket(notBefore=moment)])
    assert [task["due_at"] for task in stored()] == [clock.now_ms()]
    assert client.get(PATH).json["total"] == 1
    clock.advance(1)
    assert client.post(PATH, json=[ticket(notBefore=moment)]).json["tasks"] == made.json["tasks"]


@pytest.mark.parametrize("state", ["failed", "unknown", "not_connected", "expired"])
def test_a_task_that_reached_nobody_is_dialled_again_by_a_person(
    client: FlaskClient, add_task: Any, stored: Any, rung: Any, engine: Engine, clock: FakeClock, state: str
) -> None:
    now = clock.now_ms()
    batch_id = add_task(
        state=state,
        final_at=now,
        connected=False,
        attempts=4,
        no_answers=2,
        refusals=1,
        unknowns=1,
        expires_at=now - 1,
        due_at=None,
    )
    clock.advance(60)
    response = client.post(f"{PATH}/{batch_id}/redial", json={"reason": "客户 13800138000 来电"})
    assert (response.status_code, response.json) == (202, {"batchId": batch_id, "state": "pending"})
    (task,) = stored()
    assert (task["state"], task["due_at"], task["final_at"], task["connected"]) == ("pending", now + 60_000, None, None)
    assert (task["attempts"], task["no_answers"], task["refusals"], task["unknowns"]) == (4, 0, 0, 0)
    assert task["expires_at"] is None
    assert (DISPATCH, ()) in rung()
    assert noted(engine) == [("loopback", "redial", f"task:{batch_id}")]
    with reading(engine) as connection:
        assert connection.execute(select(audit.c.detail)).scalar_one() == {"reason": "客户 138****8000 来电"}
    assert client.post(f"{PATH}/{batch_id}/redial", json={"reason": "x"}).status_code in (202, 409)
    clock.advance(1)
    assert client.post(f"{PATH}/{batch_id}/redial", json={"reason": "x"}).status_code == 409


@pytest.mark.parametrize("state", ["pending", "in_call", "completed", "stopped", "stopping"])
def test_no_other_task_is_dialled_again(client: FlaskClient, add_task: Any, stored: Any, state: str) -> None:
    batch_id = add_task(state=state)
    before = stored()
    response = client.post(f"{PATH}/{batch_id}/redial", json={"reason": "x"})
    if state != "pending":  # in the same millisecond one cannot tell it from a repeated request
        assert response.status_code == 409
    assert stored() == before


def test_a_task_is_not_dialled_again_while_a_call_lives_or_its_twin_does_or_the_customer_said_no(
    client: FlaskClient, add_task: Any, add_call: Any, engine: Engine, stored: Any
) -> None:
    ringing = add_task(ticket_no="A", state="unknown")
    add_call(batch_id=ringing, state="unknown", ended_at=None, number="1")
    twin = add_task(ticket_no="B", state="failed")
    add_task(ticket_no="B", state="pending")
    unwilling = add_task(ticket_no="C", state="failed", number="13900000000")
    with writing(engine) as connection:
        connection.execute(
            insert(do_not_call).values(number="13900000000", line="+8613900000000", source="person", created_at=1)
        )
    before = stored()
    for batch_id, word in ((ringing, "lives"), (twin, "ticketNo"), (unwilling, "do-not-call")):
        response = client.post(f"{PATH}/{batch_id}/redial", json={"reason": "x"})
        assert response.status_code == 409
        assert word in response.json["detail"]
    assert stored() == before
    assert noted(engine) == []


def test_dialling_again_needs_a_task_and_a_reason(client: FlaskClient, add_task: Any) -> None:
    assert client.post(f"{PATH}/99/redial", json={"reason": "x"}).status_code == 404
    assert client.post(f"{PATH}/{add_task(state='failed')}/redial", json={}).status_code == 400


def test_a_ticket_type_or_all_are_paused_and_resumed(client: FlaskClient, engine: Engine, rung: Any) -> None:
    client.post("/api/v1/pause", json={"ticketType": "回访", "reason": "话术"})
    client.post("/api/v1/pause", json={"ticketType": "回访", "reason": "话术更新"})
    rows = client.post("/api/v1/pause", json={}).json["rows"]
    assert [(row["ticketType"], row["reason"]) for row in rows] == [(None, ""), ("回访", "话术更新")]
    assert client.get("/api/v1/pauses").json["rows"] == rows
    with reading(engine) as connection:
        assert set(connection.execute(select(pauses.c.ticket_type)).scalars()) == {"", "回访"}
    assert len(client.post("/api/v1/resume", json={}).json["rows"]) == 1
    assert client.post("/api/v1/resume", json={"ticketType": "回访"}).json["rows"] == []
    assert (DISPATCH, ()) in rung()
    assert [row[1] for row in noted(engine)] == ["pause", "pause", "pause", "resume", "resume"]


def test_who_submitted_and_stopped_is_noted(client: FlaskClient, ticket: Ticket, engine: Engine) -> None:
    made = client.post(PATH, json=[ticket(ticketNo="A"), ticket(ticketNo="B")]).json["tasks"]
    client.post("/api/aicall/stopTasks", json={"batchIds": [made[0]["batchId"]]})
    assert noted(engine) == [("loopback", "submit", ""), ("loopback", "stop", f"task:{made[0]['batchId']}")]
    rows = client.get("/api/v1/audit").json["rows"]
    assert [row["action"] for row in rows] == ["stop", "submit"]
    assert rows[1]["detail"] == {"created": 2, "first": made[0]["batchId"], "last": made[1]["batchId"]}
    assert client.get("/api/v1/audit?action=submit&pageSize=1").json["rows"] == rows[1:]
    assert client.get("/api/v1/audit?subject=task:77").json["rows"] == []
