from __future__ import annotations

import pytest

from sandbox.phone import trunk as module
from sandbox.phone.refusals import Code, Refusal
from sandbox.phone.settings import CallerLimit
from sandbox.phone.trunk import Trunk


def refused(trunk: Trunk, caller: str, limit: CallerLimit, now: float) -> Code | None:
    try:
        trunk.check(caller, limit, now)
    except Refusal as refusal:
        return refusal.code
    return None


def test_without_a_limit_there_is_always_room() -> None:
    trunk = Trunk()
    for _ in range(1000):
        trunk.check("1", CallerLimit(), 0.0)
        trunk.begin("1", 0.0)


def test_calls_at_once_are_counted_for_each_number() -> None:
    trunk, limit = Trunk(), CallerLimit(concurrency=1)
    trunk.begin("1", 0.0)
    assert refused(trunk, "1", limit, 9.0) is Code.TOO_MANY_CALLS
    assert refused(trunk, "2", limit, 9.0) is None
    trunk.end("1")
    assert refused(trunk, "1", limit, 9.0) is None


def test_the_second_moves() -> None:
    trunk, limit = Trunk(), CallerLimit(cps=2)
    for now in (0.0, 0.6):
        trunk.begin("1", now)
    assert refused(trunk, "1", limit, 0.9) is Code.TOO_FAST
    assert refused(trunk, "1", limit, 1.1) is None
    trunk.begin("1", 1.1)
    assert refused(trunk, "1", limit, 1.2) is Code.TOO_FAST


def test_a_limit_of_none_at_all_refuses_everything() -> None:
    assert refused(Trunk(), "1", CallerLimit(cps=0), 0.0) is Code.TOO_FAST
    assert refused(Trunk(), "1", CallerLimit(concurrency=0), 0.0) is Code.TOO_MANY_CALLS


def test_silent_numbers_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CALLERS", 3)
    trunk = Trunk()
    for number in range(10):
        trunk.begin(str(number), float(number))
        trunk.end(str(number))
    assert len(trunk._recent) <= 3
    assert trunk._live == {}
