"""The retry matrix by ticket type."""

from __future__ import annotations

import pytest

from shared.retries import MOST_RETRIES, Retries, parse_retries

MINUTE = 60_000


def test_what_is_written_is_what_is_read() -> None:
    rules = parse_retries("活动通知*: no_answer=10m,1h; refused=1m | 回访: no_answer= |回访:夜: unknown=2h")
    assert rules.of("活动通知1") == Retries(no_answer=(10 * MINUTE, 60 * MINUTE), refused=(MINUTE,))
    assert rules.of("回访") == Retries(no_answer=())
    assert rules.of("回访:夜") == Retries(unknown=(120 * MINUTE,))
    assert rules.of("催收") == Retries()
    assert parse_retries("  ").of("回访") == Retries()


def test_the_exact_name_beats_a_prefix_and_a_longer_prefix_a_shorter_one() -> None:
    rules = parse_retries("*: no_answer=1m | 活动*: no_answer=2m | 活动通知*: no_answer=3m | 活动通知1: no_answer=4m")
    found = {name: rules.of(name).no_answer for name in ("回访", "活动", "活动通知2", "活动通知1")}
    assert found == {"回访": (MINUTE,), "活动": (2 * MINUTE,), "活动通知2": (3 * MINUTE,), "活动通知1": (4 * MINUTE,)}


@pytest.mark.parametrize(
    "text",
    [
        "回访",
        "回访:",
        ": no_answer=1m",
        "回访: no_answer",
        "回访: busy=1m",
        "回访: no_answer=soon",
        "回访: no_answer=1m; no_answer=2m",
        "回访: no_answer=1m;",
        "回访: no_answer=1m |",
        "回访: no_answer=1m | 回访: refused=1m",
        "回*访: no_answer=1m",
        f"回访: no_answer={','.join(['1m'] * (MOST_RETRIES + 1))}",
    ],
)
def test_what_cannot_be_read_says_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_retries(text)
