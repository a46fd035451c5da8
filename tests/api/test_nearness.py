"""Where there is no key and no secret: requests of this machine, and those of pages that its browser shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, func, select

from shared.database import reading
from shared.schema import phone_events

NEAR: list[dict[str, str]] = [
    {"Host": "127.0.0.1:8899"},
    {"Host": "localhost"},
    {"Host": "LOCALHOST:1"},
    {"Host": "[::1]:8899"},
    {"Host": "127.8.8.8"},
    {"Host": "calls.example"},
    {"Host": "Calls.Example:8443"},
    {"Host": "127.0.0.1:8899", "Origin": "http://127.0.0.1:8899"},
    {"Host": "calls.example", "Origin": "https://calls.example"},
]
FAR: list[tuple[str, dict[str, str]]] = [
    ("Host", {"Host": "evil.example:8899"}),
    ("Host", {"Host": "evil.example:8899", "Origin": "http://evil.example:8899"}),
    ("Host", {"Host": "127.0.0.1.evil.example"}),
    ("Host", {"Host": "192.168.1.7:8899"}),
    ("Host", {"Host": "0.0.0.0:8899"}),
    ("Host", {"Host": "[oops"}),
    ("Host", {"Host": ""}),
    ("Origin", {"Host": "127.0.0.1:8899", "Origin": "http://evil.example"}),
    ("Origin", {"Host": "127.0.0.1:8899", "Origin": "http://localhost.evil.example"}),
    ("Origin", {"Host": "127.0.0.1:8899", "Origin": "null"}),
    ("Origin", {"Host": "127.0.0.1:8899", "Origin": ""}),
]


@pytest.fixture
def client(make_app: Callable[..., Flask]) -> FlaskClient:
    return make_app(public_url="https://calls.example/waihu").test_client()


@pytest.mark.parametrize("headers", NEAR)
def test_who_is_of_this_machine_needs_no_key(client: FlaskClient, headers: dict[str, str], ticket: Any) -> None:
    assert client.get("/api/v1/stats", headers=headers).status_code == 200
    assert client.post("/api/aicall/createTasks", json=[ticket()], headers=headers).json["code"] == 200
    assert client.post("/api/phone/events", json={"event_name": "cdr"}, headers=headers).json["code"] == 0


@pytest.mark.parametrize(("header", "headers"), FAR)
def test_a_page_that_goes_by_another_name_or_belongs_to_another_site_does_nothing(
    client: FlaskClient, header: str, headers: dict[str, str], ticket: Any, stored: Any, engine: Engine
) -> None:
    answer = client.get("/api/v1/stats", headers=headers)
    assert (answer.status_code, answer.mimetype) == (403, "application/problem+json")
    assert f"request's {header} " in answer.json["detail"]
    assert "WAIHU_PUBLIC_URL" in answer.json["detail"]
    for path, options in (
        ("/api/aicall/createTasks", {"json": [ticket()]}),
        ("/api/phone/events", {"data": json.dumps({"event_name": "cdr"}), "content_type": "text/plain"}),
    ):
        answer = client.post(path, headers=headers, **options)
        assert (answer.status_code, answer.json["code"]) == (403, 403)
        assert "WAIHU_PUBLIC_URL" in answer.json["msg"]
    assert client.post("/api/v1/webhooks/1/test", headers=headers).status_code == 403
    assert stored() == []
    with reading(engine) as connection:
        assert connection.execute(select(func.count()).select_from(phone_events)).scalar_one() == 0


@pytest.mark.parametrize(("header", "headers"), FAR)
def test_a_key_or_the_phone_secret_is_enough_wherever_it_comes_from(
    make_app: Callable[..., Flask], header: str, headers: dict[str, str]
) -> None:
    client = make_app(api_keys=("key",), phone_secret="s3cret").test_client()
    assert client.get("/api/v1/stats", headers=headers | {"X-API-Key": "key"}).status_code == 200
    event = {"data": json.dumps({"event_name": "cdr"}), "content_type": "text/plain"}
    assert client.post("/api/phone/events?secret=s3cret", headers=headers, **event).json["code"] == 0


def test_what_says_nothing_of_anybody_is_open_under_any_name(client: FlaskClient) -> None:
    for path in ("/healthz", "/readyz", "/"):
        with client.get(path, headers={"Host": "pod-7.cluster"}) as response:
            assert response.status_code in (200, 503)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_no_form_of_a_page_can_carry_tickets(client: FlaskClient, ticket: Any, stored: Any, content_type: str) -> None:
    """These are the types that a browser sends to another site without asking it first; with keys or without."""
    for path in ("/aicall/createTasks", "/aicall/stopTasks", "/aicall/records/list"):
        answer = client.post(path, data=json.dumps([ticket()]), content_type=content_type)
        assert answer.json["code"] == 405
        assert "Content-Type" in answer.json["msg"]
    assert stored() == []
