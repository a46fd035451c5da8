"""Faults on a switch."""

import pytest

from sandbox.cloud.faults import Faults


def test_a_fault_stays_until_it_is_cleared() -> None:
    faults = Faults({"asr": "slow"})
    assert [faults.take("asr") for _ in range(3)] == ["slow"] * 3
    faults.clear("asr")
    assert faults.take("asr") is None


def test_a_fault_for_two_tasks_hits_two() -> None:
    faults = Faults()
    faults.set("tts", "hang_start", times=2)
    assert [faults.take("tts") for _ in range(3)] == ["hang_start", "hang_start", None]
    assert faults.take("asr") is None


def test_what_is_on_is_shown() -> None:
    faults = Faults()
    faults.set("chat", "error_429", times=1)
    assert faults.shown() == {"chat": {"fault": "error_429", "times": 1}}
    faults.clear()
    assert faults.shown() == {}


@pytest.mark.parametrize(
    ("service", "fault", "times", "named"),
    [
        ("fax", "slow", None, "asr, tts, chat"),
        ("asr", "sulk", None, "hang_start"),
        ("asr", "error_429", None, "for asr"),
        ("chat", None, None, "error_429"),
        ("chat", "slow", 0, "from 1"),
        ("chat", "slow", True, "from 1"),
        ("chat", "slow", "2", "from 1"),
    ],
)
def test_an_unknown_wish_is_refused_and_names_what_is_known(
    service: str, fault: str, times: int | None, named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        Faults().set(service, fault, times)  # type: ignore[arg-type]
