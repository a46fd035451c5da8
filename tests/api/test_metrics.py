"""/metrics: counts and ages, no numbers and no names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fakeredis import TcpFakeServer
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, insert

from shared.clock import FakeClock
from shared.database import open_engine, writing
from shared.lifecycle import CallState, TaskState
from shared.outbox import TASK_FINISHED, row
from shared.schema import caller_rests, pauses, phone_events, webhook_deliveries, webhook_endpoints
from tests.api.servers import serving


def scrape(client: FlaskClient) -> dict[tuple[str, str], float]:
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.mimetype == "text/plain"
    families = text_string_to_metric_families(response.text)
    return {
        (sample.name, sample.labels.get("state", "")): sample.value for family in families for sample in family.samples
    }


def test_tasks_calls_and_events_are_counted_with_the_age_of_the_oldest(
    client: FlaskClient, engine: Engine, clock: FakeClock, add_task: Any, add_call: Any
) -> None:
    now = clock.now_ms()
    add_task(ticket_no="A", state_at=now - 5000)
    add_task(ticket_no="B", state_at=now - 2000)
    add_task(ticket_no="C", state="completed", state_at=0)
    add_call(state="answered", created_at=now - 30_000)
    add_call(state="ended", created_at=0)
    with writing(engine) as connection:
        event = {"received_at": now - 1500, "event_name": "cdr", "body": {}}
        connection.execute(insert(phone_events), [event | {"applied_at": None}, event | {"applied_at": now}])
    seen = scrape(client)
    assert seen["waihu_tasks", "pending"] == 2
    assert seen["waihu_tasks", "completed"] == 1
    assert seen["waihu_task_oldest_seconds", "pending"] == 5
    assert ("waihu_task_oldest_seconds", "completed") not in seen
    assert seen["waihu_calls", "answered"] == 1
    assert seen["waihu_call_oldest_seconds", "answered"] == 30
    assert seen["waihu_phone_events_unapplied", ""] == 1
    assert seen["waihu_phone_events_oldest_seconds", ""] == 1.5


def test_how_the_dial_gate_stands_is_measured(make_app: Callable[..., Flask], engine: Engine, clock: FakeClock) -> None:
    with serving(TcpFakeServer(("127.0.0.1", 0))) as port:
        app = make_app(redis_url=f"redis://127.0.0.1:{port}/0")
        assert scrape(app.test_client())["waihu_dial_gate_open", ""] == 1
        with writing(engine) as connection:
            connection.execute(insert(pauses), [{"ticket_type": name, "created_at": 0} for name in ("", "催收")])
            rest = {"caller": "057128167421", "until": clock.now_ms() + 1, "reason": "", "created_at": 0}
            connection.execute(insert(caller_rests).values(rest))
        seen = scrape(app.test_client())
    gauges = {name: seen[name, ""] for name in ("waihu_dial_gate_open", "waihu_paused", "waihu_callers_resting")}
    assert gauges == {"waihu_dial_gate_open": 0, "waihu_paused": 2, "waihu_callers_resting": 1}
    assert (seen["waihu_breaker", "closed"], seen["waihu_breaker", "open"]) == (1, 0)


def test_without_redis_everything_else_is_measured(make_app: Callable[..., Flask], closed_port: int) -> None:
    seen = scrape(make_app(redis_url=f"redis://127.0.0.1:{closed_port}/0").test_client())
    assert ("waihu_dial_gate_open", "") not in seen
    assert seen["waihu_tasks", "pending"] == 0


def test_webhooks_that_wait_or_were_given_up_are_counted(client: FlaskClient, engine: Engine, clock: FakeClock) -> None:
    assert scrape(client)["waihu_webhooks", "dead"] == 0
    ends = {1: "waiting", 2: "waiting", 3: "dead", 4: "delivered"}
    rows = [
        row(1, number, TASK_FINISHED, clock.now_ms() - number * 1000) | {"state": state}
        for number, state in ends.items()
    ]
    with writing(engine) as connection:
        endpoint = {"url": "https://crm.example/", "secret": "s" * 16, "created_at": 0}
        connection.execute(insert(webhook_endpoints).values(endpoint))
        connection.execute(insert(webhook_deliveries), rows)
    clock.advance(2)
    seen = scrape(client)
    assert (seen["waihu_webhooks", "waiting"], seen["waihu_webhooks", "dead"]) == (2, 1)
    assert seen["waihu_webhook_oldest_seconds", "waiting"] == 4


def test_every_state_is_there_from_the_start_and_nobody_is_named(client: FlaskClient, add_task: Any) -> None:
    add_task(ticket_no="T-secret", phone="13800138000")
    seen = scrape(client)
    assert {state for name, state in seen if name == "waihu_tasks"} == set(TaskState)
    assert {state for name, state in seen if name == "waihu_calls"} == set(CallState)
    text = client.get("/metrics").text
    assert not any(word in text for word in ("13800138000", "T-secret", "张三"))


def test_a_count_is_shared_for_a_second(client: FlaskClient, clock: FakeClock, add_task: Any) -> None:
    assert scrape(client)["waihu_tasks", "pending"] == 0
    add_task()
    assert scrape(client)["waihu_tasks", "pending"] == 0
    clock.advance(1.1)
    assert scrape(client)["waihu_tasks", "pending"] == 1


@pytest.mark.parametrize("bootstrap", [("key",), ()])
@pytest.mark.parametrize("given", ["key", "id.of-a-key-in-sql", ""])
def test_a_database_that_is_down_is_a_503(
    make_app: Callable[..., Flask], bootstrap: tuple[str, ...], given: str
) -> None:
    empty = open_engine("sqlite://")
    client = make_app(engine=empty, api_keys=bootstrap).test_client()
    answer = client.get("/metrics", headers={"X-API-Key": given})
    assert (answer.status_code, answer.json["code"]) == (503, 503)
    assert "waihu_" not in answer.text
    empty.dispose()
