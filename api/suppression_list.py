"""The do-not-call list as the API keeps it: pages, single numbers, whole files (``shared.suppression`` has the rule)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, or_, select

from api.envelope import FieldProblem, ParameterError, refuse
from api.received import received
from shared import lines, numbers, tables
from shared.database import reading
from shared.errors import NumberError
from shared.moments import iso
from shared.schema import do_not_call
from shared.suppression import IMPORT, suppress

MOST_IMPORTED = 200_000
"""Lines of one file: one transaction of some seconds."""
LONGEST_LINE = 10_000
"""Characters of one line: a number, a reason, and columns that somebody else has use for."""
MOST_PROBLEMS = 100
"""Lines that one answer names."""
LONGEST_REASON = 500
HEADINGS = ("number", "source", "reason", "createdAt")
EXPORTED_AT_ONCE = 5_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes what begins so for a formula."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
"""With its end, whichever that is."""
_columns = do_not_call.c


def entry(connection: Connection, number: str) -> ColumnElement[bool]:
    """The entry of a number, however it is spelled. By the number too: when the country has changed, the entry keeps its
    old line for the moment until the list is computed anew (``shared.lines``)."""
    return or_(_columns.line == lines.of(connection, number), _columns.number == number)


def page(
    connection: Connection, chosen: ColumnElement[bool] | None, page_number: int, size: int
) -> tuple[int, list[dict[str, Any]]]:
    """How many there are, and one page of rows, newest first; of those ``chosen``, or all."""
    those = [] if chosen is None else [chosen]
    total = connection.execute(select(func.count()).select_from(do_not_call).where(*those)).scalar_one()
    query = select(do_not_call).where(*those).order_by(_columns.created_at.desc(), _columns.number)
    rows = connection.execute(query.limit(size).offset((page_number - 1) * size)).mappings()
    return total, [dict(row) for row in rows]


def shown(row: dict[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    """As the API shows an entry."""
    return {
        "number": row["number"],
        "source": row["source"],
        "reason": row["reason"],
        "callUuid": row["call_uuid"],
        "createdAt": iso(row["created_at"], zone),
    }


def remove(connection: Connection, number: str) -> bool:
    """Whether it was on the list."""
    return connection.execute(delete(do_not_call).where(entry(connection, number))).rowcount > 0


def read_csv(body: bytes) -> dict[str, list[str]]:
    """Normalised numbers by their reason. First column: the number; a heading, if there is one, names the others.

    Encodings and headings are those of ``waihu submit`` (``shared.tables``).

    Raises ParameterError that names every line that is wrong, up to MOST_PROBLEMS.
    """
    try:
        text = tables.decode(body)
    except UnicodeDecodeError as error:
        raise refuse("文件应为 UTF-8、GBK 或带 BOM 的 UTF-16 编码的 CSV") from error
    found: dict[str, list[str]] = {}
    problems: list[FieldProblem] = []
    reason_at = None
    for line, row in enumerate(_rows(text), 1):
        if not row or not row[0].strip():
            continue
        if line == 1 and tables.plain_heading(row[0]) in tables.NUMBER_HEADINGS:
            headings = map(tables.plain_heading, row)
            reason_at = next(
                (place for place, heading in enumerate(headings) if heading in tables.REASON_HEADINGS), None
            )
            continue
        reason = row[reason_at].strip() if reason_at is not None and reason_at < len(row) else ""
        number, number_fault = read_number(row[0].lstrip("'"))
        fault = number_fault or _reason_fault(reason)
        if not fault:
            found.setdefault(_plain(reason), []).append(number)
        elif len(problems) < MOST_PROBLEMS:
            problems.append(FieldProblem(None, f"第 {line} 行", fault))
    if problems:
        raise ParameterError(problems)
    if not found:
        raise refuse("文件中没有号码")
    return found


def read_number(given: str) -> tuple[str, str]:
    """A number for the list, without separators, and what is wrong with it, "" if nothing is.

    The list is of lines: everybody who is reached by one. A number with an extension means one person of many, whom the
    others must not be taken for unasked.
    """
    try:
        number, exten = numbers.parse_loosely(given)
    except NumberError:
        return "", f"不是有效的号码：应为 3 到 20 位数字，可带前导 +，{received(given)}"
    if exten:
        return "", "名单上的号码不带分机，对总机后面的所有人生效；如果确要如此，请去掉分机再提交"
    return number, ""


def _rows(text: str) -> Iterator[list[str]]:
    """One row at a time: as lists, 32 MiB of line ends or commas would take gigabytes. Raises ParameterError."""
    try:
        yield from csv.reader(_lines(text), delimiter=_delimiter(text), strict=True)
    except csv.Error as error:
        raise refuse(f"文件不是合法的 CSV：{error}") from error


def _lines(text: str) -> Iterator[str]:
    ends = (found.span() for found in _LINE.finditer(text))
    for count, (start, end) in enumerate(ends, 1):
        if count > MOST_IMPORTED:
            raise refuse(f"一次最多 {MOST_IMPORTED} 行，请分成几个文件")
        if end - start > LONGEST_LINE:
            raise refuse(f"一行最多 {LONGEST_LINE} 个字符")
        yield text[start:end]


def _delimiter(text: str) -> str:
    """A comma, unless a line of headings shows another; a list without one may have anything in its reasons."""
    beginning = text[:LONGEST_LINE]
    found = tables.delimiter(beginning)
    heading = beginning.lstrip().partition(found)[0].strip('"')
    return found if tables.plain_heading(heading) in tables.NUMBER_HEADINGS else ","


def import_numbers(connection: Connection, found: dict[str, list[str]], now: int) -> list[int]:
    """Puts them all on the list; returns tasks that may have a live call, which workers must end."""
    live: list[int] = []
    for reason, chosen in sorted(found.items()):
        live += suppress(connection, chosen, IMPORT, now, reason=reason)
    return live


def export_csv(engine: Engine, zone: ZoneInfo, *, masked: bool) -> Iterator[str]:
    """The whole list as CSV, in order of the numbers, a part at a time."""
    yield ",".join(HEADINGS) + "\r\n"
    last = ""
    while True:
        with reading(engine) as connection:
            query = select(do_not_call).where(_columns.number > last).order_by(_columns.number).limit(EXPORTED_AT_ONCE)
            rows = connection.execute(query).all()
        if not rows:
            return
        last = rows[-1].number
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        for row in rows:
            number = numbers.mask(row.number) if masked else row.number
            writer.writerow((number, row.source, _safe(row.reason), iso(row.created_at, zone)))
        yield text.getvalue()


def _safe(text: str) -> str:
    return "'" + text if text.startswith(_FORMULA) else text


def _reason_fault(reason: str) -> str:
    """What is wrong with a reason, "" if nothing is."""
    if len(reason) > LONGEST_REASON:
        return f"原因最长 {LONGEST_REASON} 个字符，收到 {len(reason)} 个"
    return "原因不能含有 NUL 字符" if "\0" in reason else ""


def _plain(reason: str) -> str:
    return reason[1:] if reason.startswith("'") and reason[1:].startswith(_FORMULA) else reason
