"""Whether a caller number is still picked up as it used to be: CALLER_HEALTH. Pure.

A number that carriers began to mark as spam is answered far less than before. It is judged by its own past alone:
lists differ, and so do hours, so that no rate is good or bad by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from shared.values import assignments, duration, positive

LEAST_HISTORY = 2
MOST_HISTORY = 10
"""The longer history, as multiples of the latest calls: at least so much to judge by, and no more than so much is read."""
CHANCE = 0.001
"""A fall that luck brings about more often than this is no fall: without it a number that is answered one time in five
would rest every thousand calls for nothing."""
MOST_CALLS = 1_000


@dataclass(frozen=True)
class HealthRule:
    """The rate of the latest ``calls`` fell by the share ``drop``: the number rests for ``rest_ms``."""

    calls: int
    drop: float
    rest_ms: int

    @property
    def reads(self) -> int:
        """How many calls are looked at, the latest and the history."""
        return self.calls * (1 + MOST_HISTORY)


@dataclass(frozen=True)
class Slump:
    """Two answer rates, 0 to 1: of the latest calls, and of those before."""

    recent: float
    usual: float


def parse_health(text: str) -> HealthRule | None:
    """``calls=50,drop=0.5,rest=30m``; empty: no number ever rests. Raises ValueError that says what was expected."""
    if not text.strip():
        return None
    values = assignments(text, ("calls", "drop", "rest"))
    calls, drop, rest = positive(values["calls"]), float(values["drop"]), duration(values["rest"])
    if not 10 <= calls <= MOST_CALLS:
        raise ValueError(f"expected calls from 10 to {MOST_CALLS}, got {calls}")
    if not 0 < drop < 1:
        raise ValueError(f"expected drop above 0 and below 1, got {drop:g}")
    if rest <= 0:
        raise ValueError("expected rest to last")
    return HealthRule(calls, drop, round(rest * 1000))


def judge(rule: HealthRule, answered: Sequence[bool], fresh: int) -> Slump | None:
    """Whether the number should rest.

    ``answered``: for each call whose outcome is known, the latest first, at most ``rule.reads``. ``fresh``: how many of
    them were made since the number last came back; the latest calls must all be, or it would never come back.
    """
    recent, history = answered[: rule.calls], answered[rule.calls :]
    if fresh < rule.calls or len(history) < rule.calls * LEAST_HISTORY:
        return None
    slump = Slump(sum(recent) / len(recent), sum(history) / len(history))
    fell = slump.recent <= slump.usual * (1 - rule.drop) and slump.usual > 0
    return slump if fell and _by_chance(sum(recent), len(recent), slump.usual) < CHANCE else None


def _by_chance(answered: int, calls: int, rate: float) -> float:
    """How likely at most ``answered`` of ``calls`` are picked up at this rate: the binomial distribution's lower tail."""
    rate = min(rate, 1 - 1e-9)
    yes, no = math.log(rate), math.log1p(-rate)
    whole = math.lgamma(calls + 1)
    return sum(
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(calls - k + 1) + k * yes + (calls - k) * no)
        for k in range(answered + 1)
    )
