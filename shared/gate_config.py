"""What the settings say about who may be called, when and how often; what of it cannot be read keeps everybody uncalled.

A slip in one of these must not become a call at night or to someone who asked not to be called. So they are read here
and not refused at start: the gate stays shut, and the log, ``/readyz`` and ``waihu doctor`` say which and why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from shared.answer_rate import HealthRule, parse_health
from shared.breaker import BreakerRule, parse_breaker
from shared.frequency import Cap, parse_cap
from shared.retries import RetryRules, parse_retries
from shared.settings import PREFIX, Settings
from shared.window import NEVER, CallingHours, Week, parse_holidays, parse_window

T = TypeVar("T")


DO_NOT_CALL = "do_not_call"
"""The gate that ends a task; the others put it off. It stands in ``held_by`` of a task that no person stopped."""


@dataclass(frozen=True)
class GateConfig:
    """``problems``: what could not be read, each naming its setting. With one, nobody is called."""

    hours: CallingHours
    cap: Cap
    retries: RetryRules
    health: HealthRule | None
    breaker: BreakerRule | None
    problems: tuple[str, ...]


def read(settings: Settings) -> GateConfig:
    """All of it. What cannot be read is named in ``problems``, and replaced by what does least harm."""
    problems: list[str] = []

    def parsed(name: str, parse: Callable[[str], T], instead: T) -> T:
        try:
            return parse(getattr(settings, name))
        except ValueError as error:
            problems.append(f"{PREFIX}{name.upper()}: {error}")
            return instead

    never: Week | None = NEVER
    week = parsed("call_window", parse_window, never)
    return GateConfig(
        hours=CallingHours(week, parsed("holidays", parse_holidays, ())),
        cap=parsed("frequency_cap", parse_cap, ()),
        retries=parsed("retry_by_type", parse_retries, RetryRules()),
        health=parsed("caller_health", parse_health, None),
        breaker=parsed("breaker", parse_breaker, None),
        problems=tuple(problems),
    )


def problems(settings: Settings) -> list[str]:
    """What keeps the dial gate shut because it cannot be read; each says which setting, and what was expected."""
    return list(read(settings).problems)
