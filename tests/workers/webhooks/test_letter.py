"""What a delivery says is what the API says of the same task and record, and the documented receiver can verify it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select

from api.app import create_app
from api.house import EXTENSION
from shared.api_keys import link_secret
from shared.database import reading
from shared.links import link_holds
from shared.schema import tasks
from tests.workers.twins import BellTwin, Office
from tests.workers.webhooks.desk import SECRET, add_call, finish
from workers.webhooks.letter import body_of, headers_of, sign

DOCUMENT = Path(__file__).parents[3] / "docs" / "webhooks.md"
ENDPOINT = 7
DELIVERY = "7fc7c751-4b90-590d-9d63-edb8bd77265a"


@pytest.fixture
def office(open_office: Callable[..., Office]) -> Office:
    return open_office()


def body(office: Office, batch_id: int) -> Any:
    with reading(office.house.engine) as connection:
        raw = body_of(connection, office.settings, ENDPOINT, DELIVERY, "task.finished", batch_id, office.now)
    return None if raw is None else json.loads(raw)


def talk(office: Office) -> tuple[int, str]:
    """A finished task with two calls, the later of them answered."""
    batch_id = office.ticket()
    add_call(office, batch_id, 1, created_at=office.now - 90_000)
    uuid = add_call(
        office,
        batch_id,
        2,
        answered_at=office.now - 5_000,
        time_len=5,
        hangup_cause="NORMAL_CLEARING:sip:200",
        wav_file="ai_call/2025/12/31/12/2512311203580000002.wav",
        dialogue=[{"role": "assistant", "content": "您好"}, {"role": "user", "content": "好"}],
        tags=[{"name": "callback_wanted", "value": "明天", "at": office.now}],
    )
    finish(office, batch_id, "completed", True)
    return batch_id, uuid


def link_plays(link: str, office: Office) -> bool:
    """Whether the API would play it, as one that was given to the endpoint."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}
    with reading(office.house.engine) as connection:
        secret = link_secret(connection, office.settings.api_keys)
    assert secret is not None
    return link_holds(query["filename"], f"webhook:{ENDPOINT}", query["expires"], query["sig"], secret, office.now)


@pytest.mark.parametrize("keys", [(), ("key-of-ours",)])
def test_task_and_record_are_those_of_the_api(office: Office, keys: tuple[str, ...]) -> None:
    batch_id, uuid = talk(office)
    office.settings = replace(office.settings, api_keys=keys)
    app = create_app(office.settings, office.house.engine, BellTwin(), office.clock)
    client = app.test_client()
    headers = {"X-API-Key": keys[0]} if keys else {}
    listed = client.post("/aicall/calltask/list", json={"pageNum": 1, "pageSize": 1}, headers=headers).json["rows"][0]
    record = client.post("/aicall/records/list", json={"callType": "02", "pageSize": 1}, headers=headers).json["rows"][
        0
    ]
    app.extensions[EXTENSION].ringer.close()
    told = body(office, batch_id)
    assert set(told) == {"deliveryId", "event", "task", "record"}
    assert (told["deliveryId"], told["event"]) == (DELIVERY, "task.finished")
    added = {"state": "completed", "finalAt": "2025-12-31T12:03:58.953+08:00", "attempts": 0}
    assert told["task"] == listed | added
    link, theirs = told["record"]["wavFileUrl"], record["wavFileUrl"]
    tags = [{"name": "callback_wanted", "value": "明天", "at": office.now}]
    assert told["record"] == record | {"tags": tags, "wavFileUrl": link}
    assert link.partition("&")[0] == theirs.partition("&")[0]
    assert told["record"]["uuid"] == uuid
    if keys:
        assert ("&by=webhook:7&" in link, "&by=bootstrap:0&" in theirs) == (True, True)
        assert link_plays(link, office)
    else:
        assert link == theirs


def test_an_attempt_that_never_left_is_no_record(office: Office) -> None:
    batch_id = office.ticket()
    add_call(office, batch_id, 1, state="unplaced", hangup_cause="")
    finish(office, batch_id, "expired")
    assert body(office, batch_id)["record"] is None


def test_a_task_that_is_gone_has_no_letter(office: Office) -> None:
    assert body(office, 12345) is None


def test_what_is_signed_is_the_timestamp_and_the_body(office: Office) -> None:
    headers = dict(headers_of(DELIVERY, SECRET, b'{"a":1}', 1_767_153_838_953))
    assert headers[b"Waihu-Timestamp"] == b"1767153838"
    signature = headers[b"Waihu-Signature"].decode()
    assert re.fullmatch(r"v1=[0-9a-f]{64}", signature)
    assert signature == "v1=" + sign(SECRET, "1767153838", b'{"a":1}')
    others = {sign(SECRET, "1767153839", b'{"a":1}'), sign(SECRET, "1767153838", b'{"a":2}'), sign("x", "1", b"")}
    assert signature.removeprefix("v1=") not in others


def test_the_documented_receiver_takes_what_we_send_and_nothing_else(office: Office) -> None:
    """The Python example of docs/webhooks.md, run as it stands there."""
    [code] = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, str(DOCUMENT), "exec"), names)
    verify = names["verify"]
    batch_id, _ = talk(office)
    with reading(office.house.engine) as connection:
        raw = body_of(connection, office.settings, ENDPOINT, DELIVERY, "task.finished", batch_id, office.now)
        assert connection.execute(select(tasks.c.state)).scalar_one() == "completed"
    assert raw is not None
    headers = {name.decode(): value.decode() for name, value in headers_of(DELIVERY, SECRET, raw, office.now)}
    now = office.now / 1000
    assert verify(headers, raw, SECRET, now)["task"]["batchId"] == batch_id
    for changed, secret, moment in (
        (raw + b" ", SECRET, now),
        (raw, SECRET + "x", now),
        (raw, SECRET, now + 301),
        (raw, SECRET, now - 301),
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - the example's own
            verify(headers, changed, secret, moment)
    for name, value in (
        ("Waihu-Timestamp", "1"),
        ("Waihu-Timestamp", "soon"),
        ("Waihu-Signature", "v1="),
        ("Waihu-Signature", ""),
        ("Waihu-Signature", "v1=é"),
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - the example's own
            verify(headers | {name: value}, raw, SECRET, now)
