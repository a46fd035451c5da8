"""/api/v1/webhooks: registered once, secrets shown once, deliveries listed and sent again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, insert, select, update

from shared import outbox
from shared.clock import FakeClock
from shared.database import reading, writing
from shared.doorbell import WEBHOOKS
from shared.schema import webhook_deliveries, webhook_endpoints

PATH = "/api/v1/webhooks"
PUBLIC = "https://93.184.216.34/hooks"
NOW = 1_767_153_838_953
PROBLEM = "application/problem+json"
MISSING = "0d8b7f0e-5b0f-5d0c-8a51-4f5b1f1d2c3e"


def add(client: FlaskClient, url: str = PUBLIC, **more: Any) -> Any:
    return client.post(PATH, json={"url": url} | more)


@pytest.fixture
def deliver(engine: Engine) -> Callable[..., str]:
    """Stores a delivery; returns its id."""

    def store(endpoint_id: int, batch_id: int, **changed: Any) -> str:
        row = outbox.row(endpoint_id, batch_id, outbox.TASK_FINISHED, NOW + batch_id) | changed
        with writing(engine) as connection:
            connection.execute(insert(webhook_deliveries).values(row))
        return str(row["id"])

    return store


def test_a_webhook_is_registered_and_its_secret_shown_once(client: FlaskClient) -> None:
    response = add(client)
    assert response.status_code == 201
    body = response.json
    secret = body.pop("secret")
    assert len(secret) >= 40
    assert body == {"id": 1, "url": PUBLIC, "createdAt": "2025-12-31T12:03:58.953+08:00"}
    assert response.headers["Location"] == f"{PATH}/1"
    assert response.headers["Cache-Control"] == "no-store"
    listed = client.get(PATH)
    assert listed.json == {"rows": [body | {"waiting": 0, "dead": 0}]}
    assert secret not in listed.text


def test_a_secret_may_be_brought_along(client: FlaskClient) -> None:
    assert add(client, secret="0123456789abcdef").json["secret"] == "0123456789abcdef"
    first, second = (add(client, f"https://93.184.216.34/{path}").json["secret"] for path in "ab")
    assert first != second


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "url"),
        ({"url": 5}, "url"),
        ({"url": "https://93.184.216.34/" + "a" * 1000}, "url"),
        ({"url": PUBLIC, "secret": "short"}, "secret"),
        ({"url": PUBLIC, "secret": "a b c d e f g h i"}, "secret"),
        ({"url": PUBLIC, "secret": "x" * 101}, "secret"),
        ({"url": PUBLIC, "secret": "密" * 20}, "secret"),
        ([], "对象"),
    ],
)
def test_a_request_that_is_not_right_is_a_problem(client: FlaskClient, body: Any, named: str) -> None:
    response = client.post(PATH, json=body)
    assert (response.status_code, response.mimetype) == (400, PROBLEM)
    assert named in response.json["detail"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9000/hook",
        "http://localhost:9000/hook",
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:10.0.0.1]/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "ftp://93.184.216.34/",
        "https://user:pass@93.184.216.34/",
        "http://93.184.216.34:6379/",
        "no url",
    ],
)
def test_a_url_that_we_would_not_send_to_is_refused(client: FlaskClient, url: str) -> None:
    response = add(client, url)
    assert (response.status_code, response.mimetype) == (422, PROBLEM)
    assert client.get(PATH).json["rows"] == []


def test_private_addresses_are_allowed_by_setting(make_app: Callable[..., Flask]) -> None:
    client = make_app(webhook_private=True).test_client()
    assert add(client, "http://127.0.0.1:9000/hook").status_code == 201
    assert add(client, "ftp://127.0.0.1/").status_code == 422


def test_one_url_is_registered_once(client: FlaskClient) -> None:
    assert add(client).status_code == 201
    assert add(client).status_code == 409
    assert client.delete(f"{PATH}/1").status_code == 204
    assert add(client).json["id"] == 2


def test_there_are_only_so_many(client: FlaskClient) -> None:
    for index in range(outbox.MOST_ENDPOINTS):
        assert add(client, f"{PUBLIC}/{index}").status_code == 201
    assert add(client).status_code == 409


def test_a_removed_webhook_is_gone_with_its_secret(client: FlaskClient, engine: Engine, rung: Any) -> None:
    add(client)
    response = client.delete(f"{PATH}/1")
    assert (response.status_code, response.data) == (204, b"")
    assert client.get(PATH).json == {"rows": []}
    assert client.delete(f"{PATH}/1").status_code == 404
    assert client.post(f"{PATH}/1/test").status_code == 404
    with reading(engine) as connection:
        row = connection.execute(select(webhook_endpoints)).one()
    assert (row.secret, row.disabled_at) == ("", NOW)
    assert rung() == [(WEBHOOKS, ())]


def test_deliveries_are_listed_newest_first_and_narrowed(client: FlaskClient, deliver: Callable[..., str]) -> None:
    add(client)
    one = deliver(1, 1, state="delivered", due_at=None, delivered_at=NOW + 5)
    two = deliver(1, 2, state="dead", due_at=None, attempts=8, last_error="HTTP status 500")
    three = deliver(1, 3)
    listing = f"{PATH}/deliveries"
    assert [row["id"] for row in client.get(listing).json["rows"]] == [three, two, one]
    assert [row["id"] for row in client.get(f"{listing}?state=dead").json["rows"]] == [two]
    assert [row["id"] for row in client.get(f"{listing}?batchId=1").json["rows"]] == [one]
    assert client.get(f"{listing}?state=dead&batchId=1").json["rows"] == []
    assert [row["id"] for row in client.get(f"{listing}?pageNum=2&pageSize=2").json["rows"]] == [one]
    assert client.get(f"{listing}/{two}").json == {
        "id": two,
        "webhookId": 1,
        "event": "task.finished",
        "batchId": 2,
        "state": "dead",
        "attempts": 8,
        "dueAt": None,
        "createdAt": "2025-12-31T12:03:58.955+08:00",
        "deliveredAt": None,
        "lastError": "HTTP status 500",
    }
    counted = client.get(PATH).json["rows"][0]
    assert (counted["waiting"], counted["dead"]) == (1, 1)


@pytest.mark.parametrize("query", ["state=x", "batchId=x", "pageNum=0", "pageSize=501", "batchId=99999999999999999999"])
def test_a_malformed_query_is_a_problem(client: FlaskClient, query: str) -> None:
    response = client.get(f"{PATH}/deliveries?{query}")
    assert (response.status_code, response.mimetype) == (400, PROBLEM)
    assert query.partition("=")[0] in response.json["detail"]


@pytest.mark.parametrize("state", ["waiting", "delivered", "dead"])
def test_a_delivery_is_sent_again_under_its_own_id(
    client: FlaskClient, deliver: Callable[..., str], clock: FakeClock, rung: Any, state: str
) -> None:
    add(client)
    delivery_id = deliver(1, 7, state=state, due_at=None, attempts=8, last_error="no answer")
    clock.advance(60)
    response = client.post(f"{PATH}/deliveries/{delivery_id}/replay")
    assert response.status_code == 202
    body = response.json
    assert (body["id"], body["state"], body["attempts"], body["lastError"]) == (delivery_id, "waiting", 0, "")
    assert body["dueAt"] == "2025-12-31T12:04:58.953+08:00"
    assert client.get(f"{PATH}/deliveries/{delivery_id}").json == body
    assert rung() == [(WEBHOOKS, ())]


def test_what_was_for_a_removed_webhook_is_not_sent_again(
    client: FlaskClient, deliver: Callable[..., str], engine: Engine
) -> None:
    add(client)
    delivery_id = deliver(1, 7, state="dead", due_at=None)
    client.delete(f"{PATH}/1")
    response = client.post(f"{PATH}/deliveries/{delivery_id}/replay")
    assert (response.status_code, response.mimetype) == (409, PROBLEM)
    assert client.get(f"{PATH}/deliveries/{delivery_id}").json["state"] == "dead"


def test_adding_removing_and_replaying_are_in_the_audit_with_ids_only(
    client: FlaskClient, deliver: Callable[..., str]
) -> None:
    url = "https://93.184.216.34/hooks?token=t0k3n-of-theirs"
    secret = add(client, url).json["secret"]
    delivery_id = deliver(1, 7, state="dead", due_at=None)
    assert client.post(f"{PATH}/deliveries/{delivery_id}/replay").status_code == 202
    assert client.delete(f"{PATH}/1").status_code == 204
    answer = client.get("/api/v1/audit")
    noted = [(row["actor"], row["action"], row["subject"], row["detail"]) for row in answer.json["rows"]]
    assert noted == [
        ("loopback", "webhook_remove", "webhook:1", {}),
        ("loopback", "webhook_replay", f"delivery:{delivery_id}", {"webhookId": 1}),
        ("loopback", "webhook_add", "webhook:1", {}),
    ]
    for kept in (secret, "t0k3n", "93.184.216.34"):
        assert kept not in answer.text
    for query in ("action=webhook_replay", f"subject=delivery:{delivery_id}"):
        assert len(client.get(f"/api/v1/audit?{query}").json["rows"]) == 1


def test_what_was_not_done_to_a_webhook_is_not_in_the_audit(client: FlaskClient, deliver: Callable[..., str]) -> None:
    add(client)
    delivery_id = deliver(1, 7, state="dead", due_at=None)
    client.delete(f"{PATH}/1")
    known = client.get("/api/v1/audit").json["rows"]
    assert len(known) == 2
    assert add(client, "http://10.0.0.1/").status_code == 422
    assert client.delete(f"{PATH}/1").status_code == 404
    assert client.post(f"{PATH}/deliveries/{delivery_id}/replay").status_code == 409
    assert client.post(f"{PATH}/deliveries/{MISSING}/replay").status_code == 404
    assert add(client, f"{PUBLIC}/2").status_code == 201
    assert add(client, f"{PUBLIC}/2").status_code == 409
    rows = client.get("/api/v1/audit").json["rows"]
    assert [row["subject"] for row in rows[: len(rows) - len(known)]] == ["webhook:2"]


def test_a_test_is_put_in_the_queue(client: FlaskClient, rung: Any) -> None:
    add(client)
    response = client.post(f"{PATH}/1/test")
    assert response.status_code == 202
    body = response.json
    assert (body["event"], body["batchId"], body["state"]) == ("webhook.test", None, "waiting")
    assert client.get(f"{PATH}/deliveries/{body['id']}").json == body
    assert client.post(f"{PATH}/1/test").json == body  # in the same millisecond
    assert (WEBHOOKS, ()) in rung()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", f"{PATH}/deliveries/{MISSING}"),
        ("post", f"{PATH}/deliveries/{MISSING}/replay"),
        ("get", f"{PATH}/deliveries/x"),
        ("get", f"{PATH}/deliveries/a%00b"),
        ("post", f"{PATH}/deliveries/a%00b/replay"),
        ("delete", f"{PATH}/9"),
        ("post", f"{PATH}/9/test"),
        ("delete", f"{PATH}/99999999999999999999"),
    ],
)
def test_what_is_not_there_is_a_problem(client: FlaskClient, method: str, path: str) -> None:
    response = getattr(client, method)(path)
    assert (response.status_code, response.mimetype) == (404, PROBLEM)


def test_webhooks_need_a_key(make_app: Callable[..., Flask]) -> None:
    client = make_app(api_keys=("key-of-ours",)).test_client()
    assert client.get(PATH).status_code == 401
    assert add(client).status_code == 401
    assert client.get(PATH, headers={"X-API-Key": "key-of-ours"}).status_code == 200


def test_every_operation_is_documented(client: FlaskClient) -> None:
    paths = client.get("/docs/openapi.json").json["paths"]
    found = {(path, method) for path, item in paths.items() if path.startswith(PATH) for method in item}
    assert {method for path, method in found if path == PATH} >= {"get", "post"}
    assert len([one for one in found if one[1] in ("get", "post", "delete")]) == 7


def test_stopping_waiting_tasks_tells_every_endpoint_of_each_once(
    client: FlaskClient, engine: Engine, add_task: Any
) -> None:
    add(client)
    add(client, f"{PUBLIC}/2")
    waiting = [add_task(ticket_no=f"T{index}") for index in range(3)]
    live = add_task(ticket_no="L", state="dialing")
    with writing(engine) as connection:
        connection.execute(update(webhook_endpoints).where(webhook_endpoints.c.id == 2).values(disabled_at=NOW))
    for _ in range(2):
        assert client.post("/aicall/stopTasks", json={"batchIds": [*waiting, live]}).json["code"] == 0
    rows = client.get(f"{PATH}/deliveries").json["rows"]
    assert sorted((row["webhookId"], row["batchId"]) for row in rows) == [(1, batch_id) for batch_id in waiting]


def test_stopping_without_webhooks_writes_nothing(client: FlaskClient, add_task: Any) -> None:
    batch_id = add_task()
    client.post("/aicall/stopTasks", json={"batchIds": [batch_id]})
    assert client.get(f"{PATH}/deliveries").json == {"rows": []}
