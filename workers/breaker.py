"""The phone system's circuit breaker: asked before each startcall, told of each outcome, shared by all workers.

It stands in Redis, and is as trustworthy as that: a Redis that is away places no call at all, so the breaker fails shut
with it; a Redis that was wiped has forgotten that the phone system is down, and a few calls find out again.
"""

from __future__ import annotations

import enum
import logging
from importlib.resources import files
from typing import cast

import redis

from shared.breaker import BREAKER_KEY, BreakerRule, Standing, view
from shared.bus import ms_of
from shared.clock import Clock

TRY_MARGIN_MS = 15_000
"""Beyond startcall's own time-out: only a killed worker leaves its try open for longer, and then another call tries."""
_SCRIPT = files("workers").joinpath("breaker.lua").read_text()

log = logging.getLogger(__name__)


class Pass(enum.Enum):
    """How a call was let through."""

    GO = "go"
    WATCH = "watch"
    """Some startcalls before it failed: its success is worth telling."""
    TRY = "try"
    """Of all calls, this one tries whether the phone system is back."""


class Outcome(enum.StrEnum):
    PLACED = "placed"
    FAILED = "failed"
    """It could not leave, or was not answered readably."""
    REFUSED = "refused"


class Breaker:
    """Safe to use from several threads. ``admit`` and ``standing`` raise redis.RedisError.

    Time is the Redis server's own; tests pass a clock instead.
    """

    def __init__(
        self, client: redis.Redis, rule: BreakerRule | None, startcall_timeout_ms: int, clock: Clock | None = None
    ) -> None:
        self._redis = client
        self._rule = rule
        self._try_ms = startcall_timeout_ms + TRY_MARGIN_MS
        self._clock = clock
        self._script = client.register_script(_SCRIPT)

    def standing(self) -> Standing:
        """For dispatch: whether there is a use in calls that wait to be dialled."""
        if self._rule is None:
            return Standing.CLOSED
        stored = cast("dict[bytes, bytes]", self._redis.hgetall(BREAKER_KEY))
        return view(stored, self._now()).standing if stored else Standing.CLOSED

    def admit(self) -> Pass | None:
        """Lets one call through; None: not now. Whoever got a Pass must ``record`` or ``withdraw``."""
        if self._rule is None:
            return Pass.GO
        verdict = self._run("admit", self._try_ms)
        return None if verdict == "wait" else Pass(verdict)

    def record(self, granted: Pass, outcome: Outcome) -> bool:
        """What became of a call that was let through; whether the breaker closed by it. Never raises for Redis' sake."""
        if self._rule is None or (outcome is Outcome.PLACED and granted is Pass.GO):
            return False
        rule = self._rule
        try:
            effect = self._run(
                "record", str(outcome), int(granted is Pass.TRY), rule.failures, rule.within_ms, rule.rest_ms
            )
        except redis.RedisError as error:
            log.warning("the breaker could not be told", extra={"error": type(error).__name__})
            return False
        if effect == "opened":
            log.error(
                "the phone system is left alone: its startcalls fail one after another",
                extra={"outcome": str(outcome), "rest_seconds": rule.rest_ms / 1000},
            )
        if effect == "closed":
            log.warning("the phone system takes calls again")
        return effect == "closed"

    def withdraw(self, granted: Pass) -> None:
        """The call was not made after all: another may try."""
        if granted is not Pass.TRY:
            return
        try:
            self._run("withdraw")
        except redis.RedisError as error:
            log.warning("the breaker could not be told", extra={"error": type(error).__name__})

    def _now(self) -> int:
        if self._clock is not None:
            return self._clock.now_ms()
        return ms_of(self._redis.time())

    def _run(self, operation: str, *arguments: str | int) -> str:
        now = self._clock.now_ms() if self._clock else 0
        answer: bytes = self._script(keys=[BREAKER_KEY], args=[operation, now, *arguments])
        return answer.decode()
