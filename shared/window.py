"""Calling hours: when customers may be called, by the clock on their wall. Pure; times are milliseconds since 1970.

``09:00-12:00,14:00-20:00`` for every day, or groups with weekdays: ``Mon-Fri 09:00-12:00,14:00-20:00; Sat 10:00-16:00``.
A range includes its beginning and not its end; 24:00 is midnight; one that crosses midnight belongs to the day on which
it begins. On a holiday nobody is called, from midnight to midnight, and a range that begins on one does not open after
it either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""As ``date.weekday`` counts them."""
DAY_MINUTES = 24 * 60
DAY_MS = DAY_MINUTES * 60_000
LONGEST_WAIT_MS = 400 * DAY_MS
"""How far an opening is looked for: beyond a year, in which every weekday comes outside of any plausible holiday."""

_RANGE = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:(24):(00)|([01]\d|2[0-3]):([0-5]\d))")
_GROUP = re.compile(r"(?:([A-Za-z][A-Za-z,-]*)\s+)?(\S(?:.*\S)?)", re.DOTALL)

Hours = tuple[tuple[int, int], ...]
"""Ranges that begin on one day, as minutes since its midnight: including the first, excluding the second, which is above
1440 where the range goes on into the next day."""
Week = tuple[Hours, ...]
Holidays = tuple[tuple[date, date], ...]
"""First and last days of periods without calls."""

NEVER: Week = ((),) * 7


@dataclass(frozen=True)
class CallingHours:
    """``week``: the hours of Monday to Sunday; None: every hour of every day, holidays excepted."""

    week: Week | None = None
    holidays: Holidays = ()

    @property
    def always(self) -> bool:
        """Whether there is no hour at which nobody may be called."""
        return self.week is None and not self.holidays

    def is_open(self, at: int, zone: tzinfo) -> bool:
        """Whether customers in ``zone`` may be called at this moment."""
        return self.always or self._is_open(_local(at, zone))

    def next_opening(self, at: int, zone: tzinfo) -> int | None:
        """The first moment from ``at`` on at which customers in ``zone`` may be called; None: not within a year.

        Walks along the wall clock from boundary to boundary, and stops at every change of the zone's offset: there
        the clock on the wall jumps, over an opening or back before one.
        """
        moment = at
        while moment - at <= LONGEST_WAIT_MS:
            local = _local(moment, zone)
            if self.always or self._is_open(local):
                return moment
            there = moment + self._to_boundary(local)
            moment = there if _local(there, zone).utcoffset() == local.utcoffset() else _change(moment, there, zone)
        return None

    def _hours(self, day: date) -> Iterator[tuple[int, int]]:
        """Minutes of ``day`` at which calls are allowed: of the ranges that begin on it, and on the day before."""
        if self._is_holiday(day):
            return
        if self.week is None:
            yield 0, DAY_MINUTES
            return
        for begin, end in self.week[day.weekday()]:
            yield begin, min(end, DAY_MINUTES)
        before = day - timedelta(days=1)
        for _, end in () if self._is_holiday(before) else self.week[before.weekday()]:
            if end > DAY_MINUTES:
                yield 0, end - DAY_MINUTES

    def _is_holiday(self, day: date) -> bool:
        return any(first <= day <= last for first, last in self.holidays)

    def _is_open(self, local: datetime) -> bool:
        minute = local.hour * 60 + local.minute
        return any(begin <= minute < end for begin, end in self._hours(local.date()))

    def _to_boundary(self, local: datetime) -> int:
        """Milliseconds of wall clock until this day's next range begins, or until midnight. Always above 0."""
        minute = local.hour * 60 + local.minute
        begin = min((begin for begin, _ in self._hours(local.date()) if begin > minute), default=DAY_MINUTES)
        return (begin - minute) * 60_000 - local.second * 1000 - local.microsecond // 1000


def parse_hours(window: str, holidays: str = "") -> CallingHours:
    """What CALL_WINDOW and HOLIDAYS say. Raises ValueError that says what was expected."""
    return CallingHours(parse_window(window), parse_holidays(holidays))


def parse_window(text: str) -> Week | None:
    """The hours of Monday to Sunday; None for an empty text: always open.

    Raises ValueError also where a text could be read in two ways: a weekday in two groups, or one group of several
    without weekdays.
    """
    if not text.strip():
        return None
    week: list[list[tuple[int, int]]] = [[] for _ in DAYS]
    named: set[int] = set()
    groups = [group.strip() for group in text.split(";")]
    for group in groups:
        match = _GROUP.fullmatch(group)
        if match is None or (match[1] is None and len(groups) > 1):
            raise ValueError(
                f"expected weekdays and hours, such as Mon-Fri 09:00-12:00,14:00-20:00, got {group[:40]!r}"
            )
        days = set(range(7)) if match[1] is None else _days(match[1])
        if days & named:
            raise ValueError(f"expected each weekday in one group, got {DAYS[min(days & named)].title()} twice")
        named |= days
        for part in match[2].split(","):
            hours = _parse_range(part.strip())
            for day in days:
                week[day].append(hours)
    return tuple(tuple(sorted(hours)) for hours in week)


def parse_holidays(text: str) -> Holidays:
    """``2026-10-01..2026-10-07,2027-01-01``. Raises ValueError that says what was expected."""
    found = []
    for part in (part.strip() for part in text.split(",")) if text.strip() else ():
        first, _, last = (piece.strip() for piece in part.partition(".."))
        try:
            begin = _date(first)
            end = _date(last) if ".." in part else begin
        except ValueError:
            raise ValueError(f"expected days such as 2026-10-01..2026-10-07,2027-01-01, got {part[:40]!r}") from None
        if end < begin:
            raise ValueError(f"expected the earlier day first, got {part!r}")
        found.append((begin, end))
    return tuple(found)


def _date(text: str) -> date:
    return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day, not a moment


def _days(text: str) -> set[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        first, dash, last = part.partition("-")
        ends = [name for name in (first, last if dash else first) if name in DAYS]
        if len(ends) != 2:
            raise ValueError(f"expected weekdays such as Mon-Fri or Sat,Sun, got {text[:40]!r}")
        begin, end = DAYS.index(ends[0]), DAYS.index(ends[1])
        found |= {(begin + step) % 7 for step in range((end - begin) % 7 + 1)}
    return found


def _parse_range(text: str) -> tuple[int, int]:
    """Minutes since the midnight before its beginning."""
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f"expected HH:MM-HH:MM, got {text[:20]!r}")
    hour, minute, last_hour, last_minute = (int(group) for group in match.groups() if group is not None)
    begin, end = hour * 60 + minute, last_hour * 60 + last_minute
    if begin == end:
        raise ValueError(f"expected a range that lasts, got {text!r}")
    return begin, end if end > begin else end + DAY_MINUTES


def _local(at: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(at // 1000, zone).replace(microsecond=at % 1000 * 1000)


def _change(before: int, after: int, zone: tzinfo) -> int:
    """The moment at which the zone's offset changes, which it does once in between; zones do not change twice a day."""
    offset = _local(before, zone).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        if _local(middle, zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
