"""Fields of a query: integers, strings and times as reading.md ("Names", "Time") takes them, every problem collected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from api.body import type_name
from api.envelope import FieldProblem, ParameterError
from api.received import shortened

MAX_LONG = 2**63 - 1
MIN_LONG = -(2**63)
LONGEST_FILTER = 200
"""Characters of a string that is searched for: no column searched is wider."""
FIRST_YEAR = 1900
"""No call was placed by us before that, and clocks of some zones cannot show the year 1."""
LAST_MOMENT = round(datetime(9999, 12, 30, tzinfo=UTC).timestamp() * 1000)
"""A later one, by which people mean that there is no end, counts as this: clocks of every zone can show it."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_DIGITS = re.compile(r"[+-]?[0-9]+")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")


def whole_number(value: Any) -> int | None:
    """An integer, or a string of digits; None for anything else, booleans and fractions among it."""
    if type(value) is int:
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return int(value)
    return None


def number_fault(value: Any, low: int, high: int) -> str:
    """What is wrong with a value as an integer from ``low`` to ``high``, "" if nothing is."""
    number = whole_number(value)
    if number is None and not (isinstance(value, str) and _DIGITS.fullmatch(value.strip())):
        return f"应为整数，收到的是{type_name(value)}"
    if number is None or not low <= number <= high:
        return f"应在 {low} 到 {high} 之间，收到的是 {shortened(str(value).strip())}"
    return ""


class Fields:
    """Reads one request object. Every reader returns None for what is absent or wrong; ``done`` raises what was wrong."""

    def __init__(self, document: Mapping[str, Any], zone: ZoneInfo) -> None:
        self._document = document
        self._zone = zone
        self._problems: list[FieldProblem] = []

    def integer(self, name: str, *, low: int, high: int, required: bool = False) -> int | None:
        """An integer from ``low`` to ``high``."""
        value = self._document.get(name)
        if value is None:
            self._absent(name, required)
            return None
        fault = number_fault(value, low, high)
        if fault:
            self.problem(name, fault)
            return None
        return whole_number(value)

    def text(self, name: str, *, required: bool = False, longest: int = LONGEST_FILTER) -> str | None:
        """A string, stripped; an empty one counts as absent."""
        value = self._document.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            self._absent(name, required)
        elif not isinstance(value, str):
            self.problem(name, f"应为字符串，收到的是{type_name(value)}")
        elif len(value) > longest:
            self.problem(name, f"最长 {longest} 个字符，收到 {len(value)} 个")
        elif "\0" in value:
            self.problem(name, "不能含有 NUL 字符")
        else:
            return value.strip()
        return None

    def choice(self, name: str, allowed: Mapping[str, str]) -> str:
        """One of ``allowed`` (value: what it means), required; "" if it is not."""
        value = self.text(name, required=True)
        if value is not None and value not in allowed:
            meanings = "、".join(f"{key}（{meaning}）" for key, meaning in allowed.items())
            self.problem(name, f"应为 {meanings} 之一，收到的是 {value[:20]!r}")
        return value or ""

    def integers(self, start: str, end: str, *, low: int, high: int) -> tuple[int | None, int | None]:
        """An inclusive range of integers."""
        first = self.integer(start, low=low, high=high)
        last = self.integer(end, low=low, high=high)
        if first is not None and last is not None and first > last:
            self.problem(start, f"不能大于 {end}")
        return first, last

    def moments(self, start: str, end: str) -> tuple[int | None, int | None]:
        """An inclusive range of times, as milliseconds since 1970: the last millisecond of ``end``'s second belongs to it."""
        first, last = self._moment(start, fold=0), self._moment(end, fold=1)
        if first is not None and last is not None and first > last:
            self.problem(start, f"不能晚于 {end}")
        return first, None if last is None else last + 999

    def problem(self, name: str, message: str) -> None:
        """Notes what is wrong with a field."""
        self._problems.append(FieldProblem(None, name, message))

    def done(self) -> None:
        """Raises ParameterError with all problems, if there are any."""
        if self._problems:
            raise ParameterError(self._problems)

    def _moment(self, name: str, *, fold: int) -> int | None:
        """A time as ``yyyy-MM-dd HH:mm:ss`` in the configured zone; ``fold`` 1 means the later of two equal wall clock times."""
        value = self.text(name)
        if value is None:
            return None
        try:
            if _MOMENT.fullmatch(value) is None:
                raise ValueError(value)
            moment = datetime.fromisoformat(value).replace(tzinfo=self._zone, fold=fold)
        except ValueError:
            self.problem(name, f"应为有效的时间，格式 yyyy-MM-dd HH:mm:ss，收到的是 {value[:40]!r}")
            return None
        if moment.year < FIRST_YEAR:
            self.problem(name, f"不能早于 {FIRST_YEAR} 年，收到的是 {value[:40]!r}")
            return None
        return min(round(moment.timestamp() * 1000), LAST_MOMENT)

    def _absent(self, name: str, required: bool) -> None:
        if required:
            self.problem(name, "缺少必填字段" if name not in self._document else "必填，不能为空")
