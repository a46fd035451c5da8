"""Keys, request numbers, headers, and the line in the log."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import NotFound
from werkzeug.routing import Rule

GUARDED = [
    ("POST", "/api/aicall/createTasks"),
    ("POST", "/aicall/createTasks"),
    ("POST", "/api/aicall/stopTasks"),
    ("POST", "/aicall/stopTasks"),
    ("POST", "/api/aicall/calltask/list"),
    ("POST", "/aicall/calltask/list"),
    ("POST", "/api/aicall/records/list"),
    ("POST", "/aicall/records/list"),
    ("GET", "/recordings/files?filename=x"),
    ("GET", "/api/recordings/files?filename=x"),
    ("GET", "/metrics"),
    ("GET", "/api/v1/stats"),
    ("GET", "/api/v1/tasks/1"),
    ("GET", "/api/v1/calls/1"),
]
OPEN = {"/", "/docs", "/docs/", "/docs/openapi.json", "/healthz", "/readyz", "/api/phone/events"}


@pytest.fixture
def guarded(make_app: Callable[..., Flask]) -> Flask:
    return make_app(api_keys=("first-key", "second-key"))


WRONG: list[dict[str, str]] = [
    {},
    {"Authorization": "Bearer wrong"},
    {"Authorization": "Bearer "},
    {"Authorization": "first-key"},
    {"Authorization": "Basic first-key"},
    {"X-API-Key": ""},
    {"X-API-Key": "first-key,second-key"},
    {"X-API-Key": "ключ".encode().decode("latin-1")},
]
RIGHT: list[dict[str, str]] = [
    {"Authorization": "Bearer first-key"},
    {"Authorization": "bearer second-key"},
    {"X-API-Key": "second-key"},
]


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_only_with_one_of_the_keys_anything_is_done(guarded: Flask, method: str, path: str) -> None:
    client = guarded.test_client()
    body = {} if method == "POST" else None
    for headers in WRONG:
        response = client.open(path, method=method, json=body, headers=headers)
        assert response.status_code == 401, headers
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert response.json["status" if path.startswith("/api/v1") else "code"] == 401
    for headers in RIGHT:
        assert client.open(path, method=method, json=body, headers=headers).status_code in (200, 400, 404), headers


def sample(app: Flask, rule: Rule, method: str) -> str:
    """A path that this rule matches."""
    adapter = app.url_map.bind("localhost")
    for value in ("1", "1" * 19, "1" * 32, str(UUID(int=1))):
        path = re.sub(r"<[^>]+>", value, rule.rule)
        with contextlib.suppress(NotFound):
            adapter.match(path, method)
            return path
    raise AssertionError(f"no sample matches {rule.rule}: add one")


def test_every_other_route_is_guarded_too(guarded: Flask) -> None:
    client = guarded.test_client()
    tried = set()
    for rule in guarded.url_map.iter_rules():
        if rule.rule in OPEN or rule.rule.startswith(("/docs/assets/", "/static/")):
            continue
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            path = sample(guarded, rule, method)
            assert client.open(path, method=method).status_code == 401, (method, path)
            tried.add((method, path))
    assert tried >= {(method, path.partition("?")[0]) for method, path in GUARDED}


@pytest.mark.parametrize("path", sorted(OPEN - {"/api/phone/events"}))
def test_pages_documentation_and_health_need_no_key(guarded: Flask, path: str) -> None:
    with guarded.test_client().get(path) as response:
        assert response.status_code in (200, 308, 503)


def test_a_harmless_request_id_is_kept_and_any_other_replaced(client: FlaskClient) -> None:
    assert client.get("/healthz", headers={"X-Request-Id": "abc-1.2_3"}).headers["X-Request-Id"] == "abc-1.2_3"
    for given in ("", "a b", "x" * 65, "<script>"):
        made = client.get("/healthz", headers={"X-Request-Id": given}).headers["X-Request-Id"]
        assert len(made) == 16


def test_the_log_line_holds_no_query_and_no_body(
    make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture, ticket: Any
) -> None:
    client = make_app(phone_secret="s3cret").test_client()
    with caplog.at_level(logging.DEBUG):
        client.post("/api/phone/events?secret=s3cret", json={"event_name": "cdr", "callee": "15101613608"})
        client.post("/api/phone/events?secret=wr0ng", json={})
        client.post("/api/aicall/createTasks", json=[ticket()])
        client.post("/api/aicall/createTasks", json=[ticket(phone="13912345678x")])
        client.post("/api/aicall/records/list", json={"callType": "02", "telephone": "13912345678"})
    lines = [record for record in caplog.records if record.name == "api.gate"]
    assert [(record.__dict__["endpoint"], record.__dict__["status"]) for record in lines] == [
        ("phone.take_events", 200),
        ("phone.take_events", 401),
        ("tasks.create_tasks", 200),
        ("tasks.create_tasks", 200),
        ("records.list_records", 200),
    ]
    everything = repr([record.__dict__ for record in caplog.records])
    for secret in ("s3cret", "wr0ng", "15101613608", "13912345678", "张三"):
        assert secret not in everything


def test_pages_allow_nothing_from_elsewhere(client: FlaskClient) -> None:
    for path in ("/", "/docs"):
        with client.get(path) as response:
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy
            assert "script-src" not in policy
    assert client.get("/healthz").headers["X-Content-Type-Options"] == "nosniff"
    assert client.get("/healthz").headers["Cache-Control"] == "no-store"
