"""POST /api/phone/events: stored first, answered then, applied later."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, select

from shared.clock import FakeClock
from shared.database import open_engine, reading
from shared.schema import phone_events

ANSWER = {
    "call_id": "bbd910fc-e5fd-11f0-a660-525400eaab18",
    "callee": "15101613608",
    "caller": "057128167421",
    "event_name": "firstAnswer",
    "event_time": 1767153844421,
    "pay_load": "",
    "request_id": "req4",
}
CDR = {
    "call_id": "bbd910fc-e5fd-11f0-a660-525400eaab18",
    "callee": "15101613608",
    "caller": "057128167421",
    "event_name": "cdr",
    "event_time": 1767154090690,
    "pay_load": [
        {
            "answer_time": 1767153844421,
            "call_id": "bbd910fc-e5fd-11f0-a660-525400eaab18",
            "call_type": "81",
            "callee": "15101613608",
            "caller": "057128167421",
            "end_time": 1767154090690,
            "is_record": 1,
            "record_file": "000000000-bbd910fc-e5fd-11f0-a660-525400eaab18-15101613608.wav",
            "request_id": "req4",
            "start_time": "1767153838953",
        }
    ],
    "request_id": "req4",
}


@pytest.fixture
def inbox(engine: Engine) -> Callable[[], list[dict[str, Any]]]:
    def read() -> list[dict[str, Any]]:
        with reading(engine) as connection:
            rows = connection.execute(select(phone_events).order_by(phone_events.c.id)).mappings()
            return [dict(row) for row in rows]

    return read


def test_the_documents_events_are_stored_as_they_came(
    client: FlaskClient, inbox: Any, rung: Any, clock: FakeClock
) -> None:
    response = client.post("/api/phone/events", json=ANSWER)
    assert (response.status_code, response.json) == (200, {"code": 0, "msg": "ok"})
    assert client.post("/api/phone/events", json=CDR).json == {"code": 0, "msg": "ok"}
    answer, cdr = inbox()
    assert answer == {
        "id": answer["id"],
        "received_at": clock.now_ms(),
        "event_name": "firstAnswer",
        "request_id": "req4",
        "call_id": ANSWER["call_id"],
        "body": ANSWER,
        "applied_at": None,
        "call_uuid": None,
    }
    assert cdr["body"] == CDR
    assert [name for name, _ in rung()] == ["waihu.apply_events"] * len(rung())
    assert [number for _, args in rung() for number in args[0]] == [answer["id"], cdr["id"]]


def test_an_array_is_stored_in_its_order_and_rung_in_chunks(client: FlaskClient, inbox: Any, rung: Any) -> None:
    batch = [ANSWER | {"event_time": index} for index in range(150)]
    assert client.post("/api/phone/events", json=batch).json["code"] == 0
    rows = inbox()
    assert [row["body"]["event_time"] for row in rows] == list(range(150))
    ids = [row["id"] for row in rows]
    assert rung() == [("waihu.apply_events", (ids[:100],)), ("waihu.apply_events", (ids[100:],))]


def test_an_empty_array_is_nothing_to_store(client: FlaskClient, inbox: Any, rung: Any) -> None:
    assert client.post("/api/phone/events", data=b"[]").json == {"code": 0, "msg": "ok"}
    assert (inbox(), rung()) == ([], [])


def test_an_event_of_an_unknown_call_with_loose_types_is_stored(client: FlaskClient, inbox: Any) -> None:
    event = {"event_name": "future", "call_id": 12, "request_id": None, "event_time": "", "pay_load": {"a": [None]}}
    assert client.post("/api/phone/events", data=json.dumps(event), content_type="text/plain").json["code"] == 0
    row = inbox()[0]
    assert (row["event_name"], row["call_id"], row["request_id"], row["body"]) == ("future", "12", "", event)


def test_long_names_and_nul_characters_do_not_lose_an_event(client: FlaskClient, inbox: Any) -> None:
    event = {"event_name": "e" * 100, "call_id": "c" * 200, "request_id": "a\0b", "pay_load": [{"x\0": "\0y"}]}
    assert client.post("/api/phone/events", json=event).json["code"] == 0
    row = inbox()[0]
    assert (len(row["event_name"]), len(row["call_id"]), row["request_id"]) == (64, 100, "a\ufffdb")
    assert row["body"]["pay_load"] == [{"x\ufffd": "\ufffdy"}]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"{",
        b"1",
        b"null",
        b"{}",
        b'[{"name": "cdr"}, 7]',
        b'{"event_name": 5}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_garbage_is_a_400_that_says_what_was_expected(client: FlaskClient, inbox: Any, rung: Any, body: bytes) -> None:
    response = client.post("/api/phone/events", data=body, content_type="application/json")
    assert (response.status_code, response.json["code"]) == (400, 400)
    assert response.json["msg"]
    assert (inbox(), rung()) == ([], [])


def test_what_is_no_event_among_others_is_left_out_and_named(
    client: FlaskClient, inbox: Any, rung: Any, caplog: pytest.LogCaptureFixture
) -> None:
    response = client.post("/api/phone/events", json=[ANSWER, 7, CDR, {"event_name": ""}])
    assert (response.status_code, response.json["code"], response.json["msg"]) == (200, 0, "ok")
    assert response.json["ignored"] == 2
    assert [(fault["index"], fault["field"]) for fault in response.json["data"]] == [(1, None), (3, None)]
    assert "expected an event object" in response.json["data"][0]["message"]
    assert [row["body"] for row in inbox()] == [ANSWER, CDR]
    assert [args for _, args in rung()] == [([row["id"] for row in inbox()],)]
    (line,) = [record for record in caplog.records if "ignored" in record.getMessage()]
    assert (line.__dict__["ignored"], line.__dict__["at"]) == (2, [1, 3])


def test_of_many_that_are_no_events_the_first_are_named(client: FlaskClient, inbox: Any) -> None:
    answer = client.post("/api/phone/events", json=[7] * 5000 + [CDR]).json
    assert (answer["code"], answer["ignored"], len(answer["data"])) == (0, 5000, 100)
    assert [row["body"] for row in inbox()] == [CDR]


def test_events_may_be_as_long_as_any_other_body(app: Flask, client: FlaskClient, inbox: Any) -> None:
    long = json.dumps(ANSWER | {"pay_load": "x" * (2 << 20)}).encode()
    assert client.post("/api/phone/events", data=long).json["code"] == 0
    app.config["MAX_CONTENT_LENGTH"] = len(long) - 1
    response = client.post("/api/phone/events", data=long)
    assert (response.status_code, response.json["code"]) == (413, 413)
    assert len(inbox()) == 1


def test_more_values_than_memory_should_hold_are_a_413(client: FlaskClient, inbox: Any) -> None:
    response = client.post("/api/phone/events", data=b"[" + b"1," * 2_000_001 + b"1]")
    assert (response.status_code, response.json["code"]) == (413, 413)
    assert inbox() == []


def test_a_body_without_the_secret_is_not_read(make_app: Callable[..., Flask]) -> None:
    class Unread(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _buffer: Any) -> int:
            pytest.fail("the body of a stranger was read")

    client = make_app(phone_secret="s3cret").test_client()
    for length in (1000, 64 << 20):
        given = {"CONTENT_LENGTH": str(length), "CONTENT_TYPE": "application/json", "wsgi.input": Unread()}
        response = client.post("/api/phone/events", environ_overrides=given)
        assert response.status_code == 401


def test_the_secret_is_taken_from_the_query_or_as_a_bearer(make_app: Callable[..., Flask], inbox: Any) -> None:
    client = make_app(phone_secret="s3cret", api_keys=("key",)).test_client()
    for path, headers in (
        ("/api/phone/events", {}),
        ("/api/phone/events?secret=", {}),
        ("/api/phone/events?secret=s3cre", {}),
        ("/api/phone/events?secret=%F0%9F%8E%89", {}),
        ("/api/phone/events", {"Authorization": "Bearer key"}),
        ("/api/phone/events", {"X-API-Key": "s3cret"}),
    ):
        response = client.post(path, json=ANSWER, headers=headers)
        assert (response.status_code, response.json["code"]) == (401, 401)
    assert inbox() == []
    assert client.post("/api/phone/events?secret=s3cret", json=ANSWER).json["code"] == 0
    assert client.post("/api/phone/events", json=ANSWER, headers={"Authorization": "bearer s3cret"}).json["code"] == 0
    assert len(inbox()) == 2


def test_what_cannot_be_stored_is_a_503_and_never_success(make_app: Callable[..., Flask], rung: Any) -> None:
    empty = open_engine("sqlite://")
    response = make_app(engine=empty).test_client().post("/api/phone/events", json=ANSWER)
    empty.dispose()
    assert (response.status_code, response.json["code"]) == (503, 503)
    assert rung() == []
