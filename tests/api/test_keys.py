"""Keys in SQL: scopes, rotation, revocation, masked numbers, signed links."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from api.keys import FRESH_SECONDS
from api.scopes import OPEN, SCOPE_OF, scope_of
from shared import api_keys
from shared.api_keys import SCOPES
from shared.clock import FakeClock
from shared.database import writing
from shared.settings import Settings

WAV = "ai_call/2025/08/16/21/2508162111590110001.wav"


@pytest.fixture
def add_key(engine: Engine, clock: FakeClock) -> Callable[..., str]:
    def add(*scopes: str, **options: Any) -> str:
        with writing(engine) as connection:
            return api_keys.add(connection, "crm", scopes, clock.now_ms(), actor="cli:test", **options)

    return add


def bearing(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_every_route_says_what_scope_it_needs(app: Flask) -> None:
    missing = [rule.rule for rule in app.url_map.iter_rules() if scope_of(rule.endpoint) not in {OPEN, *SCOPES}]
    assert missing == []
    served = {rule.endpoint.rpartition(".")[2].removesuffix("_alias") for rule in app.url_map.iter_rules()}
    assert set(SCOPE_OF) <= served, "a scope for a view that is not there"


def test_a_route_without_a_scope_is_refused_to_everybody(make_app: Any) -> None:
    app = make_app(api_keys=("all",))
    app.add_url_rule("/new", "new", lambda: "secret")
    client = app.test_client()
    assert client.get("/new").status_code == 401
    assert client.get("/new", headers=bearing("all")).status_code == 403


def test_without_any_key_everything_is_open_and_the_first_one_closes_it(
    client: FlaskClient, add_key: Callable[..., str], clock: FakeClock
) -> None:
    assert client.get("/api/v1/stats").status_code == 200
    key = add_key("read")
    clock.advance(FRESH_SECONDS)
    assert client.get("/api/v1/stats").status_code == 401
    assert client.get("/api/v1/stats", headers={"X-API-Key": key}).status_code == 200


def test_several_keys_at_once_and_one_that_is_revoked_is_refused_within_two_seconds(
    client: FlaskClient, add_key: Callable[..., str], engine: Engine, clock: FakeClock
) -> None:
    old, new = add_key("read"), add_key("read")
    for key in (old, new):
        assert client.get("/api/v1/stats", headers=bearing(key)).status_code == 200
    with writing(engine) as connection:
        api_keys.revoke(connection, old.partition(".")[0], clock.now_ms(), actor="cli:test")
    clock.advance(FRESH_SECONDS)
    assert client.get("/api/v1/stats", headers=bearing(old)).status_code == 401
    assert client.get("/api/v1/stats", headers=bearing(new)).status_code == 200
    with writing(engine) as connection:
        api_keys.revoke(connection, new.partition(".")[0], clock.now_ms(), actor="cli:test")
    clock.advance(FRESH_SECONDS)
    assert client.get("/api/v1/stats").status_code == 401, "revoking the last key must open nothing"


@pytest.mark.parametrize("form", ["{id}", "{id}.", ".{secret}", "{secret}", "{id}.{secret}x", "{id}.{secret}.", "0.0"])
def test_no_part_of_a_key_is_the_key(client: FlaskClient, add_key: Callable[..., str], form: str) -> None:
    key_id, _, secret = add_key("read").partition(".")
    given = form.format(id=key_id, secret=secret)
    assert client.get("/api/v1/stats", headers=bearing(given)).status_code == 401


def test_a_scope_that_is_missing_is_named(client: FlaskClient, add_key: Callable[..., str]) -> None:
    key = add_key("read")
    plain = client.post("/api/aicall/createTasks", json=[], headers=bearing(key))
    assert (plain.status_code, plain.json["code"]) == (403, 403)
    assert plain.json["msg"] == "这个密钥没有所需的权限：submit"
    problem = client.get("/api/v1/audit", headers=bearing(key))
    assert (problem.status_code, problem.mimetype) == (403, "application/problem+json")


def test_numbers_are_masked_unless_the_key_may_see_them(
    make_app: Any, add_key: Callable[..., str], add_task: Any, add_call: Any
) -> None:
    batch_id = add_task()
    record_file = "000000000-bcfd125b-13800138000.wav"
    uuid = add_call(batch_id=batch_id, number="13800138000", telephone="13800138000", record_file=record_file)
    reader, seer = add_key("read", "submit"), add_key("read", "submit", "numbers")
    client = make_app(api_keys=("bootstrap",)).test_client()
    client.post("/api/v1/do-not-call", json={"number": "13800138000"}, headers=bearing(reader))

    def everything(key: str) -> str:
        headers = bearing(key)
        return "".join(
            [
                client.post("/aicall/calltask/list", json={"pageNum": 1, "pageSize": 9}, headers=headers).text,
                client.post("/aicall/records/list", json={"callType": "02"}, headers=headers).text,
                client.get(f"/api/v1/tasks/{batch_id}", headers=headers).text,
                client.get(f"/api/v1/calls/{uuid}", headers=headers).text,
                client.get("/api/v1/do-not-call", headers=headers).text,
                client.get("/api/v1/do-not-call/export", headers=headers).text,
            ]
        )

    masked = everything(reader)
    assert "13800138000" not in masked
    assert len(re.findall(re.escape("138****8000"), masked)) == 9
    for key in (seer, "bootstrap"):
        assert len(re.findall("13800138000", everything(key))) == 9
        assert "138****8000" not in everything(key)


def test_a_link_that_a_key_in_sql_was_given_plays_and_is_noted(
    app: Flask, add_key: Callable[..., str], add_call: Any, settings: Settings, clock: FakeClock
) -> None:
    path = settings.recordings_dir / WAV
    path.parent.mkdir(parents=True)
    path.write_bytes(b"RIFF0123")
    add_call(uuid="2508162111590110001", wav_file=WAV)
    client, key = app.test_client(), add_key("read", "admin")
    row = client.post("/aicall/records/list", json={"callType": "02"}, headers=bearing(key)).json["rows"][0]
    parts = urlsplit(row["wavFileUrl"])
    for headers in ({}, {"Range": "bytes=0-3"}, {"Range": "bytes=4-7"}, bearing(key)):
        with client.get(f"{parts.path}?{parts.query}", headers=headers) as response:
            assert response.status_code in (200, 206)
    with client.get(f"{parts.path}?filename={WAV}") as response:
        assert response.status_code == 401
    rows = client.get("/api/v1/audit?action=listen", headers=bearing(key)).json["rows"]
    assert [row["actor"] for row in rows] == ["crm", "link", "link"]
    assert {row["subject"] for row in rows} == {"call:2508162111590110001"}
    clock.advance(26 * 3600)
    assert client.get(f"{parts.path}?{parts.query}").status_code == 401


def test_a_database_holds_no_key(add_key: Callable[..., str], settings: Settings) -> None:
    secret = add_key("read").partition(".")[2].encode()
    assert all(secret not in path.read_bytes() for path in settings.state_dir.iterdir() if path.is_file())
