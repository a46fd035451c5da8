"""When a caller number's answer rate has fallen, and when it is only luck."""

from __future__ import annotations

import random

import pytest

from shared.answer_rate import HealthRule, Slump, judge, parse_health

RULE = HealthRule(calls=50, drop=0.5, rest_ms=1_800_000)


def calls(answered: int, of: int) -> list[bool]:
    return [True] * answered + [False] * (of - answered)


def test_what_is_written_is_what_is_read() -> None:
    assert parse_health("calls=50, drop=0.5, rest=30m") == RULE
    assert parse_health("") is None
    assert RULE.reads == 550


@pytest.mark.parametrize(
    "text",
    [
        "calls=50",
        "calls=50,drop=0.5,rest=30m,more=1",
        "calls=5,drop=0.5,rest=30m",
        "calls=5000,drop=0.5,rest=30m",
        "calls=x,drop=0.5,rest=30m",
        "calls=50,drop=1,rest=30m",
        "calls=50,drop=nan,rest=30m",
        "calls=50,drop=0.5,rest=0",
        "calls=50,calls=50,rest=1m",
    ],
)
def test_what_cannot_be_read_says_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_health(text)


def test_a_number_that_is_answered_far_less_than_before_rests() -> None:
    assert judge(RULE, calls(5, 50) + calls(80, 200), fresh=250) == Slump(0.1, 0.4)


@pytest.mark.parametrize(
    ("recent", "history", "fresh", "why"),
    [
        (5, calls(80, 200), 49, "too few calls since it came back"),
        (5, calls(40, 99), 149, "too little history"),
        (15, calls(80, 200), 250, "it fell, but not by half"),
        (2, calls(20, 200), 250, "one in ten: two in fifty is luck"),
        (0, calls(0, 200), 250, "it was never answered"),
        (50, calls(200, 200), 250, "everybody answers"),
    ],
)
def test_otherwise_it_goes_on(recent: int, history: list[bool], fresh: int, why: str) -> None:
    assert judge(RULE, calls(recent, 50) + history, fresh) is None, why


def test_a_number_that_everybody_answered_may_fall_too() -> None:
    assert judge(RULE, calls(10, 50) + calls(200, 200), fresh=250) == Slump(0.2, 1.0)


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.9])
def test_luck_alone_hardly_ever_looks_like_a_fall(rate: float) -> None:
    chance = random.Random(7)
    judged = [judge(RULE, [chance.random() < rate for _ in range(RULE.reads)], RULE.reads) for _ in range(1_000)]
    assert sum(slump is not None for slump in judged) <= 3
