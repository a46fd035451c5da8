"""createTasks, calltask/list and stopTasks over HTTP, the document's own examples first."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from shared.clock import FakeClock

Tickets = Callable[..., dict[str, Any]]
Stored = Callable[[], list[dict[str, Any]]]
SHANGHAI = ZoneInfo("Asia/Shanghai")

CREATE_EXAMPLE = """[
    {
        "ticketNo": "T20231001001",
        "phone": "13912345678",
        "username": "张三",
        "ticketType": "活动通知1",
        "ticketContent": "尊敬的张三先生，提醒您参加我们本周末的线下优惠活动。"
    },
    {
        "ticketNo": "T20231001002",
        "phone": "13912345698",
        "username": "李四",
        "ticketType": "活动通知2",
        "ticketContent": "尊敬的李四先生，提醒您参加我们本周末的线下优惠活动。"
    }
]"""


def post(client: FlaskClient, path: str, body: Any, **headers: str) -> Any:
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    response = client.post(path, data=text, content_type="application/json", headers=headers)
    assert response.status_code == 200, response.text
    return response.json


def milliseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp() * 1000)


# --- createTasks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/aicall/createTasks", "/aicall/createTasks"])
def test_the_documents_example_creates_two_tasks(client: FlaskClient, stored: Stored, rung: Any, path: str) -> None:
    answer = post(client, path, CREATE_EXAMPLE)
    rows = stored()
    assert answer == {
        "code": 200,
        "msg": "任务创建成功",
        "data": [
            {"batchId": rows[0]["batch_id"], "ticketNo": "T20231001001"},
            {"batchId": rows[1]["batch_id"], "ticketNo": "T20231001002"},
        ],
    }
    assert rung() == [("waihu.dispatch", ())]


def test_a_stored_task_is_pending_and_due_now(client: FlaskClient, stored: Stored, clock: FakeClock) -> None:
    post(client, "/api/aicall/createTasks", CREATE_EXAMPLE)
    row = stored()[0]
    now = clock.now_ms()
    expected = {
        "ticket_no": "T20231001001",
        "phone": "13912345678",
        "number": "13912345678",
        "exten": "",
        "username": "张三",
        "ticket_type": "活动通知1",
        "ticket_content": "尊敬的张三先生，提醒您参加我们本周末的线下优惠活动。",
        "state": "pending",
        "state_at": now,
        "created_at": now,
        "due_at": now,
        "attempts": 0,
        "priority": 0,
        "connected": None,
        "stop_requested_at": None,
        "final_at": None,
    }
    assert {name: row[name] for name in expected} == expected


def test_a_single_object_counts_as_an_array_of_one(client: FlaskClient, ticket: Tickets, stored: Stored) -> None:
    answer = post(client, "/api/aicall/createTasks", ticket())
    assert [item["ticketNo"] for item in answer["data"]] == ["T20231001001"]
    assert len(stored()) == 1


def test_unknown_fields_are_ignored(client: FlaskClient, ticket: Tickets) -> None:
    assert post(client, "/api/aicall/createTasks", [ticket(batchName="九月份营销活动", extra=[1, {}])])["code"] == 200


@pytest.mark.parametrize(
    ("phone", "number", "exten"),
    [
        ("0571-88001234", "057188001234", ""),
        ("057188001234-8001", "057188001234", "8001"),
        ("+8613912345678", "+8613912345678", ""),
        (" 13912345678 ", "13912345678", ""),
    ],
)
def test_a_number_is_kept_as_given_and_normalised_beside_it(
    client: FlaskClient, ticket: Tickets, stored: Stored, phone: str, number: str, exten: str
) -> None:
    post(client, "/api/aicall/createTasks", [ticket(phone=phone)])
    row = stored()[0]
    assert (row["phone"], row["number"], row["exten"]) == (phone, number, exten)


@pytest.mark.parametrize(("setting", "code"), [("spec", 200), ("0", 0), ("200", 200)])
def test_the_success_code_of_creation_follows_its_setting(
    make_app: Callable[..., Flask], ticket: Tickets, setting: str, code: int
) -> None:
    client = make_app(success_code=setting).test_client()
    assert post(client, "/api/aicall/createTasks", [ticket()])["code"] == code


def test_one_bad_item_creates_nothing_and_every_fault_is_named(
    client: FlaskClient, ticket: Tickets, stored: Stored, rung: Any
) -> None:
    answer = post(
        client,
        "/api/aicall/createTasks",
        [ticket(), ticket(ticketNo="T2", phone="139abc"), {"ticketNo": 3, "phone": "13800138000"}, "x"],
    )
    assert answer["code"] == 405
    assert {(item["index"], item["field"]) for item in answer["data"]} == {
        (1, "phone"),
        (2, "ticketNo"),
        (2, "username"),
        (2, "ticketType"),
        (2, "ticketContent"),
        (3, None),
    }
    assert "第 2 条 phone" in answer["msg"]
    assert "收到的是 '139abc'" in answer["msg"]
    assert "第 3 条 username：缺少必填字段" in answer["msg"]
    assert stored() == []
    assert rung() == []


@pytest.mark.parametrize("field", ["ticketNo", "phone", "username", "ticketType", "ticketContent"])
@pytest.mark.parametrize("value", [None, "", "  ", 7, True, ["x"], {"a": 1}, "a\0b", "x" * 10_001])
def test_a_bad_value_is_refused_in_every_field(
    client: FlaskClient, ticket: Tickets, stored: Stored, field: str, value: Any
) -> None:
    answer = post(client, "/api/aicall/createTasks", [ticket(**{field: value})])
    assert (answer["code"], [(item["index"], item["field"]) for item in answer["data"]]) == (405, [(0, field)])
    assert stored() == []


@pytest.mark.parametrize("field", ["ticketNo", "username", "ticketType", "ticketContent"])
def test_an_emoji_is_kept_in_every_text(client: FlaskClient, ticket: Tickets, stored: Stored, field: str) -> None:
    text = '🎉👩‍👩‍👧 \\ \t \n "引号"'
    assert post(client, "/api/aicall/createTasks", [ticket(**{field: text})])["code"] == 200
    column = {"ticketNo": "ticket_no", "ticketType": "ticket_type", "ticketContent": "ticket_content"}.get(field, field)
    assert stored()[0][column] == text


def test_an_emoji_in_a_number_is_refused(client: FlaskClient, ticket: Tickets) -> None:
    answer = post(client, "/api/aicall/createTasks", [ticket(phone="1391234567☎")])
    assert (answer["code"], answer["data"][0]["field"]) == (405, "phone")


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ("", "请求体为空"),
        ("   ", "请求体为空"),
        ("[", "不是合法的 JSON"),
        ('[{"ticketNo": }]', "不是合法的 JSON"),
        ("[]", "空数组"),
        ("null", "工单对象"),
        ('"text"', "工单对象"),
        ("12", "工单对象"),
        ("[" * 100_000, "嵌套过深"),
        ('[{"a":' * 50_000, "嵌套过深"),
        ('[{"ticketNo": "\\ud800 alone"}]', "代理字符"),
        ('[{"ticketNo": "\\udc00 alone"}]', "代理字符"),
        ('[{"ticketNo": "1", "ticketContent": "a\\ud800b"}]', "代理字符"),
        ('[{"ticketNo": "1", "ticketContent": "a\\ud800"}]', "代理字符"),
        ('{"a\\ud800":1}', "代理字符"),
        ('["\\\\ud800",', "内容不完整，到第 11 字节就结束了"),
        ('["a\\ud800', "内容不完整，到第 9 字节就结束了"),
        ("{", "内容不完整，到第 1 字节就结束了"),
        ('{"a":1 "b"}', "偏移 7 字节处应为 , 或 }（从 0 数起）"),
        ("[1,]", "偏移 3 字节处数组末尾有多余的逗号"),
        ("[1e999]", "数字超出范围，位于 $[0]"),
        ('[{"ticketNo": "\xff"}]'.encode("latin-1"), "偏移 15 字节处"),
        ('[{"ticketNo": "好"}, {"ticketNo": "好'.encode() + b'\xe5"}]', "偏移 39 字节处"),
        ("[1e999]", "不是合法的 JSON"),
        ("[" + "9" * 5000 + "]", "不是合法的 JSON"),
        ("[NaN]", "不是合法的 JSON"),
        ('["张三"]'.encode("gbk"), "UTF-8"),
    ],
)
def test_a_body_that_holds_no_tickets_says_so(client: FlaskClient, body: Any, hint: str) -> None:
    answer = post(client, "/api/aicall/createTasks", body)
    assert answer["code"] == 405
    assert hint in answer["msg"]


def test_a_byte_order_mark_is_passed_over(client: FlaskClient) -> None:
    assert post(client, "/api/aicall/createTasks", b"\xef\xbb\xbf" + CREATE_EXAMPLE.encode())["code"] == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_another_content_type_is_refused(client: FlaskClient, stored: Stored, kind: str) -> None:
    response = client.post("/api/aicall/createTasks", data=CREATE_EXAMPLE.encode(), content_type=kind)
    assert (response.status_code, response.json["code"]) == (200, 405)
    assert "application/json" in response.json["msg"]
    assert stored() == []


def test_a_content_type_with_a_charset_is_taken(client: FlaskClient) -> None:
    kind = "application/json; charset=UTF-8"
    response = client.post("/api/aicall/createTasks", data=CREATE_EXAMPLE.encode(), content_type=kind)
    assert response.json["code"] == 200


def test_a_compressed_body_is_refused(client: FlaskClient) -> None:
    answer = post(client, "/api/aicall/createTasks", b"\x1f\x8b", **{"Content-Encoding": "gzip"})
    assert answer["code"] == 405


def test_ten_thousand_tickets_are_one_request_and_one_more_is_too_many(
    client: FlaskClient, ticket: Tickets, stored: Stored, rung: Any
) -> None:
    batch = [ticket(ticketNo=f"T{index:05d}", phone=f"139{index:08d}") for index in range(10_001)]
    refused = post(client, "/api/aicall/createTasks", batch)
    assert refused["code"] == 405
    assert "10001" in refused["msg"]
    assert stored() == []
    answer = post(client, "/api/aicall/createTasks", batch[:-1])
    rows = stored()
    assert [item["ticketNo"] for item in answer["data"]] == [ticket["ticketNo"] for ticket in batch[:-1]]
    assert [item["batchId"] for item in answer["data"]] == [row["batch_id"] for row in rows]
    assert [row["phone"] for row in rows] == [ticket["phone"] for ticket in batch[:-1]]
    assert rung() == [("waihu.dispatch", ())]


# --- sent twice ------------------------------------------------------------------------------------------------------


def test_the_same_batch_sent_twice_answers_with_the_same_tasks(client: FlaskClient, stored: Stored, rung: Any) -> None:
    first = post(client, "/api/aicall/createTasks", CREATE_EXAMPLE)
    assert post(client, "/api/aicall/createTasks", CREATE_EXAMPLE) == first
    assert len(stored()) == 2
    assert rung() == [("waihu.dispatch", ())]


def test_another_body_is_refused_while_the_task_is_live(client: FlaskClient, ticket: Tickets, stored: Stored) -> None:
    batch_id = post(client, "/api/aicall/createTasks", [ticket()])["data"][0]["batchId"]
    answer = post(client, "/api/aicall/createTasks", [ticket(ticketNo="new"), ticket(username="李四")])
    assert answer["code"] == 405
    assert [(item["index"], item["field"]) for item in answer["data"]] == [(1, "ticketNo")]
    assert str(batch_id) in answer["msg"]
    assert len(stored()) == 1


def test_repetitions_and_new_tickets_mix_in_one_batch(client: FlaskClient, ticket: Tickets, stored: Stored) -> None:
    old = post(client, "/api/aicall/createTasks", [ticket()])["data"][0]["batchId"]
    answer = post(client, "/api/aicall/createTasks", [ticket(ticketNo="A"), ticket(), ticket(ticketNo="A")])
    ids = [item["batchId"] for item in answer["data"]]
    assert ids[1] == old
    assert ids[0] == ids[2] != old
    assert len(stored()) == 2


def test_an_idempotency_key_returns_the_first_answer_word_for_word(
    client: FlaskClient, ticket: Tickets, stored: Stored, clock: FakeClock
) -> None:
    def send(body: Any) -> Any:
        return client.post("/api/aicall/createTasks", json=body, headers={"Idempotency-Key": "k-1"})

    first = send([ticket()])
    clock.advance(24 * 3600 - 1)
    second = send([ticket()])
    assert second.data == first.data
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    other = send([ticket(username="李四")])
    assert (other.status_code, other.json["code"], other.json["data"][0]["field"]) == (200, 405, "Idempotency-Key")
    assert len(stored()) == 1


def test_an_idempotency_key_is_free_again_after_a_day(client: FlaskClient, ticket: Tickets, clock: FakeClock) -> None:
    client.post("/api/aicall/createTasks", json=[ticket()], headers={"Idempotency-Key": "k-1"})
    clock.advance(24 * 3600 + 1)
    body = [ticket(ticketNo="other")]
    answer = client.post("/api/aicall/createTasks", json=body, headers={"Idempotency-Key": "k-1"})
    assert answer.json["code"] == 200
    assert "Idempotency-Replayed" not in answer.headers


def test_an_answer_of_failure_is_not_kept_under_the_key(client: FlaskClient, ticket: Tickets) -> None:
    headers = {"Idempotency-Key": "k-1"}
    assert client.post("/api/aicall/createTasks", json=[ticket(phone="x")], headers=headers).json["code"] == 405
    assert client.post("/api/aicall/createTasks", json=[ticket()], headers=headers).json["code"] == 200


def test_one_clients_idempotency_key_is_not_anothers(
    make_app: Callable[..., Flask], ticket: Tickets, stored: Stored
) -> None:
    client = make_app(api_keys=("first", "second")).test_client()

    def send(key: str, ticket_no: str) -> Any:
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "1"}
        return client.post("/api/aicall/createTasks", json=[ticket(ticketNo=ticket_no)], headers=headers)

    first = send("first", "A")
    assert [send("second", "B").json["code"], first.json["code"], len(stored())] == [200, 200, 2]
    again = send("first", "A")
    assert (again.data, again.headers["Idempotency-Replayed"]) == (first.data, "true")


def test_the_longest_idempotency_key_is_kept(client: FlaskClient, ticket: Tickets) -> None:
    for replayed in (None, "true"):
        answer = client.post("/api/aicall/createTasks", json=[ticket()], headers={"Idempotency-Key": "k" * 200})
        assert (answer.json["code"], answer.headers.get("Idempotency-Replayed")) == (200, replayed)


@pytest.mark.parametrize("key", ["", "   ", "k" * 201])
def test_an_idempotency_key_that_cannot_be_kept_is_refused(client: FlaskClient, ticket: Tickets, key: str) -> None:
    answer = client.post("/api/aicall/createTasks", json=[ticket()], headers={"Idempotency-Key": key})
    assert (answer.json["code"], answer.json["data"][0]["field"]) == (405, "Idempotency-Key")


# --- calltask/list ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/aicall/calltask/list", "/aicall/calltask/list"])
def test_the_documents_example_of_a_finished_task(client: FlaskClient, add_task: Any, path: str) -> None:
    add_task(
        batch_id=10012,
        ticket_no="T20230901001",
        state="completed",
        connected=True,
        created_at=1693526400000,
        final_at=1696031999000,
        due_at=None,
    )
    body = """{
      "pageNum": 1,
      "pageSize": 10,
      "batchId": 10012,
      "batchName": "九月份营销活动",
      "createTimeStart": "2023-09-01 00:00:00",
      "createTimeEnd": "2023-09-30 23:59:59"
    }"""
    assert post(client, path, body) == {
        "code": 200,
        "msg": "查询成功",
        "total": 1,
        "rows": [
            {
                "batchId": 10012,
                "taskType": 1,
                "createtime": 1693526400000,
                "stopTime": 1696031999000,
                "connected": True,
                "ticketNo": "T20230901001",
                "phone": "13800138000",
                "username": "张三",
                "ticketType": "新用户回访",
                "ticketContent": "关于新用户首次体验的回访电话。",
                "status": "已完成",
            }
        ],
    }


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("pending", "待拨打"),
        ("queued", "排队中"),
        ("dialing", "呼叫中"),
        ("in_call", "通话中"),
        ("retry_wait", "待重拨"),
        ("completed", "已完成"),
        ("not_connected", "未接通"),
        ("failed", "失败"),
        ("stopping", "停止中"),
        ("stopped", "已停止"),
        ("expired", "已过期"),
        ("unknown", "结果未知"),
    ],
)
def test_every_state_has_its_word(client: FlaskClient, add_task: Any, state: str, status: str) -> None:
    add_task(state=state)
    row = post(client, "/api/aicall/calltask/list", {"pageNum": 1, "pageSize": 1})["rows"][0]
    assert (row["status"], row["connected"], row["stopTime"]) == (status, None, None)


def test_pages_are_newest_first_and_stable(client: FlaskClient, add_task: Any) -> None:
    early = [add_task(ticket_no=f"A{index}", created_at=1000) for index in range(3)]
    late = [add_task(ticket_no=f"B{index}", created_at=2000) for index in range(2)]
    expected = [*reversed(late), *reversed(early)]
    seen = []
    for page in (1, 2, 3, 4):
        answer = post(client, "/api/aicall/calltask/list", {"pageNum": str(page), "pageSize": "2"})
        assert answer["total"] == 5
        seen.append([row["batchId"] for row in answer["rows"]])
    assert seen == [expected[:2], expected[2:4], expected[4:], []]


def test_the_bounds_of_creation_are_inclusive_to_the_second(client: FlaskClient, add_task: Any) -> None:
    second = milliseconds("2025-08-16 12:00:00")
    inside = {add_task(ticket_no=f"T{at}", created_at=at) for at in (second, second + 999)}
    for at in (second - 1, second + 1000):
        add_task(ticket_no=f"T{at}", created_at=at)
    query = {"createTimeStart": "2025-08-16 12:00:00", "createTimeEnd": "2025-08-16 12:00:00"}
    answer = post(client, "/api/aicall/calltask/list", {"pageNum": 1, "pageSize": 500} | query)
    assert {row["batchId"] for row in answer["rows"]} == inside
    assert answer["total"] == 2


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"pageNum": None}, "pageNum"),
        ({"pageSize": None}, "pageSize"),
        ({"pageNum": 0}, "pageNum"),
        ({"pageNum": 501}, "pageNum"),
        ({"pageSize": 0}, "pageSize"),
        ({"pageSize": 501}, "pageSize"),
        ({"pageSize": -1}, "pageSize"),
        ({"pageNum": True}, "pageNum"),
        ({"pageNum": 1.0}, "pageNum"),
        ({"pageNum": "1.0"}, "pageNum"),
        ({"pageNum": "１"}, "pageNum"),
        ({"pageNum": "abc"}, "pageNum"),
        ({"pageNum": ""}, "pageNum"),
        ({"pageNum": [1]}, "pageNum"),
        ({"batchId": "10012x"}, "batchId"),
        ({"batchId": 2**63}, "batchId"),
        ({"batchId": False}, "batchId"),
        ({"createTimeStart": "2025-08-16"}, "createTimeStart"),
        ({"createTimeStart": "2025-8-16 00:00:00"}, "createTimeStart"),
        ({"createTimeStart": "2025-02-30 00:00:00"}, "createTimeStart"),
        ({"createTimeStart": "2025-08-16T00:00:00"}, "createTimeStart"),
        ({"createTimeEnd": "2025-08-16 24:00:01"}, "createTimeEnd"),
        ({"createTimeEnd": "0000-00-00 00:00:00"}, "createTimeEnd"),
        ({"createTimeEnd": 1693526400000}, "createTimeEnd"),
        (
            {"createTimeStart": "2025-08-16 00:00:01", "createTimeEnd": "2025-08-16 00:00:00"},
            "createTimeStart",
        ),
    ],
)
def test_a_bad_query_of_tasks_names_its_field(client: FlaskClient, changed: dict[str, Any], field: str) -> None:
    body = {name: value for name, value in ({"pageNum": 1, "pageSize": 10} | changed).items() if value is not None}
    answer = post(client, "/api/aicall/calltask/list", body)
    assert answer["code"] == 405
    assert [(item["index"], item["field"]) for item in answer["data"]] == [(None, field)]
    assert field in answer["msg"]


def test_every_bad_field_of_a_query_is_named_at_once(client: FlaskClient) -> None:
    answer = post(client, "/api/aicall/calltask/list", {"pageSize": 0, "batchId": "x"})
    assert [item["field"] for item in answer["data"]] == ["pageNum", "pageSize", "batchId"]


@pytest.mark.parametrize("body", [[], [{}], "x", 1, None])
def test_a_query_that_is_no_object_is_refused(client: FlaskClient, body: Any) -> None:
    assert "JSON 对象" in post(client, "/api/aicall/calltask/list", json.dumps(body))["msg"]


def test_the_widest_batch_id_finds_nothing_and_harms_nothing(client: FlaskClient) -> None:
    answer = post(client, "/api/aicall/calltask/list", {"pageNum": 1, "pageSize": 1, "batchId": 2**63 - 1})
    assert (answer["code"], answer["total"], answer["rows"]) == (200, 0, [])


# --- stopTasks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/aicall/stopTasks", "/aicall/stopTasks"])
def test_the_documents_example_of_stopping_an_unknown_task(client: FlaskClient, path: str) -> None:
    assert post(client, path, '{ "batchIds": [ 0 ] }') == {"code": 0, "data": None, "msg": "操作成功"}


def test_waiting_tasks_stop_at_once_and_live_ones_are_handed_to_the_workers(
    client: FlaskClient, add_task: Any, stored: Stored, rung: Any
) -> None:
    waiting = add_task(ticket_no="A", state="retry_wait")
    talking = add_task(ticket_no="B", state="in_call")
    done = add_task(ticket_no="C", state="completed", connected=True, final_at=5, due_at=None)
    answer = post(client, "/api/aicall/stopTasks", {"batchIds": [talking, str(waiting), done, 99999, talking]})
    assert answer["code"] == 0
    rows = {row["batch_id"]: row for row in stored()}
    assert (rows[waiting]["state"], rows[waiting]["connected"], rows[waiting]["due_at"]) == ("stopped", False, None)
    assert rows[talking]["state"] == "stopping"
    assert (rows[done]["state"], rows[done]["stop_requested_at"]) == ("completed", None)
    assert rung() == [("waihu.stop_calls", ([talking],))]


def test_many_live_tasks_are_handed_over_in_chunks(client: FlaskClient, add_task: Any, rung: Any) -> None:
    ids = [add_task(ticket_no=f"T{index}", state="dialing") for index in range(250)]
    post(client, "/api/aicall/stopTasks", {"batchIds": ids})
    assert [args[0] for name, args in rung() if name == "waihu.stop_calls"] == [ids[:100], ids[100:200], ids[200:]]


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({}, [(None, "batchIds")]),
        ({"batchIds": None}, [(None, "batchIds")]),
        ({"batchIds": []}, [(None, "batchIds")]),
        ({"batchIds": 10013}, [(None, "batchIds")]),
        ({"batchIds": "10013"}, [(None, "batchIds")]),
        ({"batchIds": [1, True, "x", None, 1.5, 2**63]}, [(index, "batchIds") for index in range(1, 6)]),
        ({"batchIds": [1] * 10_001}, [(None, "batchIds")]),
    ],
)
def test_a_bad_list_of_tasks_to_stop_is_refused(
    client: FlaskClient, body: dict[str, Any], places: list[tuple[int | None, str]]
) -> None:
    answer = post(client, "/api/aicall/stopTasks", body)
    assert answer["code"] == 405
    assert [(item["index"], item["field"]) for item in answer["data"]] == places


@pytest.mark.parametrize(
    "given", [2**63, str(-(2**63) - 1), "99999999999999999999", "9" * 40], ids=["number", "low", "digits", "long"]
)
def test_an_id_that_is_too_large_is_told_its_range(client: FlaskClient, given: Any) -> None:
    (problem,) = post(client, "/api/aicall/stopTasks", {"batchIds": [given]})["data"]
    assert problem["message"].startswith("应在 -9223372036854775808 到 9223372036854775807 之间，收到的是 ")
    assert str(given)[:20] in problem["message"]
    assert len(problem["message"]) < 100


# --- the database is down --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/aicall/createTasks", CREATE_EXAMPLE),
        ("/api/aicall/calltask/list", '{"pageNum": 1, "pageSize": 1}'),
        ("/api/aicall/stopTasks", '{"batchIds": [1]}'),
        ("/api/aicall/records/list", '{"callType": "02"}'),
    ],
)
def test_a_database_that_fails_is_a_500_in_the_envelope(
    make_app: Callable[..., Flask], path: str, body: str, rung: Any
) -> None:
    from shared.database import open_engine

    empty = open_engine("sqlite://")
    response = make_app(engine=empty).test_client().post(path, data=body.encode(), content_type="application/json")
    empty.dispose()
    assert response.status_code == 500
    assert (response.json["code"], response.json["data"]) == (500, None)
    assert "no such table" not in response.text
    assert rung() == []


def test_a_failure_at_the_last_step_leaves_nothing(
    client: FlaskClient, engine: Engine, stored: Stored, ticket: Tickets
) -> None:
    from sqlalchemy import text

    from shared.database import writing

    with writing(engine) as connection:
        connection.execute(text("DROP TABLE idempotency_keys"))
        connection.execute(
            text("CREATE VIEW idempotency_keys AS SELECT '' AS key, x'' AS digest, x'' AS response, 0 AS created_at")
        )
    response = client.post("/api/aicall/createTasks", json=[ticket()], headers={"Idempotency-Key": "k"})
    assert (response.status_code, response.json["code"]) == (500, 500)
    assert stored() == []
