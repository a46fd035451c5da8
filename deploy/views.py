"""How tasks and records look: tables in a terminal, tab-separated lines when piped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich.text import Text

from deploy.screen import Console, Table, say_row

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
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        cells = [Text(cell) for cell in row]
        cells[status].stylize(status_style(row[status]))
        table.add_row(*cells)
    console.print(table)


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
