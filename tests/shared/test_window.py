"""Calling hours: the grammar, the wall clock, and the next opening in every kind of zone."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.window import (
    DAY_MINUTES,
    DAYS,
    LONGEST_WAIT_MS,
    NEVER,
    CallingHours,
    Week,
    parse_holidays,
    parse_hours,
    parse_window,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [
    SHANGHAI,
    BERLIN,
    ZoneInfo("UTC"),
    ZoneInfo("America/New_York"),
    ZoneInfo("America/St_Johns"),
    ZoneInfo("Australia/Lord_Howe"),  # half an hour of summer time
    ZoneInfo("Africa/Casablanca"),  # winter time in summer
    ZoneInfo("Asia/Kathmandu"),
    ZoneInfo("Asia/Beirut"),  # changes at midnight
    ZoneInfo("Pacific/Apia"),
]
MONDAY = "2026-03-02"


def at(text: str, zone: ZoneInfo = SHANGHAI, *, fold: int = 0) -> int:
    """A wall clock's ``2026-03-02 09:00`` or, on that Monday, ``09:00``."""
    moment = datetime.fromisoformat(text if " " in text else f"{MONDAY} {text}")
    return round(moment.replace(tzinfo=zone, fold=fold).timestamp() * 1000)


@pytest.mark.parametrize(
    ("window", "moment", "is_open"),
    [
        ("", "03:00", True),
        ("09:00-12:00,14:00-20:00", "08:59:59.999", False),
        ("09:00-12:00,14:00-20:00", "09:00", True),
        ("09:00-12:00,14:00-20:00", "11:59:59.999", True),
        ("09:00-12:00,14:00-20:00", "12:00", False),
        ("09:00-12:00, 14:00-20:00", "14:00", True),
        ("09:00-12:00,14:00-20:00", "20:00", False),
        ("22:00-02:00", "23:00", True),
        ("22:00-02:00", "01:59", True),
        ("22:00-02:00", "02:00", False),
        ("22:00-00:00", "23:59", True),
        ("22:00-00:00", "00:00", False),
        ("09:00-24:00", "23:59:59", True),
        ("09:00-24:00", "00:00", False),
        ("00:00-24:00", "00:00", True),
        ("Mon-Fri 09:00-12:00,14:00-20:00; Sat 10:00-16:00", "15:00", True),
        ("Mon-Fri 09:00-12:00,14:00-20:00; Sat 10:00-16:00", "2026-03-07 15:00", True),
        ("Mon-Fri 09:00-12:00,14:00-20:00; Sat 10:00-16:00", "2026-03-07 17:00", False),
        ("Mon-Fri 09:00-12:00,14:00-20:00; Sat 10:00-16:00", "2026-03-08 11:00", False),
        ("Sat,Mon 09:00-10:00", "09:30", True),
        ("sat-mon 09:00-10:00", "2026-03-08 09:30", True),
        ("Fri 22:00-02:00", "2026-03-07 01:00", True),  # Friday's night goes on into Saturday
        ("Fri 22:00-02:00", "2026-03-06 01:00", False),
        ("Sun 22:00-02:00", "2026-03-09 01:00", True),
    ],
)
def test_the_calling_window(window: str, moment: str, is_open: bool) -> None:
    assert parse_hours(window).is_open(at(moment), SHANGHAI) == is_open


def test_the_window_is_read_in_the_zone_that_is_asked_for() -> None:
    hours = parse_hours("09:00-10:00")
    assert hours.is_open(at("01:30", ZoneInfo("UTC")), SHANGHAI)
    assert not hours.is_open(at("01:30", ZoneInfo("UTC")), ZoneInfo("UTC"))


def test_nobody_is_called_on_a_holiday_from_midnight_to_midnight() -> None:
    hours = parse_hours("Mon-Sun 20:00-02:00", "2026-03-03..2026-03-04,2026-03-08")
    open_at = [
        "2026-03-02 23:59",
        "2026-03-05 20:00",
        "2026-03-08 20:00",
        "2026-03-03 00:30",
        "2026-03-09 00:30",
    ]
    assert [hours.is_open(at(moment), SHANGHAI) for moment in open_at] == [True, True, False, False, False]
    assert hours.next_opening(at("2026-03-03 00:00"), SHANGHAI) == at("2026-03-05 20:00")
    assert not parse_hours("", "2026-03-02").is_open(at("12:00"), SHANGHAI)
    assert parse_hours("", "2026-03-02").next_opening(at("12:00"), SHANGHAI) == at("2026-03-03 00:00")


def test_a_night_that_begins_on_a_holiday_does_not_open_after_it() -> None:
    hours = parse_hours("Thu 22:00-02:00", "2026-03-05")  # a Thursday
    assert not hours.is_open(at("2026-03-06 00:30"), SHANGHAI)
    assert hours.is_open(at("2026-03-13 00:30"), SHANGHAI)
    assert hours.next_opening(at("2026-03-05 12:00"), SHANGHAI) == at("2026-03-12 22:00")


@pytest.mark.parametrize(
    "window",
    [
        "9-12",
        "09:00",
        "25:00-26:00",
        "09:60-10:00",
        "09:00-09:00",
        "00:00-00:00",
        "09:00-12:00,,",
        "24:00-25:00",
        "always",
        "Mon-Fri",
        "Monday 09:00-10:00",
        "Mon- 09:00-10:00",
        "Mon,, 09:00-10:00",
        "Mon, Tue 09:00-10:00",
        "Mon 09:00-10:00;",
        "Mon-Fri 09:00-12:00; Fri 14:00-16:00",
        "09:00-12:00; Sat 10:00-16:00",
        ";",
    ],
)
def test_a_window_that_cannot_be_read_or_in_two_ways_says_what_was_expected(window: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_window(window)


@pytest.mark.parametrize(
    "holidays", ["1.1.2026", "2026-13-01", "2026-01-01..", "2026-01-02..2026-01-01", "2026-01-01,,"]
)
def test_holidays_that_cannot_be_read_say_what_was_expected(holidays: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_holidays(holidays)


def test_what_is_written_is_what_is_read() -> None:
    assert parse_window("  ") is None
    week = parse_window(" Mon-Tue 14:00-20:00, 09:00-12:30;sun 23:00-01:00 ")
    assert week == (((540, 750), (840, 1200)), ((540, 750), (840, 1200)), (), (), (), (), ((1380, 1500),))
    assert parse_holidays("2026-10-01 .. 2026-10-07, 2027-01-01") == (
        (date(2026, 10, 1), date(2026, 10, 7)),
        (date(2027, 1, 1), date(2027, 1, 1)),
    )


def test_the_next_opening_is_now_if_it_is_open() -> None:
    hours = parse_hours("Mon-Fri 09:00-12:00,14:00-20:00; Sat 10:00-16:00", "2026-03-03")
    for now, then in {
        "09:00": "09:00",
        "11:59:59.999": "11:59:59.999",
        "12:00:00.001": "14:00",
        "20:00": "2026-03-04 09:00",
        "2026-03-07 16:00": "2026-03-09 09:00",
    }.items():
        assert hours.next_opening(at(now), SHANGHAI) == at(then)


def test_an_opening_that_the_clock_jumps_over_is_where_it_lands() -> None:
    hours = parse_hours("02:15-03:30")
    before = at("2026-03-29 01:00", BERLIN)
    assert hours.next_opening(before, BERLIN) == at("2026-03-29 03:00", BERLIN)
    assert parse_hours("02:15-02:45").next_opening(before, BERLIN) == at("2026-03-30 02:15", BERLIN)


def test_an_hour_that_comes_twice_opens_twice() -> None:
    hours = parse_hours("02:15-02:45")
    first, second = at("2026-10-25 02:15", BERLIN), at("2026-10-25 02:15", BERLIN, fold=1)
    assert second - first == 3_600_000
    assert hours.next_opening(first - 1, BERLIN) == first
    assert hours.next_opening(first + 30 * 60_000, BERLIN) == second
    assert hours.is_open(second + 60_000, BERLIN)


def test_a_day_that_a_zone_left_out_is_no_obstacle() -> None:
    apia = ZoneInfo("Pacific/Apia")  # went from the 29th to the 31st
    hours = parse_hours("Fri-Sat 10:00-11:00")
    assert hours.next_opening(at("2011-12-29 12:00", apia), apia) == at("2011-12-31 10:00", apia)


def test_hours_that_never_come_have_no_opening() -> None:
    assert CallingHours(NEVER).next_opening(at("12:00"), SHANGHAI) is None
    assert parse_hours("", "2026-01-01..2028-01-01").next_opening(at("12:00"), SHANGHAI) is None


minutes = st.integers(0, DAY_MINUTES)
ranges = st.tuples(minutes, minutes).filter(lambda pair: pair[0] < pair[1])
over_midnight = st.tuples(st.integers(1, DAY_MINUTES - 1), minutes).map(
    lambda pair: (pair[0], DAY_MINUTES + min(pair[1], pair[0] - 1))
)
weeks: st.SearchStrategy[Week] = st.lists(
    st.lists(ranges | over_midnight, max_size=2).map(lambda hours: tuple(sorted(hours))), min_size=7, max_size=7
).map(tuple)
moments = st.one_of(
    st.integers(at("2024-01-01 00:00"), at("2027-01-01 00:00")),
    st.builds(  # around changes of the clock
        lambda day, ms: at(f"{day} 00:00", ZoneInfo("UTC")) + ms,
        st.sampled_from(
            ["2026-03-28", "2026-10-24", "2026-03-08", "2026-11-01", "2026-04-04", "2026-10-03", "2026-02-14"]
        ),
        st.integers(0, 2 * 86_400_000),
    ),
)


@settings(max_examples=150, deadline=None)
@given(week=weeks, zone=st.sampled_from(ZONES), now=moments, holiday=st.one_of(st.none(), st.integers(0, 9)))
def test_the_next_opening_is_inside_the_window_and_no_minute_before_it_is(
    week: Week, zone: ZoneInfo, now: int, holiday: int | None
) -> None:
    first = datetime.fromtimestamp(now // 1000, zone).date()
    holidays = () if holiday is None else ((first, first + timedelta(days=holiday)),)
    hours = CallingHours(week, holidays)
    found = hours.next_opening(now, zone)
    until = now + LONGEST_WAIT_MS if found is None else found
    if found is not None:
        assert found >= now
        assert hours.is_open(found, zone)
    begun = -(-now // 60_000) * 60_000  # every offset is of whole minutes, so hours begin on whole minutes
    before = [now, *range(begun, min(until, begun + 20 * 86_400_000), 60_000)]
    assert not any(hours.is_open(moment, zone) for moment in before if moment < until)
    assert (found is None) == (week == NEVER)


@given(days=st.lists(st.integers(0, 6), min_size=1, max_size=7, unique=True), hours=ranges)
def test_groups_of_weekdays_mean_those_days(days: list[int], hours: tuple[int, int]) -> None:
    begin, end = hours
    if begin == DAY_MINUTES:
        return
    names = ",".join(DAYS[day].title() for day in days)
    text = f"{names} {begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"
    assert parse_window(text) == tuple(((begin, end),) if day in days else () for day in range(7))
