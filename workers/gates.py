"""Gates: why a call may not be placed now. Asked at dispatch, and again in dial just before the call is committed.

A gate is a function. One of the house is asked with nothing, before anything is claimed; one of the task is asked about
what is known of a task (``workers.candidates`` reads it). A gate whose configuration is broken keeps the house shut and
says so.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.frequency import Cap, free_at
from shared.gate_config import DO_NOT_CALL, GateConfig
from shared.settings import Settings
from shared.window import DAY_MS, CallingHours

log = logging.getLogger(__name__)

WINDOW, FREQUENCY, PAUSED = "window", "frequency", "paused"


class Remedy(enum.Enum):
    """What becomes of a task that a gate holds back."""

    WAIT = "wait"
    EXPIRE = "expire"
    STOP = "stop"


@dataclass(frozen=True)
class Closed:
    """A gate's refusal: which gate, why (constant text, no numbers), and what becomes of the task.

    ``until``: when a task that waits is due again; None: soon, as after any call that was not placed.
    """

    gate: str
    reason: str
    remedy: Remedy = Remedy.WAIT
    until: int | None = None


@dataclass(frozen=True)
class Candidate:
    """What the gates of a task look at. Times are milliseconds since 1970."""

    expires_at: int | None = None
    stop_requested_at: int | None = None
    zone: str | None = None
    """The ticket's own; None: the house's."""
    suppressed: bool = False
    """Its number is on the do-not-call list."""
    paused: bool = False
    attempts: tuple[int, ...] = ()
    """When calls to its number left that may have rung there."""
    resting: bool = False
    """The number it would be called from rests."""
    unheard: bool = False
    """The last talk with this customer is not written down yet: it may hold the wish not to be called again."""
    answered: bool = False
    """An earlier call of its task, which had seemed not to be answered, was."""
    relining: bool = False
    """Lines are being computed anew (``workers.relining``), so nobody knows yet who is on the list."""


HouseGate = Callable[[], Closed | None]
TaskGate = Callable[[Candidate, int], Closed | None]


class Gates:
    """All of them, in order: the first that is closed answers."""

    def __init__(self, of_house: Sequence[HouseGate], of_task: Sequence[TaskGate], window: Window) -> None:
        self._of_house = tuple(of_house)
        self._of_task = tuple(of_task)
        self.window = window
        self._said: Closed | None = None

    def closed(self) -> Closed | None:
        """Why nobody may be called; None if the house is open. Logged when it changes."""
        found = next((closed for gate in self._of_house if (closed := gate())), None)
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


def open_gates(settings: Settings, config: GateConfig) -> Gates:
    """The gates that the settings ask for."""
    window = Window(config.hours, settings.timezone)
    return Gates(
        of_house=(config_gate(config), standin_gate(settings)),
        of_task=(
            stopped,
            expired,
            answered,
            relining,
            suppressed,
            paused,
            window,
            frequency_gate(config.cap),
            resting,
            unheard,
        ),
        window=window,
    )


def config_gate(config: GateConfig) -> HouseGate:
    """What cannot be read must not become a call that it would have forbidden."""
    closed = Closed("settings", "; ".join(config.problems)) if config.problems else None
    return lambda: closed


def standin_gate(settings: Settings) -> HouseGate:
    """No real customer gets a deaf robot, no real ticket is burned in a sandbox (design, ALLOW_STANDIN)."""
    closed = Closed("standin", f"a stand-in is in use beside real services: {', '.join(settings.standins)}")
    return lambda: closed if settings.standins_forbidden else None


def stopped(candidate: Candidate, _now_ms: int) -> Closed | None:
    asked = candidate.stop_requested_at is not None
    return Closed("stopped", "stopTasks was called", Remedy.STOP) if asked else None


def expired(candidate: Candidate, now_ms: int) -> Closed | None:
    over = candidate.expires_at is not None and candidate.expires_at <= now_ms
    return Closed("expired", "its expiresAt has passed", Remedy.EXPIRE) if over else None


def answered(candidate: Candidate, _now_ms: int) -> Closed | None:
    """The task of a call that goes back then is completed (``shared.lifecycle.settle``)."""
    return Closed("answered", "an earlier call was answered after all") if candidate.answered else None


def relining(candidate: Candidate, _now_ms: int) -> Closed | None:
    return Closed("lines", "customers' lines are being computed anew") if candidate.relining else None


def suppressed(candidate: Candidate, _now_ms: int) -> Closed | None:
    """Whoever asked not to be called is not called; the task ends as stopped, nobody reached."""
    return Closed(DO_NOT_CALL, "on the do-not-call list", Remedy.STOP) if candidate.suppressed else None


def paused(candidate: Candidate, _now_ms: int) -> Closed | None:
    return Closed(PAUSED, "calls of its ticket type are paused") if candidate.paused else None


class Window:
    """The hours in which customers may be called, read in the ticket's zone if it names one, else in the house's."""

    def __init__(self, hours: CallingHours, zone: ZoneInfo) -> None:
        self._hours = hours
        self._zone = zone

    def __call__(self, candidate: Candidate, now_ms: int) -> Closed | None:
        until = self.reopens(candidate.zone, now_ms)
        return None if until is None else Closed(WINDOW, "outside the calling window", until=until)

    def reopens(self, name: str | None, now_ms: int) -> int | None:
        """When customers in the zone of this name may be called again; None: they may be now.

        Hours that never come, and a zone that nobody knows, are looked at again a day later.
        """
        if self._hours.always:
            return None
        try:
            zone = self._zone if name is None else ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            log.error("a ticket's time zone is not known; it waits", extra={"zone": (name or "")[:40]})
            return now_ms + DAY_MS
        if self._hours.is_open(now_ms, zone):
            return None
        return self._hours.next_opening(now_ms, zone) or now_ms + DAY_MS


def frequency_gate(cap: Cap) -> TaskGate:
    """A number that was called as often as FREQUENCY_CAP allows waits until the oldest of these calls is long enough ago."""

    def gate(candidate: Candidate, now_ms: int) -> Closed | None:
        until = free_at(cap, candidate.attempts, now_ms)
        return None if until is None else Closed(FREQUENCY, "its number was called often enough", until=until)

    return gate


def resting(candidate: Candidate, _now_ms: int) -> Closed | None:
    return Closed("caller", "the number it would be called from rests") if candidate.resting else None


def unheard(candidate: Candidate, _now_ms: int) -> Closed | None:
    return Closed("record", "the last talk with its customer is not written down yet") if candidate.unheard else None
