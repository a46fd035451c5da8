"""Erasing one customer over HTTP; tests/shared/test_erasure.py has what is erased."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

PATH = "/api/v1/erasures"


def test_the_answer_is_the_proof(client: FlaskClient, add_task: Any, add_call: Any, stored: Any) -> None:
    batch_id = add_task(state="completed")
    uuid = add_call(batch_id=batch_id, number="13800138000", telephone="13800138000", call_id="theirs")
    response = client.post(PATH, json={"number": " 13800138000", "reason": "来函"})
    assert response.status_code == 200
    assert (response.json["erased"]["tasks"], response.json["count"], response.json["vendor"]) == (1, 2, ["theirs"])
    assert set(response.json["remaining"].values()) == {0}
    assert stored()[0]["phone"] == ""
    assert "13800138000" not in client.get(f"/api/v1/calls/{uuid}").text
    row = client.get(f"/api/v1/audit?subject={response.json['mark']}").json["rows"][0]
    assert (row["action"], row["actor"]) == ("erase", "loopback")
    assert client.post(f"/api/v1/tasks/{batch_id}/redial", json={"reason": "x"}).status_code == 409


def test_an_extension_is_one_customer_of_many(client: FlaskClient, add_task: Any, stored: Any) -> None:
    for exten in ("", "8001", "8002"):
        add_task(state="completed", number="057188001234", phone=f"057188001234-{exten}", exten=exten)
    asked = {"number": "0571-88001234-8001", "reason": "来函"}
    assert client.post(PATH, json=asked | {"dropDoNotCall": True}).status_code == 409
    response = client.post(PATH, json=asked)
    assert response.json["erased"]["tasks"] == 1
    assert [row["phone"] for row in stored()] == ["057188001234-", "", "057188001234-8002"]


def test_a_live_call_is_a_409(client: FlaskClient, add_call: Any) -> None:
    add_call(number="13800138000", state="ringing", ended_at=None)
    assert client.post(PATH, json={"number": "13800138000", "reason": "来函"}).status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"number": "13800138000"},
        {"number": "x", "reason": "y"},
        {"number": "138", "reason": "y", "dropDoNotCall": 1},
    ],
)
def test_a_request_that_is_none_is_a_400(client: FlaskClient, body: dict[str, Any]) -> None:
    assert client.post(PATH, json=body).status_code == 400
