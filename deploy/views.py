"""How tasks and records look: tables in a terminal, tab-separated lines when piped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich import box
from rich.cells import cell_len
from rich.padding import Padding
from rich.text import Text

from deploy.screen import Console, Table, say_row
from deploy.screen import shown as screened
from shared.visible import visible

ROLES = {"客户：": "cyan", "外呼：": "green"}
NARROWEST = 4
_GOOD, _BAD, _BUSY = ("已完成",), ("失败", "结果未知", "已过期"), ("排队中", "呼叫中", "通话中", "停止中")


def status_style(status: str) -> str:
    if status in _GOOD:
        return "green"
    if status in _BAD:
        return "red"
    return "yellow" if status in _BUSY else ""


def show(console: Console, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], status: int) -> None:
    """A table, or, piped, one line a row with tabs between. ``status``: the column that is coloured by it."""
    if not console.is_terminal:
        for row in rows:
            say_row(row, console.file)
        return
    written = [[visible(cell) for cell in row] for row in rows]
    widths, between = _widths(headings, written, console.width)
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
    table.padding, table.pad_edge = (0, between - 1, 0, 0), False
    for heading, width in zip(headings, widths, strict=True):
        table.add_column(heading, width=width, overflow="fold")
    for row in written:
        cells = [Text(cell) for cell in row]
        cells[status].stylize(status_style(row[status]))
        table.add_row(*cells)
    console.print(table)


def show_records(console: Console, records: Sequence[dict[str, Any]]) -> None:
    """A line for each call and its dialogue below, or, piped, one line a call with tabs between."""
    if not console.is_terminal or not records:
        show(console, "通话记录", RECORD_HEADINGS, record_rows(records), 0)
        return
    for record in records:
        uuid, telephone, at, seconds, cause, _ = record_rows([record])[0]
        console.print(Text(f"{uuid}  {telephone}  {at}  {seconds} 秒  {cause}", style="bold"))
        for line in dialogue_lines(record["dialogue"]):
            console.print(Padding(screened(Text.assemble((line[:3], ROLES[line[:3]]), line[3:])), (0, 0, 0, 2)))


def _widths(headings: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> tuple[list[int], int]:
    """Cells for each column and between two, so that nothing is cut: a word is broken only if not all have room."""
    columns = list(zip(headings, *rows, strict=True))
    longest = [max(map(cell_len, column)) for column in columns]
    widths = [max(cell_len(word) for cell in column for word in cell.split() or [""]) for column in columns]
    between = 2 if sum(widths) + 2 * len(widths) <= room else 1
    left = room - sum(widths) - between * len(widths)
    while left < 0 and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
        left += 1
    for place in sorted(range(len(widths)), key=lambda place: longest[place] - widths[place]):
        more = min(max(left, 0), longest[place] - widths[place])
        widths[place] += more
        left -= more
    return widths, between


def task_rows(tasks: Sequence[dict[str, Any]], zone: ZoneInfo) -> list[list[str]]:
    return [
        [
            str(task["batchId"]),
            task["ticketNo"],
            task["phone"],
            task["username"],
            task["ticketType"],
            task["status"],
            _moment(task["createtime"], zone),
            _moment(task["stopTime"], zone),
        ]
        for task in tasks
    ]


TASK_HEADINGS = ("任务", "工单编号", "电话", "姓名", "类型", "状态", "创建", "结束")
RECORD_HEADINGS = ("通话", "电话", "呼出", "秒", "挂机原因", "对话")


def record_rows(records: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [
        [
            record["uuid"],
            record["telephone"],
            record["calloutTime"],
            str(record["timeLen"]),
            record["hangupCause"],
            " / ".join(f"{_who(turn['role'])}{turn['content']}" for turn in record["dialogue"]),
        ]
        for record in records
    ]


def dialogue_lines(dialogue: Sequence[dict[str, str]]) -> list[str]:
    return [f"{_who(turn['role'])}{turn['content']}" for turn in dialogue]


def _who(role: str) -> str:
    return "客户：" if role == "user" else "外呼："


def _moment(milliseconds: int | None, zone: ZoneInfo) -> str:
    return "" if milliseconds is None else f"{datetime.fromtimestamp(milliseconds / 1000, zone):%m-%d %H:%M:%S}"
