"""Tickets from a file: JSON as the API takes it, or CSV with a header in Chinese or English.

Only the shape is dealt with here; whether a ticket can be called is for the API to say, which names every bad one.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from pathlib import Path
from typing import Any

FIELDS: dict[str, tuple[str, ...]] = {
    "ticketNo": ("工单编号", "工单号", "工单", "编号", "单号", "ticketno", "ticketid", "ticket", "id"),
    "phone": (
        "电话",
        "电话号码",
        "号码",
        "手机",
        "手机号",
        "手机号码",
        "联系电话",
        "phone",
        "mobile",
        "tel",
        "telephone",
    ),
    "username": ("姓名", "用户姓名", "客户姓名", "用户", "客户", "称呼", "username", "name", "customer"),
    "ticketType": ("类型", "工单类型", "业务类型", "tickettype", "type"),
    "ticketContent": ("内容", "工单内容", "正文", "说明", "ticketcontent", "content", "text"),
}
MAX_BYTES = 64 << 20
"""Twice what the API takes in one request; a larger file is no list of tickets."""
_COLUMN_OF = {name: field for field, names in FIELDS.items() for name in names}


class TicketFileError(Exception):
    """The file cannot be read as tickets; the message says where and why."""


def read(path: Path) -> list[dict[str, Any]]:
    """The tickets in a file, in its order. Raises TicketFileError, OSError."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise TicketFileError(f"{path}: expected at most {MAX_BYTES >> 20} MiB of tickets, got {size >> 20} MiB")
    text = _text(path)
    tickets = _from_json(path, text) if _looks_like_json(path, text) else _from_csv(path, text)
    if not tickets:
        raise TicketFileError(f"{path}: no ticket in it")
    return tickets


def _text(path: Path) -> str:
    """Excel writes UTF-8 with a mark, UTF-16 with a mark, or, in China, GBK without one."""
    body = path.read_bytes()
    encodings = ["utf-16"] if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            return body.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise TicketFileError(f"{path}: expected text in UTF-8 or GBK")


def _looks_like_json(path: Path, text: str) -> bool:
    return path.suffix.lower() == ".json" or text.lstrip()[:1] in ("[", "{")


def _from_json(path: Path, text: str) -> list[dict[str, Any]]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise TicketFileError(f"{path}, line {error.lineno}: not JSON: {error.msg}") from error
    items = document if isinstance(document, list) else [document]
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict):
            raise TicketFileError(f"{path}: expected ticket objects, number {number} is {type(item).__name__}")
    return items


def _from_csv(path: Path, text: str) -> list[dict[str, Any]]:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    try:
        header = next((row for row in rows if any(cell.strip() for cell in row)), [])
        columns = _columns(path, header)
        tickets = []
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) > len(header):
                raise TicketFileError(f"{path}, line {rows.line_num}: {len(row)} cells under {len(header)} headings")
            tickets.append({field: row[place].strip() for place, field in columns.items() if place < len(row)})
    except csv.Error as error:
        raise TicketFileError(f"{path}, line {rows.line_num}: not CSV: {error}") from error
    return tickets


def _delimiter(text: str) -> str:
    """Whichever of comma, semicolon and tab the header has most of."""
    header = next((line for line in text.splitlines() if line.strip()), "").replace("，", ",")
    return max(",;\t", key=header.count)


def _columns(path: Path, header: list[str]) -> dict[int, str]:
    """Column -> field. Headings that mean nothing to us are passed over; every field must have one, once."""
    columns: dict[int, str] = {}
    for place, heading in enumerate(header):
        field = _COLUMN_OF.get("".join(heading.lower().split()).replace("_", "").replace("-", ""))
        if field is None:
            continue
        if field in columns.values():
            raise TicketFileError(f"{path}: two columns for {field}, the second is {heading!r}")
        columns[place] = field
    missing = [f"{field} ({names[0]})" for field, names in FIELDS.items() if field not in columns.values()]
    if missing:
        raise TicketFileError(f"{path}: no column for {', '.join(missing)}; its header reads {', '.join(header)!r}")
    return columns
