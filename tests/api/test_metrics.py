"""/metrics: counts and ages, no numbers and no names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, insert

from shared.clock import FakeClock
from shared.database import open_engine, writing
from shared.lifecycle import CallState, TaskState
from shared.outbox import TASK_FINISHED, row
from shared.schema import phone_events, webhook_deliveries, webhook_endpoints


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


def test_a_database_that_is_down_is_a_503(make_app: Callable[..., Flask]) -> None:
    empty = open_engine("sqlite://")
    client = make_app(engine=empty, api_keys=("key",)).test_client()
    assert client.get("/metrics", headers={"X-API-Key": "key"}).status_code == 503
    empty.dispose()
