"""Tickets from a file: JSON as the API takes it, or CSV with a header in Chinese or English.

Only the shape is dealt with here; whether a ticket can be called is for the API to say, which names every bad one.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared import tables

FIELDS: dict[str, tuple[str, ...]] = {
    "ticketNo": ("工单编号", "工单号", "工单", "编号", "单号", "ticketno", "ticketid", "ticket", "id"),
    "phone": tables.NUMBER_HEADINGS,
    "username": ("姓名", "用户姓名", "客户姓名", "用户", "客户", "称呼", "username", "name", "customer"),
    "ticketType": ("类型", "工单类型", "业务类型", "tickettype", "type"),
    "ticketContent": ("内容", "工单内容", "正文", "说明", "ticketcontent", "content", "text"),
}
SCHEDULE: dict[str, tuple[str, ...]] = {
    "priority": ("优先级", "优先", "priority"),
    "notBefore": ("最早拨打时间", "不早于", "预约时间", "notbefore"),
    "expiresAt": ("过期时间", "有效期至", "截止时间", "失效时间", "expiresat", "expires"),
    "timezone": ("时区", "timezone", "zone"),
}
"""What a ticket may have beside; an empty cell counts as none."""
STDIN = Path("-")
MAX_BYTES = 64 << 20
"""Twice what the API takes in one request; a larger file is no list of tickets."""
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How .xlsx and .xls begin."""
_SEPARATOR = re.compile(r"\s*\"?sep=(.)\"?\s*?(?:\r?\n|$)", re.IGNORECASE)
"""Excel's own first line, which names what separates the cells."""
_COLUMN_OF = {name: field for field, names in (FIELDS | SCHEDULE).items() for name in names}
_WHOLE = re.compile(r"[+-]?[0-9]{1,6}")
_MOMENT = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})[ T]+(\d{1,2}):(\d{2})(?::(\d{2}))?")


class TicketFileError(Exception):
    """The file cannot be read as tickets; the message says where and why."""


@dataclass(frozen=True)
class Batch:
    """The tickets of a file in its order; ``places``: where each one stands; ``passed_over``: headings that say nothing to us."""

    tickets: list[dict[str, Any]]
    places: list[str]
    passed_over: tuple[str, ...] = ()


def read(path: Path) -> Batch:
    """The tickets in a file, or in standard input if ``path`` is ``-``. Raises TicketFileError, OSError."""
    name, text = _name(path), read_text(path)
    batch = _from_json(name, text) if _looks_like_json(path, text) else _from_csv(name, text)
    if not batch.tickets:
        raise TicketFileError(f"{name}: no ticket in it")
    return batch


def read_text(path: Path) -> str:
    """A file's text, or that of standard input. Raises TicketFileError, OSError."""
    body = _bytes(path)
    if body.startswith(_WORKBOOKS):
        raise TicketFileError(f"{_name(path)}: this is an Excel workbook; save it as CSV (UTF-8), and give that file")
    try:
        return tables.decode(body)
    except UnicodeDecodeError as error:
        raise TicketFileError(f"{_name(path)}: expected text in UTF-8, GBK, or UTF-16 with its mark") from error


def _name(path: Path) -> str:
    return "标准输入" if path == STDIN else str(path)


def _bytes(path: Path) -> bytes:
    if path == STDIN:
        body = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        with path.open("rb") as file:
            body = file.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise TicketFileError(f"{_name(path)}: expected at most {MAX_BYTES >> 20} MiB")
    return body


def _looks_like_json(path: Path, text: str) -> bool:
    return path.suffix.lower() == ".json" or text.lstrip()[:1] in ("[", "{")


def _from_json(name: str, text: str) -> Batch:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise TicketFileError(f"{name}, line {error.lineno}: not JSON: {error.msg}") from error
    items = document if isinstance(document, list) else [document]
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict):
            raise TicketFileError(f"{name}: expected ticket objects, number {number} is {type(item).__name__}")
    items = [_renamed(item) for item in items]
    known = {*FIELDS, *SCHEDULE}
    strange = dict.fromkeys(key for item in items for key in item if key not in known)
    return Batch(items, [f"{name} 第 {number} 条" for number in range(1, len(items) + 1)], tuple(strange))


def _renamed(item: dict[str, Any]) -> dict[str, Any]:
    """A ticket with the API's own names for those that a heading may have; whatever is there under both stays as it is."""
    ticket = dict(item)
    for key in item:
        field = _COLUMN_OF.get(tables.plain_heading(key), key)
        if field not in ticket:
            ticket[field] = ticket.pop(key)
    return ticket


def _from_csv(name: str, text: str) -> Batch:
    named = _SEPARATOR.match(text)
    delimiter = named.group(1) if named else tables.delimiter(text)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    tickets, places, first = [], [], 1
    try:
        if named:
            next(rows)
        header = next((row for row in rows if any(cell.strip() for cell in row)), [])
        columns = _columns(name, header)
        first = rows.line_num + 1
        for row in rows:
            line, first = first, rows.line_num + 1
            if not any(cell.strip() for cell in row):
                continue
            if len(row) > len(header):
                raise TicketFileError(f"{name}, line {line}: {len(row)} cells under {len(header)} headings")
            cells = {field: row[place].strip() for place, field in columns.items() if place < len(row)}
            tickets.append(_ticket(cells))
            places.append(f"{name} 第 {line} 行")
    except csv.Error as error:
        raise TicketFileError(f"{name}, line {rows.line_num}: not CSV: {error}") from error
    strange = (heading.strip() for place, heading in enumerate(header) if place not in columns and heading.strip())
    return Batch(tickets, places, tuple(strange))


def _ticket(cells: dict[str, str]) -> dict[str, Any]:
    """A row as the API takes it: priority is a number, and moments are written as ISO 8601 has them and Excel has not."""
    ticket: dict[str, Any] = {name: text for name, text in cells.items() if text or name not in SCHEDULE}
    if _WHOLE.fullmatch(ticket.get("priority", "")):
        ticket["priority"] = int(ticket["priority"])
    for name in ("notBefore", "expiresAt"):
        match = _MOMENT.fullmatch(ticket.get(name, ""))
        if match:
            year, month, day, hour, minute, second = match.groups(default="00")
            ticket[name] = f"{year}-{month:0>2}-{day:0>2} {hour:0>2}:{minute}:{second}"
    return ticket


def _columns(name: str, header: list[str]) -> dict[int, str]:
    """Column -> field. Every field must have one, once; a schedule's may."""
    columns: dict[int, str] = {}
    for place, heading in enumerate(header):
        field = _COLUMN_OF.get(tables.plain_heading(heading))
        if field is None:
            continue
        if field in columns.values():
            raise TicketFileError(f"{name}: two columns for {field}, the second is {heading!r}")
        columns[place] = field
    missing = [f"{field} ({names[0]})" for field, names in FIELDS.items() if field not in columns.values()]
    if missing:
        raise TicketFileError(f"{name}: no column for {', '.join(missing)}; its header reads {', '.join(header)!r}")
    return columns
