"""How the dial gate stands: all that keeps calls from being placed now, for ``/readyz``, ``/metrics`` and ``waihu doctor``.

Only looked at here; ``workers.gates`` decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import redis
from sqlalchemy import Connection, select

from shared import breaker, bus, gate_config
from shared.breaker import BreakerView, Standing
from shared.moments import printed
from shared.numbers import mask
from shared.schema import caller_rests, pauses
from shared.settings import PREFIX, Settings

MOST_PAUSES = 100
"""Ticket types that are named; more are counted as far as this."""


@dataclass(frozen=True)
class Rest:
    """A caller number that rests: masked, until when (milliseconds since 1970), and why."""

    caller: str
    until: int
    reason: str


@dataclass(frozen=True)
class DialGate:
    """``shut``: why nobody at all is called, each with what to do, if something can be done; empty: the gate is open.

    Beside that some may wait: customers of ``paused`` ticket types, and calls from numbers that rest.
    """

    shut: tuple[str, ...]
    paused: tuple[str, ...] = ()
    resting: tuple[Rest, ...] = ()
    breaker: BreakerView = BreakerView()

    @property
    def open(self) -> bool:
        return not self.shut


def broken(settings: Settings) -> list[str]:
    """What in the settings keeps the gate shut until somebody changes them."""
    found = gate_config.problems(settings)
    if settings.standins_forbidden:
        names = ", ".join(settings.standins)
        found.append(f"stand-ins beside real services: {names}; set them up, or {PREFIX}ALLOW_STANDIN=1")
    return found


def look(connection: Connection, client: redis.Redis, settings: Settings, now: int) -> DialGate:
    """How it stands. Raises what SQLAlchemy and redis raise when one of them is away."""
    paused = tuple(
        connection.execute(select(pauses.c.ticket_type).order_by(pauses.c.ticket_type).limit(MOST_PAUSES)).scalars()
    )
    numbers = [caller.number for caller in settings.callers]
    rests = connection.execute(
        select(caller_rests).where(caller_rests.c.until > now, caller_rests.c.caller.in_(numbers))
    ).all()
    seen = breaker.look(client)
    shut = broken(settings)
    shut += _by_the_clock(settings, now)
    if "" in paused:
        shut.append("all calls are paused; `waihu resume` (POST /api/v1/resume) ends that")
    if len(rests) == len(numbers):
        soonest = printed(min(row.until for row in rests), settings.timezone)
        shut.append(f"every caller number rests, its answer rate fell; the first is back at {soonest}")
    if seen.standing in (Standing.OPEN, Standing.TRYING):
        shut.append(f"the phone system is left alone, its startcalls were {seen.cause}; one call tries it soon")
    if bus.none_fit(beats := bus.heartbeats(client)):
        if not all(beat.recording for beat in beats):
            shut.append(
                "media cannot record calls, their disk is full or cannot be written; make room where recordings lie"
            )
        if not all(beat.speech for beat in beats):
            shut.append(
                "media cannot speak or understand; `waihu doctor` and media's /readyz say what speech providers answer"
            )
    resting = tuple(Rest(mask(row.caller), row.until, row.reason) for row in rests)
    return DialGate(tuple(shut), paused, resting, seen)


def _by_the_clock(settings: Settings, now: int) -> list[str]:
    """Whether the house's own customers may be called at this hour; a ticket may name another zone."""
    config = gate_config.read(settings)
    if config.problems or config.hours.is_open(now, settings.timezone):
        return []
    opening = config.hours.next_opening(now, settings.timezone)
    when = f"opens at {printed(opening, settings.timezone)}" if opening else "does not open within a year"
    return [f"outside the calling window, which {when} ({settings.timezone})"]
