"""The circuit breaker's setting, and how what stands in Redis is read."""

from __future__ import annotations

import pytest

from shared.breaker import BreakerRule, BreakerView, Standing, parse_breaker, view


def test_what_is_written_is_what_is_read() -> None:
    assert parse_breaker("failures=5,within=30s,rest=15s") == BreakerRule(5, 30_000, 15_000)
    assert parse_breaker("") is None


@pytest.mark.parametrize(
    "text",
    [
        "failures=5",
        "failures=0,within=30s,rest=15s",
        "failures=5,within=0,rest=15s",
        "failures=5,within=1m,rest=x",
        "on",
    ],
)
def test_what_cannot_be_read_says_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_breaker(text)


def test_what_stands_in_redis_is_read_by_the_clock() -> None:
    assert view({}, 100) == BreakerView()
    assert view({b"streak": b"3", b"since": b"90"}, 100) == BreakerView()
    resting = {b"until": b"150", b"cause": b"refused"}
    assert view(resting, 149) == BreakerView(Standing.OPEN, "refused", 150)
    assert view(resting, 150) == BreakerView(Standing.HALF_OPEN, "refused", 150)
    assert view(resting | {b"probe": b"170"}, 160) == BreakerView(Standing.TRYING, "refused", 170)
    assert view(resting | {b"probe": b"170"}, 170).standing is Standing.HALF_OPEN
