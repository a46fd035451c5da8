"""What is answered when a request cannot be served."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, abort
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


def test_under_v1_a_body_above_the_limit_is_told_the_limit(client: FlaskClient) -> None:
    body = b" " * (32 * 1024 * 1024 + 1)
    response = client.post("/api/v1/tasks", data=body, content_type="application/json")
    assert (response.status_code, response.mimetype) == (413, "application/problem+json")
    assert "at most 33554432 bytes" in response.json["detail"]


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


def test_a_database_without_tables_is_told_with_what_makes_them(
    make_app: Callable[..., Flask], tmp_path: Path, ticket: Any, caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'empty.db'}")
    client = make_app(engine=engine).test_client()
    created = client.post("/api/aicall/createTasks", json=[ticket()])
    listed = client.get("/api/v1/stats")
    engine.dispose()
    assert (created.status_code, created.json["code"], listed.status_code) == (500, 500, 500)
    assert "waihu db upgrade" in created.json["msg"]
    assert "waihu db upgrade" in listed.json["detail"]
    assert {record.message for record in caplog.records if record.name == "api.faults"} == {
        "the database lacks tables of this version: run `waihu db upgrade`"
    }


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
    stats = client.get("/api/v1/stats")
    engine.dispose()
    assert (created.status_code, created.json["code"], event.status_code) == (500, 500, 503)
    assert "稍后重试" in created.json["msg"]
    assert stats.status_code == 500
    assert "the database is not available" in stats.json["detail"]
    assert (ready.status_code, ready.json["checks"]["database"]["ok"]) == (503, False)


def test_a_wrong_parameter_is_listed_by_field_in_a_problem_too(client: FlaskClient, ticket: Any) -> None:
    sent = [ticket(), {**ticket(), "ticketNo": "T2", "phone": "abc", "priority": "high"}]
    response = client.post("/api/v1/tasks", json=sent)
    assert (response.status_code, response.mimetype) == (400, "application/problem+json")
    assert [(error["index"], error["field"]) for error in response.json["errors"]] == [(1, "phone"), (1, "priority")]
    assert all(error["message"] for error in response.json["errors"])
    assert "errors" not in client.get("/api/v1/tasks/1").json


@pytest.mark.parametrize("status", [400, 401, 403, 405, 409, 413, 415, 416, 429, 501, 503])
def test_a_message_of_the_envelope_is_in_one_language(make_app: Callable[..., Flask], status: int) -> None:
    """Names of headers, formats and settings apart, which are what they are in every language."""
    app = make_app()
    app.add_url_rule("/refused", view_func=lambda: abort(status))
    message = app.test_client().get("/refused").json["msg"]
    names = ("API", "HTTP", "Authorization: Bearer", "X-API-Key", "GET")
    assert not re.search("[A-Za-z]{2,}", re.sub("|".join(names), "", message))
    assert re.search("[\u4e00-\u9fff]", message)
