"""Gates: when nobody, or somebody, may not be called."""

from __future__ import annotations

import logging
from datetime import datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from shared.settings import load
from workers.gates import Candidate, Closed, Gates, Remedy, expired, open_gates, parse_window, stopped, window_gate

SHANGHAI = ZoneInfo("Asia/Shanghai")


def at(text: str, zone: ZoneInfo = SHANGHAI) -> int:
    return int(datetime.fromisoformat(f"2026-03-02T{text}").replace(tzinfo=zone).timestamp() * 1000)


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
        ("09:00-24:00", "23:59:59", True),
        ("09:00-24:00", "00:00", False),
        ("00:00-24:00", "00:00", True),
    ],
)
def test_the_calling_window(window: str, moment: str, is_open: bool) -> None:
    assert (window_gate(window, SHANGHAI)(at(moment)) is None) == is_open


def test_the_window_is_in_the_configured_zone() -> None:
    gate = window_gate("09:00-10:00", SHANGHAI)
    assert gate(at("01:30", ZoneInfo("UTC"))) is None
    assert gate(at("09:30", ZoneInfo("UTC"))) is not None


@pytest.mark.parametrize(
    "window", ["9-12", "09:00", "25:00-26:00", "09:60-10:00", "09:00-09:00", "09:00-12:00,,", "24:00-25:00", "always"]
)
def test_a_window_that_cannot_be_read_stays_shut_and_says_so(window: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_window(window)
    closed = window_gate(window, SHANGHAI)(at("10:00"))
    assert closed is not None
    assert "WAIHU_CALL_WINDOW" in closed.reason


def test_what_a_window_says_is_given_back_as_times() -> None:
    assert parse_window(" 09:00-12:30 ") == ((time(9), time(12, 30)),)
    assert parse_window("  ") == ()


def test_a_task_that_is_stopped_or_expired_says_what_becomes_of_it() -> None:
    def remedy(closed: Closed | None) -> Remedy | None:
        return closed.remedy if closed else None

    assert remedy(stopped(Candidate("1", None, 5), 9)) is Remedy.STOP
    assert remedy(stopped(Candidate("1", None, None), 9)) is None
    assert remedy(expired(Candidate("1", 9, None), 9)) is Remedy.EXPIRE
    assert remedy(expired(Candidate("1", 10, None), 9)) is None
    assert remedy(expired(Candidate("1", None, None), 9)) is None


def test_stand_ins_beside_real_services_keep_the_house_shut(tmp_path: Path) -> None:
    real = {"WAIHU_PHONE_URL": "http://phone.example/dialog"}
    closed = open_gates(load(real, tmp_path)).closed(0)
    assert closed is not None
    assert closed.gate == "standin"
    assert "asr" in closed.reason
    assert open_gates(load(real | {"WAIHU_ALLOW_STANDIN": "1"}, tmp_path)).closed(0) is None
    assert open_gates(load({}, tmp_path)).closed(0) is None


def test_the_first_closed_gate_answers_and_a_change_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    night = Closed("night", "it is night")
    answers: list[Closed | None] = [None, night, night, None]
    gates = Gates([lambda _now: None, lambda _now: answers.pop(0), lambda _now: None], [stopped, expired])
    with caplog.at_level(logging.INFO, "workers.gates"):
        assert [gates.closed(0) for _ in range(4)] == [None, night, night, None]
    assert [record.message for record in caplog.records] == [
        "a gate is closed: no call is placed",
        "the gates are open",
    ]
    both = Candidate("1", 1, 1)
    refusal = gates.refuses(both, 5)
    assert refusal is not None
    assert refusal.gate == "stopped"
