"""Fields of a query."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.envelope import ParameterError
from api.fields import Fields, whole_number
from shared.moments import iso

SHANGHAI, NEW_YORK = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda children: st.lists(children, max_size=2) | st.dictionaries(st.text(max_size=3), children, max_size=2),
    max_leaves=4,
)


@given(st.integers(min_value=-(10**19), max_value=10**19))
def test_an_integer_and_its_digits_mean_the_same(number: int) -> None:
    assert whole_number(number) == whole_number(str(number)) == whole_number(f" {number} ") == number


@pytest.mark.parametrize("value", [True, False, 1.0, "1.0", "1e3", "0x1", "", "-", "٣", "1_000", "9" * 21, None, [1]])
def test_what_is_no_integer_is_none(value: Any) -> None:
    assert whole_number(value) is None


@given(json_values, json_values)
def test_any_values_are_read_or_refused_and_nothing_else(first: Any, second: Any) -> None:
    fields = Fields({"a": first, "b": second}, SHANGHAI)
    fields.integers("a", "b", low=0, high=100)
    fields.moments("a", "b")
    fields.text("a", required=True)
    fields.choice("b", {"01": "x"})
    with pytest.raises(ParameterError) as refused:
        fields.done()
    assert {problem.field for problem in refused.value.problems} <= {"a", "b"}


@given(st.datetimes(min_value=datetime(1950, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001  the zone is added by what is tested
def test_a_printed_time_is_read_back_to_its_second(moment: datetime) -> None:
    text = f"{moment:%Y-%m-%d %H:%M:%S}"
    start, end = Fields({"a": text, "b": text}, SHANGHAI).moments("a", "b")
    assert start is not None
    assert end is not None
    assert start % 1000 == 0
    for at in (start, end):
        assert f"{datetime.fromtimestamp(at // 1000, SHANGHAI):%Y-%m-%d %H:%M:%S}" == text


def test_a_wall_clock_hour_that_comes_twice_is_covered_whole() -> None:
    text = "2025-11-02 01:30:00"
    start, end = Fields({"a": text, "b": text}, NEW_YORK).moments("a", "b")
    assert start is not None
    assert end == start + 3_600_000 + 999


@pytest.mark.parametrize("zone", [SHANGHAI, NEW_YORK, ZoneInfo("Pacific/Kiritimati")])
@pytest.mark.parametrize("text", ["1900-01-01 00:00:00", "9999-12-31 23:59:59"])
def test_the_ends_of_the_calendar_can_be_shown_in_every_zone(text: str, zone: ZoneInfo) -> None:
    fields = Fields({"a": text, "b": text}, zone)
    start, end = fields.moments("a", "b")
    fields.done()
    assert start is not None
    assert end == start + 999
    for other in (zone, SHANGHAI, NEW_YORK, ZoneInfo("Pacific/Kiritimati")):
        assert iso(start, other)
        assert iso(end, other)


@pytest.mark.parametrize("text", ["0001-01-01 00:00:00", "1899-12-31 23:59:59"])
def test_a_year_before_there_were_any_calls_is_refused_with_the_reason(text: str) -> None:
    fields = Fields({"a": text}, SHANGHAI)
    assert fields.moments("a", "b") == (None, None)
    with pytest.raises(ParameterError, match="1900"):
        fields.done()
