"""What is answered when a request cannot be served."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from shared.database import open_engine, writing


@pytest.mark.parametrize(
    "path", ["/nothing", "/api/nothing", "/api/aicall/nothing", "/aicall", "/API/aicall/createTasks"]
)
def test_an_unknown_address_is_a_404_in_the_envelope(client: FlaskClient, path: str) -> None:
    response = client.post(path, json={})
    assert (response.status_code, response.json["code"], response.json["data"]) == (404, 404, None)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_another_method_is_a_405_that_names_the_right_one(client: FlaskClient, method: str) -> None:
    response = client.open("/api/aicall/createTasks", method=method)
    assert (response.status_code, response.json["code"]) == (405, 405)
    assert method in response.json["msg"]
    assert "POST" in response.headers["Allow"]


@pytest.mark.parametrize("path", ["/api/aicall/createTasks", "/api/aicall/records/list", "/aicall/stopTasks"])
def test_a_body_above_the_limit_is_a_413(client: FlaskClient, path: str) -> None:
    response = client.post(path, data=b" " * (32 * 1024 * 1024 + 1), content_type="application/json")
    assert (response.status_code, response.json["code"]) == (413, 413)


def test_a_database_error_is_logged_without_rows_and_answered_without_details(
    client: FlaskClient, engine: Engine, ticket: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with writing(engine) as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER refuse BEFORE INSERT ON tasks BEGIN SELECT RAISE(ABORT, 'secret row 13912345678'); END"
        )
    with caplog.at_level(logging.DEBUG):
        response = client.post("/api/aicall/createTasks", json=[ticket()], headers={"X-Request-Id": "r-1"})
    assert (response.status_code, response.json["code"]) == (500, 500)
    assert "r-1" in response.json["msg"]
    assert "secret" not in response.text
    assert "13912345678" not in repr([record.__dict__ for record in caplog.records])
    failed = [record for record in caplog.records if record.name == "api.faults"]
    assert [record.__dict__["error"] for record in failed] == ["IntegrityError"]
    assert "insertion.py" in failed[0].__dict__["where"]


def test_a_defect_is_a_500_in_the_envelope(make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture) -> None:
    app = make_app()

    def broken() -> str:
        raise KeyError("defect")

    app.add_url_rule("/broken", view_func=broken)
    response = app.test_client().get("/broken")
    assert (response.status_code, response.json["code"], response.json["data"]) == (500, 500, None)
    assert "defect" not in response.text
    assert any(record.exc_info for record in caplog.records if record.name == "api.faults")


def test_a_database_server_that_is_down_is_a_500_and_a_503_for_the_phone_system(
    make_app: Callable[..., Flask], closed_port: int, ticket: Any
) -> None:
    engine = open_engine(f"postgresql://waihu@127.0.0.1:{closed_port}/waihu")
    client = make_app(engine=engine).test_client()
    created = client.post("/api/aicall/createTasks", json=[ticket()])
    event = client.post("/api/phone/events", json={"event_name": "cdr"})
    ready = client.get("/readyz")
    engine.dispose()
    assert (created.status_code, created.json["code"], event.status_code) == (500, 500, 503)
    assert "稍后重试" in created.json["msg"]
    assert (ready.status_code, ready.json["checks"]["database"]["ok"]) == (503, False)
