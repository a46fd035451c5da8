"""The frequency cap: attempts over a sliding span."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.frequency import Cap, Limit, free_at, longest, parse_cap

DAY = 86_400_000


def test_what_is_written_is_what_is_read() -> None:
    assert parse_cap("2/1d, 5 / 7d") == (Limit(2, DAY), Limit(5, 7 * DAY))
    assert parse_cap(" ") == ()
    assert longest(parse_cap("2/1d,5/7d")) == 7 * DAY
    assert longest(()) == 0


@pytest.mark.parametrize("text", ["2", "0/1d", "2/0s", "x/1d", "2/1d,", "2/1w", "-1/1d", "2/9999d", "1/2/3d"])
def test_what_cannot_be_read_says_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_cap(text)


def test_the_oldest_attempt_that_counts_must_leave_the_span() -> None:
    cap = parse_cap("2/1d")
    assert free_at(cap, [], 10 * DAY) is None
    assert free_at(cap, [10 * DAY - 5], 10 * DAY) is None
    assert free_at(cap, [10 * DAY - 9, 10 * DAY - 5], 10 * DAY) == 11 * DAY - 9
    assert free_at(cap, [9 * DAY, 10 * DAY - 5], 10 * DAY) is None
    assert free_at(cap, [9 * DAY + 1, 10 * DAY - 5], 10 * DAY) == 10 * DAY + 1


def test_every_limit_holds() -> None:
    cap = parse_cap("2/1d,3/7d")
    attempts = [2 * DAY, 4 * DAY, 5 * DAY]
    assert free_at(cap, attempts, 5 * DAY + 1) == 9 * DAY
    assert free_at((), attempts, 5 * DAY) is None


caps: st.SearchStrategy[Cap] = st.lists(
    st.builds(Limit, st.integers(1, 4), st.integers(1, 100)), min_size=1, max_size=3
).map(tuple)


@given(cap=caps, attempts=st.lists(st.integers(0, 200), max_size=12), now=st.integers(150, 250))
def test_it_is_the_earliest_moment_at_which_no_limit_is_reached(cap: Cap, attempts: list[int], now: int) -> None:
    made = [at for at in attempts if at <= now]

    def reached(moment: int) -> bool:
        return any(sum(moment - limit.span_ms < at for at in made) >= limit.attempts for limit in cap)

    until = free_at(cap, made, now)
    assert (until is not None) == reached(now)
    if until is not None:
        assert not reached(until)
        assert all(reached(moment) for moment in range(now, until))
