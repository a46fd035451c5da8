"""The room of each caller number: live calls at once, and new calls a second. Pure: the caller tells the time."""

from __future__ import annotations

from collections import deque

from sandbox.phone.refusals import Code, Refusal
from sandbox.phone.settings import CallerLimit

MAX_CALLERS = 10_000
"""Caller numbers whose latest calls are remembered: beyond that, those that were silent for a second are forgotten."""

SECOND = 1.0


class Trunk:
    """Counts the calls of every caller number against its limit."""

    def __init__(self) -> None:
        self._live: dict[str, int] = {}
        self._recent: dict[str, deque[float]] = {}

    def check(self, caller: str, limit: CallerLimit, now: float) -> None:
        """Raises Refusal TOO_MANY_CALLS or TOO_FAST if there is no room for one more call."""
        if limit.concurrency is not None and self._live.get(caller, 0) >= limit.concurrency:
            raise Refusal(
                Code.TOO_MANY_CALLS, f"the caller number may have {limit.concurrency} calls at once, and has them"
            )
        recent = self._recent.get(caller, deque())
        while recent and recent[0] <= now - SECOND:
            recent.popleft()
        if limit.cps is not None and len(recent) >= limit.cps:
            raise Refusal(Code.TOO_FAST, f"the caller number may place {limit.cps} calls a second, and has done so")

    def begin(self, caller: str, now: float) -> None:
        """A call was placed."""
        self._live[caller] = self._live.get(caller, 0) + 1
        if len(self._recent) >= MAX_CALLERS:
            self._recent = {number: times for number, times in self._recent.items() if _since(times, now)}
        self._recent.setdefault(caller, deque()).append(now)

    def end(self, caller: str) -> None:
        """A call that was placed has ended."""
        self._live[caller] -= 1
        if not self._live[caller]:
            del self._live[caller]


def _since(times: deque[float], now: float) -> bool:
    return bool(times) and times[-1] > now - SECOND
