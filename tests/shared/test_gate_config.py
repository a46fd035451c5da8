"""Settings of the gates: all that cannot be read is named, and replaced by what does least harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.gate_config import problems, read
from shared.settings import load
from shared.window import NEVER


def test_the_defaults_can_be_read(tmp_path: Path) -> None:
    settings = load({}, tmp_path)
    assert problems(settings) == []
    config = read(settings)
    assert config.hours.always
    assert config.cap == ()
    assert config.health is not None
    assert config.breaker is not None


def test_empty_means_none_where_it_says_so(tmp_path: Path) -> None:
    config = read(load({"WAIHU_CALLER_HEALTH": "", "WAIHU_BREAKER": ""}, tmp_path))
    assert (config.health, config.breaker) == (None, None)


@pytest.mark.parametrize(
    "name", ["CALL_WINDOW", "HOLIDAYS", "FREQUENCY_CAP", "RETRY_BY_TYPE", "CALLER_HEALTH", "BREAKER"]
)
def test_what_cannot_be_read_is_named_with_what_was_expected(name: str, tmp_path: Path) -> None:
    [problem] = problems(load({f"WAIHU_{name}": "nonsense"}, tmp_path))
    assert problem.startswith(f"WAIHU_{name}: expected")


def test_a_broken_window_is_never_open(tmp_path: Path) -> None:
    assert read(load({"WAIHU_CALL_WINDOW": "nine to five"}, tmp_path)).hours.week == NEVER


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    broken = {"WAIHU_CALL_WINDOW": "x", "WAIHU_BREAKER": "x", "WAIHU_HOLIDAYS": "x"}
    assert len(problems(load(broken, tmp_path))) == 3
