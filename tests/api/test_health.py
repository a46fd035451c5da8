"""/healthz and /readyz."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fakeredis import TcpFakeServer
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, insert

from shared.database import open_engine, writing
from shared.schema import caller_rests, pauses
from shared.settings import Caller
from tests.api.conftest import NOW
from tests.api.servers import serving


@pytest.fixture
def redis_url() -> Any:
    with serving(TcpFakeServer(("127.0.0.1", 0))) as port:
        yield f"redis://127.0.0.1:{port}/0"


def test_healthz_asks_nobody(make_app: Callable[..., Flask], closed_port: int) -> None:
    client = make_app(redis_url=f"redis://127.0.0.1:{closed_port}/0", api_keys=("key",)).test_client()
    response = client.get("/healthz")
    assert (response.status_code, response.json) == (200, {"status": "ok"})


def test_a_house_with_stand_ins_is_ready_and_names_them(
    make_app: Callable[..., Flask], redis_url: str, open_port: int
) -> None:
    client = make_app(redis_url=redis_url, phone_url=f"http://127.0.0.1:{open_port}/x", api_keys=("key",)).test_client()
    response = client.get("/readyz")
    assert response.status_code == 200
    document = response.json
    assert document is not None
    assert len(document.pop("recordings")) == 16
    assert document == {
        "status": "ready",
        "checks": {"database": {"ok": True}, "broker": {"ok": True}, "phone": {"ok": True}, "clock": {"ok": True}},
        "standins": ["phone", "asr", "tts"],
        "dial_gate": {"open": True, "breaker": "closed", "paused": [], "resting": []},
    }


def test_a_stand_in_beside_a_real_service_shuts_the_gate_and_no_more(
    make_app: Callable[..., Flask], redis_url: str, open_port: int
) -> None:
    changed = {"redis_url": redis_url, "phone_url": f"http://127.0.0.1:{open_port}/x"}
    app = make_app(**changed, sources={"phone_url": "environment"})
    response = app.test_client().get("/readyz")
    assert (response.status_code, response.json["standins"]) == (200, ["asr", "tts"])
    assert response.json["dial_gate"]["open"] is False
    assert "WAIHU_ALLOW_STANDIN" in response.json["dial_gate"]["problem"]


def test_a_setting_that_cannot_be_read_shuts_the_gate_and_is_named(
    make_app: Callable[..., Flask], redis_url: str
) -> None:
    app = make_app(redis_url=redis_url, call_window="nine to five", breaker="maybe")
    gate = app.test_client().get("/readyz").json["dial_gate"]
    assert gate["open"] is False
    assert "WAIHU_CALL_WINDOW: expected" in gate["problem"]
    assert "WAIHU_BREAKER: expected" in gate["problem"]


def test_the_gate_says_who_waits_and_why(make_app: Callable[..., Flask], redis_url: str, engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(insert(pauses).values(ticket_type="催收", created_at=NOW))
        rest = {"caller": "057128167421", "until": NOW + 60_000, "reason": "answered 2%", "created_at": NOW}
        connection.execute(insert(caller_rests).values(rest))
    two = tuple(replace(Caller("057128167421"), number=number) for number in ("057128167421", "057128167422"))
    gate = make_app(redis_url=redis_url, callers=two).test_client().get("/readyz").json["dial_gate"]
    assert gate == {
        "open": True,
        "breaker": "closed",
        "paused": ["催收"],
        "resting": [{"caller": "057*****7421", "until": "2025-12-31T12:04:58.953+08:00", "reason": "answered 2%"}],
    }


def test_a_gate_that_cannot_be_seen_is_shut(make_app: Callable[..., Flask], closed_port: int) -> None:
    gate = make_app(redis_url=f"redis://127.0.0.1:{closed_port}/0").test_client().get("/readyz").json["dial_gate"]
    assert gate["open"] is False
    assert "Redis" in gate["problem"]


def test_a_phone_system_that_is_away_is_named_and_no_more(
    make_app: Callable[..., Flask], redis_url: str, closed_port: int
) -> None:
    app = make_app(redis_url=redis_url, phone_url=f"http://127.0.0.1:{closed_port}/x")
    response = app.test_client().get("/readyz")
    assert (response.status_code, response.json["checks"]["phone"]["ok"]) == (200, False)


def test_a_broker_that_is_away_is_a_503(make_app: Callable[..., Flask], closed_port: int) -> None:
    response = make_app(redis_url=f"redis://127.0.0.1:{closed_port}/0").test_client().get("/readyz")
    assert (response.status_code, response.json["status"]) == (503, "unready")
    assert response.json["checks"]["broker"]["ok"] is False
    assert response.json["checks"]["database"]["ok"] is True


def test_a_broker_that_hangs_is_a_503(make_app: Callable[..., Flask], open_port: int) -> None:
    response = make_app(redis_url=f"redis://127.0.0.1:{open_port}/0").test_client().get("/readyz")
    assert (response.status_code, response.json["checks"]["broker"]["ok"]) == (503, False)


def test_a_schema_of_another_version_is_a_503_that_names_the_fix(
    make_app: Callable[..., Flask], redis_url: str
) -> None:
    empty = open_engine("sqlite://")
    response = make_app(engine=empty, redis_url=redis_url).test_client().get("/readyz")
    empty.dispose()
    assert response.status_code == 503
    assert "waihu db upgrade" in response.json["checks"]["database"]["problem"]


def test_creation_succeeds_while_the_broker_is_away(
    make_app: Callable[..., Flask], closed_port: int, ticket: Any, stored: Any
) -> None:
    from shared.doorbell import Doorbell

    client: FlaskClient = make_app(doorbell=Doorbell(f"redis://127.0.0.1:{closed_port}/0")).test_client()
    assert client.post("/api/aicall/createTasks", json=[ticket()]).json["code"] == 200
    assert len(stored()) == 1
