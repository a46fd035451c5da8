"""Settings as they are printed: what can be given again, what is never shown, and what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import values
from shared.setting_rows import MASK, Row, describe, written
from shared.settings import load, names, read

SAMPLES = {
    "DATABASE_URL": "postgresql://waihu@db:5432/waihu",
    "REDIS_URL": "rediss://cache:6380/1",
    "STATE_DIR": "other state",
    "RECORDINGS_DIR": "/srv/recordings",
    "PHONE_RECORD": "no",
    "PHONE_TIMEOUT": "1500ms",
    "CALLERS": "057128167421:concurrency=3,cps=0.25;+8657128167422:daily=5",
    "CALL_WINDOW": "Mon-Fri 09:00-12:00,14:00-20:00; Sat 10:00-16:00",
    "MAX_CALL_SECONDS": "90",
    "RETRY_NO_ANSWER": "10s,90m,36h",
    "RETRY_REFUSED": "",
    "RETRY_BY_TYPE": "活动通知*: no_answer=10m,1h; refused=1m | 回访: no_answer=",
    "API_LISTEN": "[::1]:8899",
    "TIMEZONE": "Asia/Urumqi",
    "RATE_LIMIT": "60",
    "BREAKER": "",
    "KEEP_RECORDINGS": "365d",
    "KEEP_EVENTS": "0",
    "DRAIN_TIMEOUT": "90s",
    "FREQUENCY_CAP": "2/1d,5/7d",
    "ASR_PROVIDER": "aliyun",
}


def rows(directory: Path, **sample: str) -> dict[str, Row]:
    given = {f"WAIHU_{name}": value for name, value in sample.items()}
    return {row.name.removeprefix("WAIHU_"): row for row in describe(given, directory)}


@pytest.mark.parametrize("sample", [{}, SAMPLES], ids=["defaults", "samples"])
def test_what_is_printed_of_every_setting_can_be_put_into_the_file(tmp_path: Path, sample: dict[str, str]) -> None:
    environment = {f"WAIHU_{name}": value for name, value in sample.items()}
    before = load(environment, tmp_path)
    printed = describe(environment, tmp_path)
    assert [row.name for row in printed] == [f"WAIHU_{name.upper()}" for name in names()]
    (tmp_path / "new").mkdir()
    lines = [f"{row.name}={row.value}" for row in printed if row.value != MASK]
    (tmp_path / "new" / ".env").write_text("\n".join(lines), encoding="utf-8")
    after = load({}, tmp_path / "new")
    for name in names():
        if not name.endswith(("_key", "_keys", "_secret")):
            assert getattr(after, name) == getattr(before, name), name


@given(st.floats(min_value=0, max_value=values.LONGEST_SECONDS).map(lambda seconds: round(seconds, 3)))
def test_a_duration_is_read_as_it_was_written(seconds: float) -> None:
    assert values.duration(written(seconds)) == pytest.approx(seconds, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("7776000", "90d"), ("1800", "30m"), ("7200", "2h"), ("1.5", "1.5s"), ("0", "0"), ("500ms", "0.5s")],
)
def test_durations_are_shown_in_the_largest_unit_that_fits(text: str, shown: str) -> None:
    assert written(values.duration(text)) == shown


def test_every_setting_is_shown_with_its_source_and_what_it_is_for(tmp_path: Path) -> None:
    found = rows(tmp_path, MAX_CALLS="7")
    assert (found["MAX_CALLS"].value, found["MAX_CALLS"].source) == ("7", "environment")
    assert found["CALLERS"].value == "057128167421:concurrency=30,cps=10"
    assert found["API_LISTEN"].value == "127.0.0.1:8899"
    assert found["RETRY_NO_ANSWER"].value == "30m,2h"
    assert found["RATE_LIMIT"].value == ""
    assert all(row.about and not row.problem for row in found.values())


def test_what_is_wrong_stands_beside_its_value(tmp_path: Path) -> None:
    found = rows(tmp_path, MAX_CALLS="many", CALL_WINDOW="morning", PHONE_ULR="x", RING_TIMEOUT="5s")
    assert found["MAX_CALLS"].value == "many"
    assert "expected a whole number above 0" in found["MAX_CALLS"].problem
    assert found["CALL_WINDOW"].value == "morning"
    assert "WAIHU_CALL_WINDOW" in found["CALL_WINDOW"].problem
    assert "did you mean WAIHU_PHONE_URL?" in found["PHONE_ULR"].problem
    assert (found["RING_TIMEOUT"].value, found["RING_TIMEOUT"].problem) == ("5s", "")
    assert read({"WAIHU_MAX_CALLS": "many"}, tmp_path)[0].max_calls == 200


def test_no_secret_is_shown(tmp_path: Path) -> None:
    right = {
        "API_KEYS": "hunter2,hunter3",
        "PHONE_SECRET": "hunter4",
        "LLM_KEY": "hunter5",
        "DATABASE_URL": "postgresql://waihu:hunter6@db:5432/waihu",
        "REDIS_URL": "redis://:hunter7@cache:6379/0",
    }
    wrong = {"DATABASE_URL": "mysql://waihu:hunter8@db/waihu", "REDIS_URL": "redis://:hunter9@cache:99999/0"}
    assert rows(tmp_path, **right)["DATABASE_URL"].value == "postgresql://waihu:********@db:5432/waihu"
    for sample in (right, wrong):
        assert "hunter" not in repr(rows(tmp_path, **sample))
