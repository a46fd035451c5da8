"""Tickets from files, as people's programs write them."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import pytest

from deploy import tickets
from deploy.tickets import TicketFileError

ONE = {
    "ticketNo": "T1",
    "phone": "13912345678",
    "username": "张三",
    "ticketType": "活动通知1",
    "ticketContent": "周六，上午九点",
}
CHINESE = '工单编号,电话,姓名,类型,内容\r\nT1,13912345678,张三,活动通知1,"周六，上午九点"\r\n'


def file(directory: Path, content: str | bytes, name: str = "tickets.csv") -> Path:
    path = directory / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        CHINESE.encode(),
        codecs.BOM_UTF8 + CHINESE.encode(),
        CHINESE.encode("gbk"),
        CHINESE.encode("utf-16"),
        CHINESE.replace(",", "\t").replace("，", "，").encode(),
        CHINESE.replace("工单编号,电话,姓名,类型,内容", "工单号,手机号码,客户姓名,工单类型,工单内容").encode(),
        CHINESE.replace("工单编号,电话,姓名,类型,内容", "ticketNo,phone,username,ticketType,ticketContent").encode(),
        CHINESE.replace("工单编号,电话,姓名,类型,内容", "Ticket No,Mobile,Name,Ticket_Type,Content").encode(),
        ("\r\n\r\n" + CHINESE + "\r\n,,,,\r\n").encode(),
        b"id;tel;customer;type;text\nT1;13912345678;\xe5\xbc\xa0\xe4\xb8\x89;\xe6\xb4\xbb\xe5\x8a\xa8\xe9\x80\x9a\xe7\x9f\xa51;"
        + "周六，上午九点\n".encode(),
    ],
)
def test_csv_is_read_whatever_its_encoding_marks_and_header(tmp_path: Path, content: bytes) -> None:
    assert tickets.read(file(tmp_path, content)).tickets == [ONE]


def test_columns_may_come_in_any_order_and_others_are_passed_over_and_named(tmp_path: Path) -> None:
    content = "内容,备注,电话,姓名,类型,工单编号,\n周六，上午九点,x,13912345678,张三,活动通知1,T1,\n"
    batch = tickets.read(file(tmp_path, content))
    assert (batch.tickets, batch.passed_over) == ([ONE], ("备注",))
    batch = tickets.read(file(tmp_path, json.dumps([ONE, {**ONE, "note": 1}]), "tickets.json"))
    assert (len(batch.tickets), batch.passed_over) == (2, ("note",))


def test_excels_own_first_line_names_what_separates_the_cells(tmp_path: Path) -> None:
    for line, mark in (("sep=;", ";"), ("sep=,", ","), ('"sep=|"', "|")):
        content = f"{line}\r\n" + CHINESE.replace(",", mark)
        batch = tickets.read(file(tmp_path, content))
        assert (batch.tickets, batch.places) == ([ONE], [f"{tmp_path / 'tickets.csv'} 第 3 行"])


def test_a_workbook_is_told_to_be_saved_as_csv(tmp_path: Path) -> None:
    for head in (b"PK\x03\x04\x14\x00", b"\xd0\xcf\x11\xe0\xa1\xb1"):
        with pytest.raises(TicketFileError, match="save it as CSV"):
            tickets.read(file(tmp_path, head + bytes(range(256))))


def test_json_may_have_a_headings_names_too(tmp_path: Path) -> None:
    chinese = {"工单编号": "T1", "手机号": "13912345678", "姓名": "张三", "类型": "活动通知1", "内容": "周六，上午九点"}
    batch = tickets.read(file(tmp_path, json.dumps([chinese, {**ONE, "id": 7}]), "tickets.json"))
    assert batch.tickets == [ONE, {**ONE, "id": 7}]
    assert batch.passed_over == ("id",)


@pytest.mark.parametrize(
    "header",
    [
        "优先级,最早拨打时间,过期时间,时区",
        "priority,notBefore,expiresAt,timezone",
        "Priority,not_before,Expires-At,Zone",
    ],
)
def test_a_schedule_has_columns_of_its_own(tmp_path: Path, header: str) -> None:
    content = f"{header},工单编号,电话,姓名,类型,内容\n" + "".join(
        f"{cells},T1,13912345678,张三,活动通知1,x\n"
        for cells in ("5,2026/1/5 9:30,2026-01-06T10:00:00+08:00,Asia/Urumqi", ",,,", "high,soon,,")
    )
    found = tickets.read(file(tmp_path, content)).tickets
    assert [{name: ticket[name] for name in tickets.SCHEDULE if name in ticket} for ticket in found] == [
        {
            "priority": 5,
            "notBefore": "2026-01-05 09:30:00",
            "expiresAt": "2026-01-06T10:00:00+08:00",
            "timezone": "Asia/Urumqi",
        },
        {},
        {"priority": "high", "notBefore": "soon"},
    ]


def test_every_ticket_is_placed_by_the_line_it_begins_in(tmp_path: Path) -> None:
    rows = ['T1,13912345678,张三,活动通知1,"a\nb"', "", "T2,13912345679,李四,活动通知1,x"]
    path = file(tmp_path, "\n".join(["工单编号,电话,姓名,类型,内容", *rows]))
    assert tickets.read(path).places == [f"{path} 第 2 行", f"{path} 第 5 行"]
    path = file(tmp_path, json.dumps([ONE, ONE]), "x.json")
    assert tickets.read(path).places == [f"{path} 第 1 条", f"{path} 第 2 条"]


def test_a_content_of_several_lines_stays_one_ticket(tmp_path: Path) -> None:
    content = CHINESE.replace("周六，上午九点", '周六，\n上午九点 ""整""')
    assert tickets.read(file(tmp_path, content)).tickets[0]["ticketContent"] == '周六，\n上午九点 "整"'


@pytest.mark.parametrize("document", [[ONE], ONE])
@pytest.mark.parametrize("name", ["tickets.json", "tickets.txt"])
def test_json_is_an_array_or_one_object(tmp_path: Path, document: object, name: str) -> None:
    assert tickets.read(file(tmp_path, json.dumps(document), name)).tickets == [ONE]


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        ("", "x.csv", "no column for ticketNo"),
        ("工单编号,电话,姓名,类型,内容\n", "x.csv", "no ticket in it"),
        ("工单编号,电话,姓名,类型\nT1,1,2,3\n", "x.csv", r"no column for ticketContent \(工单内容\)|内容"),
        ("工单编号,电话,手机,姓名,类型,内容\n", "x.csv", "two columns for phone"),
        ("工单编号,电话,姓名,类型,内容\n1,2,3,4,5,6\n", "x.csv", "line 2: 6 cells under 5 headings"),
        ('工单编号,电话,姓名,类型,内容\n1,2,3,4,"5"6\n', "x.csv", "line 2: not CSV"),
        ("[1]", "x.json", "number 1 is int"),
        ("[]", "x.json", "no ticket"),
        ("{", "x.json", "line 1: not JSON"),
        (b"\xff\xff\xff\xff", "x.csv", "UTF-8, GBK"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(tmp_path: Path, content: str | bytes, name: str, said: str) -> None:
    with pytest.raises(TicketFileError, match=said):
        tickets.read(file(tmp_path, content, name))


def test_the_examples_are_the_same_in_both_forms() -> None:
    examples = Path(__file__).parents[2] / "docs" / "examples"
    assert tickets.read(examples / "tickets.csv").tickets == tickets.read(examples / "tickets.json").tickets
