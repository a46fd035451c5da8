"""The do-not-call list over HTTP."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, select

from api.body import MAX_BODY_BYTES
from api.envelope import ParameterError
from api.suppression_list import read_csv
from shared.database import reading, writing
from shared.doorbell import STOP_CALLS
from shared.lines import change_country, compute_some
from shared.schema import audit

PATH = "/api/v1/do-not-call"


def test_a_number_is_put_on_the_list_and_its_tasks_stop(
    client: FlaskClient, add_task: Any, add_call: Any, stored: Any, rung: Any, engine: Engine
) -> None:
    waiting = add_task(ticket_no="A")
    ringing = add_task(ticket_no="B", state="dialing")
    response = client.post(PATH, json={"number": " 13800138000 ", "reason": "来函"})
    assert response.status_code == 201
    assert (response.json["number"], response.json["source"]) == ("13800138000", "person")
    assert {task["batch_id"]: task["state"] for task in stored()} == {waiting: "stopped", ringing: "stopping"}
    assert (STOP_CALLS, ([ringing],)) in rung()
    with reading(engine) as connection:
        row = connection.execute(select(audit)).one()
    assert (row.action, "13800138000" in repr(row), row.subject.startswith("number:")) == ("dnc_add", False, True)


def test_an_extension_does_not_put_its_whole_switchboard_on_the_list(client: FlaskClient, add_task: Any) -> None:
    add_task(number="057188001234", phone="0571-88001234")
    answer = client.post(PATH, json={"number": "057188001234-8001", "reason": "x"})
    assert answer.status_code == 400
    assert "不带分机" in answer.text
    imported = client.post(
        f"{PATH}/import", data="号码\n13800138000\n057188001234-8001\n".encode(), content_type="text/csv"
    )
    assert imported.status_code == 400
    assert "第 3 行" in imported.text
    assert client.get(PATH).json["total"] == 0


def test_pages_search_and_removal(client: FlaskClient) -> None:
    for number in ("13800138001", "13800138002", "0571-88001234"):
        client.post(PATH, json={"number": number})
    assert client.get(f"{PATH}?pageSize=2").json["total"] == 3
    assert len(client.get(f"{PATH}?pageSize=2&pageNum=2").json["rows"]) == 1
    assert client.get(f"{PATH}?number=057188001234").json["rows"][0]["number"] == "057188001234"
    assert client.get(f"{PATH}?number=13999999999").json == {"total": 0, "rows": []}
    assert client.delete(f"{PATH}/13800138001").status_code == 204
    assert client.delete(f"{PATH}/13800138001").status_code == 404
    assert client.delete(f"{PATH}/x").status_code == 400
    assert client.get(PATH).json["total"] == 2


def test_what_was_exported_can_be_imported(client: FlaskClient) -> None:
    for number, reason in (("+8613800138001", "=1+1"), ("13800138002", '来函,说"不"')):
        client.post(PATH, json={"number": number, "reason": reason})
    exported = client.get(f"{PATH}/export")
    assert exported.mimetype == "text/csv"
    assert "'=1+1" in exported.text
    before = client.get(PATH).json["rows"]
    for row in before:
        client.delete(f"{PATH}/{row['number']}")
    answer = client.post(f"{PATH}/import", data=exported.data, content_type="text/csv")
    assert (answer.status_code, answer.json) == (200, {"numbers": 2, "added": 2})
    after = {row["number"]: row["reason"] for row in client.get(PATH).json["rows"]}
    assert after == {row["number"]: row["reason"] for row in before}
    again = client.post(
        f"{PATH}/import", data="\ufeff13800138002\r\n\r\n13800138003\r\n".encode(), content_type="text/csv"
    )
    assert again.json == {"numbers": 2, "added": 1}


@pytest.mark.parametrize(
    "data", [b"", b"number\r\n", b"13800138000\r\nabc\r\n", b"\xff\xfe", b'"13800138000', b"138\x00138000"]
)
def test_a_bad_file_changes_nothing(client: FlaskClient, data: bytes) -> None:
    response = client.post(f"{PATH}/import", data=data, content_type="text/csv")
    assert (response.status_code, response.mimetype) == (400, "application/problem+json")
    assert client.get(PATH).json["total"] == 0


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"\n" * MAX_BODY_BYTES, "200000"),
        (b"," * MAX_BODY_BYTES, "10000"),
        (b",\n" * (MAX_BODY_BYTES // 2), "200000"),
        (("," * 9_998 + "\r\n").encode() * (MAX_BODY_BYTES // 10_000), "没有号码"),
        (b'"\n",' * (MAX_BODY_BYTES // 4), "200000"),
        (b'"' + b"1\n" * (MAX_BODY_BYTES // 2 - 1), "CSV"),
    ],
    ids=["line ends", "commas", "empty rows", "wide rows", "one row of many lines", "an open quote"],
)
def test_a_large_file_of_nothing_is_refused_without_much_memory(data: bytes, word: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ParameterError, match=word):
            read_csv(data)
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_BODY_BYTES
    finally:
        tracemalloc.stop()


def test_lines_of_a_file_that_are_wrong_are_named_up_to_a_hundred() -> None:
    data = "number\r\n" + "x\r\n" * 200 + "13800138000\r\n"
    with pytest.raises(ParameterError) as refused:
        read_csv(data.encode())
    assert [problem.field for problem in refused.value.problems] == [f"第 {line} 行" for line in range(2, 102)]


def test_a_bad_number_and_a_reason_that_is_too_long_are_told_apart() -> None:
    data = f"number,reason\r\n138001380xx,\r\n13800138000,{'x' * 501}\r\n"
    with pytest.raises(ParameterError) as refused:
        read_csv(data.encode())
    number, reason = (problem.message for problem in refused.value.problems)
    assert number == "不是有效的号码：应为 3 到 20 位数字，可带前导 +，收到的是 '138****80xx'"
    assert reason == "原因最长 500 个字符，收到 501 个"


SHEET = "手机号,原因\r\n13800138000,客户来电要求\r\n13800138001,\r\n"


@pytest.mark.parametrize(
    "data",
    [
        SHEET.encode("utf-8"),
        SHEET.encode("utf-8-sig"),
        SHEET.encode("gbk"),
        SHEET.encode("utf-16"),
        SHEET.replace(",", "\t").encode("utf-16"),
        SHEET.replace(",", ";").encode("gbk"),
        SHEET.replace("手机号", '"电话 号码"').encode(),
    ],
    ids=["UTF-8", "with a mark", "GBK", "UTF-16", "Excel's Unicode text", "semicolons", "quoted"],
)
def test_a_file_is_taken_as_spreadsheets_write_it(client: FlaskClient, data: bytes) -> None:
    answer = client.post(f"{PATH}/import", data=data, content_type="text/csv")
    assert answer.json == {"numbers": 2, "added": 2}
    reasons = {row["number"]: row["reason"] for row in client.get(PATH).json["rows"]}
    assert reasons == {"13800138000": "客户来电要求", "13800138001": ""}


def test_a_list_without_headings_has_commas(client: FlaskClient) -> None:
    answer = client.post(f"{PATH}/import", data="13800138000,a;b;c\r\n", content_type="text/csv")
    assert answer.json == {"numbers": 1, "added": 1}


def test_an_encoding_that_is_none_of_them_is_told_in_words(client: FlaskClient) -> None:
    for data in (b"\xff\xfe1", b"13800138000\xff\xff\xff"):
        answer = client.post(f"{PATH}/import", data=data, content_type="text/csv")
        assert answer.status_code == 400
        assert "GBK" in answer.json["detail"]
        assert "Error" not in answer.json["detail"]


def test_a_file_must_say_that_it_is_csv(client: FlaskClient) -> None:
    assert client.post(f"{PATH}/import", data=b"13800138000", content_type="application/json").status_code == 400


def test_a_long_list_is_exported_whole(client: FlaskClient) -> None:
    lines = "\n".join(f"138{index:08d}" for index in range(12_000))
    assert client.post(f"{PATH}/import", data=lines.encode(), content_type="text/csv").json["added"] == 12_000
    assert client.get(f"{PATH}/export").text.count("\r\n") == 12_001


def test_with_and_without_a_country_code_and_separators_it_is_one_number(client: FlaskClient, add_task: Any) -> None:
    batch_id = add_task(number="+8613800138000", phone="+8613800138000")
    made = client.post("/api/v1/do-not-call", json={"number": "138 0013-8000"})
    assert (made.status_code, made.json["number"]) == (201, "13800138000")
    assert client.get(f"/api/v1/tasks/{batch_id}").json["state"] == "stopped"
    again = client.post("/api/v1/do-not-call", json={"number": "0086 138 0013 8000", "reason": "again"})
    assert (again.status_code, again.json["number"], again.json["reason"]) == (201, "13800138000", "")
    data = "number\r\n+86 138 0013 8000\r\n8613800138000\r\n13900139000\r\n"
    done = client.post("/api/v1/do-not-call/import", data=data, content_type="text/csv")
    assert done.json == {"numbers": 2, "added": 1}
    assert client.get("/api/v1/do-not-call?number=%2B8613800138000").json["total"] == 1
    assert client.delete("/api/v1/do-not-call/+86-138-0013-8000").status_code == 204
    assert client.get("/api/v1/do-not-call?number=13800138000").json["total"] == 0


def test_the_country_of_numbers_without_a_code_is_the_one_of_the_stored_lines(
    client: FlaskClient, engine: Engine
) -> None:
    with writing(engine) as connection:
        assert change_country(connection, "1")
    client.post("/api/v1/do-not-call", json={"number": "4155550100"})
    assert client.get("/api/v1/do-not-call?number=%2B14155550100").json["total"] == 1
    assert client.get("/api/v1/do-not-call?number=%2B864155550100").json["total"] == 0


def test_while_the_country_changes_a_number_that_is_listed_is_found_and_listed_again(
    client: FlaskClient, engine: Engine
) -> None:
    first = client.post(PATH, json={"number": "4155550100", "reason": "first"}).json
    with writing(engine) as connection:
        assert change_country(connection, "1")  # and nobody has computed the list anew yet
    again = client.post(PATH, json={"number": "4155550100", "reason": "again"})
    assert (again.status_code, again.json) == (201, first)
    assert client.get(f"{PATH}?number=4155550100").json["rows"] == [first]
    with writing(engine) as connection:
        assert compute_some(connection)
    assert client.get(f"{PATH}?number=%2B14155550100").json["rows"] == [first]


def test_while_the_country_changes_a_number_is_taken_off_the_list(client: FlaskClient, engine: Engine) -> None:
    client.post(PATH, json={"number": "4155550100"})
    with writing(engine) as connection:
        assert change_country(connection, "1")
    assert client.delete(f"{PATH}/4155550100").status_code == 204
    assert client.get(PATH).json["total"] == 0
