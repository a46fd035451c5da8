"""Keys in SQL: scopes, rotation, revocation, masked numbers, signed links."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from api.keys import FRESH_SECONDS
from api.scopes import SCOPES_OF, scopes_of
from shared import api_keys, audit
from shared.api_keys import SCOPES
from shared.clock import FakeClock
from shared.database import reading, writing
from shared.settings import Settings

WAV = "ai_call/2025/08/16/21/2508162111590110001.wav"


@pytest.fixture
def add_key(engine: Engine, clock: FakeClock) -> Callable[..., str]:
    def add(*scopes: str, name: str = "crm", **options: Any) -> str:
        with writing(engine) as connection:
            return api_keys.add(connection, name, scopes, clock.now_ms(), actor="cli:test", **options)

    return add


def bearing(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_every_route_says_what_scope_it_needs(app: Flask) -> None:
    missing = [rule.rule for rule in app.url_map.iter_rules() if scopes_of(rule.endpoint) is None]
    assert missing == []
    assert {scope for scopes in SCOPES_OF.values() for scope in scopes} == set(SCOPES)
    served = {rule.endpoint.rpartition(".")[2].removesuffix("_alias") for rule in app.url_map.iter_rules()}
    assert set(SCOPES_OF) <= served, "a scope for a view that is not there"


def test_a_route_without_a_scope_is_refused_to_everybody(make_app: Any) -> None:
    app = make_app(api_keys=("all",))
    app.add_url_rule("/new", "new", lambda: "secret")
    client = app.test_client()
    assert client.get("/new").status_code == 401
    response = client.get("/new", headers=bearing("all"))
    assert (response.status_code, response.json["code"]) == (403, 403)


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


@pytest.fixture
def recorded(add_call: Any, settings: Settings) -> str:
    """A call with a recording; its uuid."""
    path = settings.recordings_dir / WAV
    path.parent.mkdir(parents=True)
    path.write_bytes(b"RIFF0123")
    uuid: str = add_call(uuid="2508162111590110001", wav_file=WAV)
    return uuid


def link_for(client: FlaskClient, key: str) -> str:
    """Path and query of the wavFileUrl that records/list gives to this key."""
    row = client.post("/aicall/records/list", json={"callType": "02"}, headers=bearing(key)).json["rows"][0]
    parts = urlsplit(row["wavFileUrl"])
    return f"{parts.path}?{parts.query}"


def play(client: FlaskClient, link: str) -> int:
    with client.get(link) as response:
        return response.status_code


def listeners(client: FlaskClient, key: str, query: str = "") -> list[str]:
    """Whom the audit knows to have listened, newest first."""
    rows = client.get(f"/api/v1/audit?action=listen{query}", headers=bearing(key)).json["rows"]
    return [row["actor"] for row in rows]


def test_a_link_that_a_key_in_sql_was_given_plays_and_is_noted(
    app: Flask, add_key: Callable[..., str], recorded: str, clock: FakeClock
) -> None:
    client, key = app.test_client(), add_key("read", "admin")
    parts = urlsplit(link_for(client, key))
    for headers in ({}, {"Range": "bytes=0-3"}, {"Range": "bytes=4-7"}, bearing(key)):
        with client.get(f"{parts.path}?{parts.query}", headers=headers) as response:
            assert response.status_code in (200, 206)
    with client.get(f"{parts.path}?filename={WAV}") as response:
        assert response.status_code == 401
    rows = client.get("/api/v1/audit?action=listen", headers=bearing(key)).json["rows"]
    assert [row["actor"] for row in rows] == ["crm", "link:crm", "link:crm"]
    assert {row["subject"] for row in rows} == {f"call:{recorded}"}
    clock.advance(26 * 3600)
    assert client.get(f"{parts.path}?{parts.query}").status_code == 401


@pytest.mark.usefixtures("recorded")
def test_the_audit_knows_whom_each_link_was_given_to(
    make_app: Any, add_key: Callable[..., str], engine: Engine, clock: FakeClock
) -> None:
    client = make_app(api_keys=("first", "second")).test_client()
    crm, reviewer = add_key("read"), add_key("read", name="质检 组长")
    for key in (crm, "second", reviewer):
        assert play(client, link_for(client, key)) == 200
    link = link_for(client, crm)
    with writing(engine) as connection:
        api_keys.revoke(connection, crm.partition(".")[0], clock.now_ms(), actor="cli:test")
    clock.advance(FRESH_SECONDS)
    assert play(client, link) == 200, "also when the key that asked is gone"
    assert listeners(client, "first") == ["link:crm", "link:质检 组长", "link:API_KEYS[1]", "link:crm"]
    assert listeners(client, "first", "&actor=link:crm") == ["link:crm"] * 2


@pytest.mark.usefixtures("recorded")
def test_whom_a_link_was_given_to_cannot_be_changed_or_left_out(app: Flask, add_key: Callable[..., str]) -> None:
    client, mine, other = app.test_client(), add_key("read", "admin"), add_key("read", name="other")
    link, by = link_for(client, mine), f"by={mine.partition('.')[0]}"
    assert by in link
    for changed in (f"by={other.partition('.')[0]}", "by=", "by=bootstrap:0", f"{by}%0A", f"x{by}"):
        assert play(client, link.replace(by, changed)) == 401, changed
    assert listeners(client, mine) == []


@pytest.mark.usefixtures("recorded")
def test_a_link_tells_nothing_of_a_key_but_its_public_id(make_app: Any, add_key: Callable[..., str]) -> None:
    client, key = make_app(api_keys=("bootstrap-key",)).test_client(), add_key("read", name="reviewers")
    key_id, _, secret = key.partition(".")
    query = parse_qs(urlsplit(link_for(client, key)).query)
    assert set(query) == {"filename", "by", "expires", "sig"}
    assert query["by"] == [key_id]
    link = link_for(client, "bootstrap-key")
    assert parse_qs(urlsplit(link).query)["by"] == ["bootstrap:0"]
    told = link + link_for(client, key)
    for kept in ("bootstrap-key", secret, hashlib.sha256(secret.encode()).hexdigest(), "reviewers"):
        assert kept not in told
    assert client.get("/api/v1/stats", headers=bearing(query["by"][0])).status_code == 401


@pytest.mark.usefixtures("recorded")
def test_a_link_signed_before_links_said_whom_they_were_given_to_plays_until_it_expires(
    app: Flask, add_key: Callable[..., str], engine: Engine, clock: FakeClock
) -> None:
    client, key = app.test_client(), add_key("read", "admin")
    expires = str(clock.now_ms() // 1000 + 3600)
    with reading(engine) as connection:
        secret = audit.house_secret(connection, audit.LINKS)
    signature = hmac.new(secret, f"{WAV}\n{expires}".encode(), "sha256").hexdigest()[:40]
    link = f"/recordings/files?filename={WAV}&expires={expires}&sig={signature}"
    assert play(client, link) == 200
    assert play(client, f"{link}&by={key.partition('.')[0]}") == 401
    assert listeners(client, key) == ["link"]
    clock.advance(3601)
    assert play(client, link) == 401


def test_a_database_holds_no_key(add_key: Callable[..., str], settings: Settings) -> None:
    secret = add_key("read").partition(".")[2].encode()
    assert all(secret not in path.read_bytes() for path in settings.state_dir.iterdir() if path.is_file())
