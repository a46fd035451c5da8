"""Gates: why a call may not be placed now. Asked at dispatch, and again in dial just before the call is committed.

A gate is a function. One of the house is asked with the time alone, before anything is claimed; one of the task is
asked about each task. A gate whose configuration is broken stays shut and says so.
"""

from __future__ import annotations

import enum
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import NamedTuple
from zoneinfo import ZoneInfo

from shared.settings import Settings

log = logging.getLogger(__name__)


class Remedy(enum.Enum):
    """What becomes of a task that a gate holds back."""

    WAIT = "wait"
    EXPIRE = "expire"
    STOP = "stop"


@dataclass(frozen=True)
class Closed:
    """A gate's refusal: which gate, why (constant text, no numbers), and what becomes of the task."""

    gate: str
    reason: str
    remedy: Remedy = Remedy.WAIT


class Candidate(NamedTuple):
    """What the gates of a task look at."""

    number: str
    expires_at: int | None
    stop_requested_at: int | None


HouseGate = Callable[[int], Closed | None]
TaskGate = Callable[[Candidate, int], Closed | None]


class Gates:
    """All of them, in order: the first that is closed answers."""

    def __init__(self, of_house: Sequence[HouseGate], of_task: Sequence[TaskGate]) -> None:
        self._of_house = tuple(of_house)
        self._of_task = tuple(of_task)
        self._said: Closed | None = None

    def closed(self, now_ms: int) -> Closed | None:
        """Why nobody may be called at ``now_ms``; None if the house is open. Logged when it changes."""
        found = next((closed for gate in self._of_house if (closed := gate(now_ms))), None)
        if found != self._said:
            self._said = found
            if found is None:
                log.info("the gates are open")
            else:
                log.warning("a gate is closed: no call is placed", extra={"gate": found.gate, "reason": found.reason})
        return found

    def refuses(self, candidate: Candidate, now_ms: int) -> Closed | None:
        """Why this task may not be dialled at ``now_ms``, of those gates that look at tasks."""
        return next((closed for gate in self._of_task if (closed := gate(candidate, now_ms))), None)


def open_gates(settings: Settings) -> Gates:
    """The gates that the settings ask for."""
    return Gates(
        of_house=(standin_gate(settings), window_gate(settings.call_window, settings.timezone)),
        of_task=(stopped, expired),
    )


def standin_gate(settings: Settings) -> HouseGate:
    """No real customer gets a deaf robot, no real ticket is burned in a sandbox (design, ALLOW_STANDIN)."""
    closed = Closed("standin", f"a stand-in is in use beside real services: {', '.join(settings.standins)}")
    return lambda _now_ms: closed if settings.standins_forbidden else None


def window_gate(text: str, zone: ZoneInfo) -> HouseGate:
    """The hours in which customers may be called, as CALL_WINDOW gives them."""
    try:
        ranges = parse_window(text)
    except ValueError as error:
        broken = Closed("window", f"WAIHU_CALL_WINDOW is not as it should be: {error}")
        return lambda _now_ms: broken
    outside = Closed("window", "outside the calling window")

    def gate(now_ms: int) -> Closed | None:
        minute = datetime.fromtimestamp(now_ms / 1000, zone).time()
        return None if not ranges or any(_within(minute, *hours) for hours in ranges) else outside

    return gate


def stopped(candidate: Candidate, _now_ms: int) -> Closed | None:
    asked = candidate.stop_requested_at is not None
    return Closed("stopped", "stopTasks was called", Remedy.STOP) if asked else None


def expired(candidate: Candidate, now_ms: int) -> Closed | None:
    over = candidate.expires_at is not None and candidate.expires_at <= now_ms
    return Closed("expired", "its expiresAt has passed", Remedy.EXPIRE) if over else None


_RANGE = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:(24):(00)|([01]\d|2[0-3]):([0-5]\d))")


def parse_window(text: str) -> tuple[tuple[time, time], ...]:
    """``09:00-12:00,14:00-20:00`` as pairs; 24:00 is midnight, and a range may cross it. Empty: always open.

    Raises ValueError that says what was expected.
    """
    ranges = []
    for part in (part.strip() for part in text.split(",")) if text.strip() else ():
        match = _RANGE.fullmatch(part)
        if match is None:
            raise ValueError(f"expected HH:MM-HH:MM, got {part[:20]!r}")
        hours = [int(group) for group in match.groups() if group is not None]
        begin, end = time(hours[0], hours[1]), time(hours[2] % 24, hours[3])
        if begin == end and hours[2] != 24:
            raise ValueError(f"expected a range that lasts, got {part!r}")
        ranges.append((begin, end))
    return tuple(ranges)


def _within(moment: time, begin: time, end: time) -> bool:
    """Including the beginning, excluding the end, over midnight if it must."""
    return begin <= moment < end if begin < end else moment >= begin or moment < end
