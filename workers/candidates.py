"""What the gates must know of tasks, read from SQL: of all tasks of a claim at once, and of one just before it is dialled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, Row, String, and_, bindparam, exists, or_, select

from shared import lines
from shared.frequency import Cap, longest
from shared.lifecycle import QUEUED_WAIT_MS, CallState
from shared.schema import caller_rests, calls, pauses, tasks
from shared.suppression import is_suppressed
from workers.gates import Candidate
from workers.store import Held

UNHEARD_MS = 60_000
"""How long a customer whose last talk is not written down is left alone, or not to its end: media tell the last words some
seconds after the line broke, and finish_call may have written what there was before. A record that cannot be finished at
all must not keep its customer from being called for ever."""
LATE_DIAL_MS = QUEUED_WAIT_MS + 60_000
"""A call leaves so much after its row was made at the latest: rows are found by when they were made."""

_caller, _uuid = (bindparam(name, type_=String) for name in ("caller", "uuid"))
_now = bindparam("now", type_=BigInteger)
_type = bindparam("ticket_type", type_=String)
_MAY_HAVE_RUNG = and_(
    calls.c.call_type == "02",
    calls.c.dialing_at.is_not(None),
    calls.c.state.not_in([CallState.UNPLACED, CallState.REFUSED]),
)
_others = calls.alias("others")
_LAST_LOOK = select(
    calls.c.line,
    lines.MOVING.label("relining"),
    is_suppressed(calls.c.line).label("suppressed"),
    exists(select(pauses.c.ticket_type).where(pauses.c.ticket_type.in_(["", _type]))).label("paused"),
    exists(select(caller_rests.c.caller).where(caller_rests.c.caller == _caller, caller_rests.c.until > _now)).label(
        "resting"
    ),
    exists(
        select(_others.c.uuid).where(
            _others.c.line == calls.c.line,
            _others.c.uuid != _uuid,
            _others.c.answered_at.is_not(None),
            or_(_others.c.dialogue.is_(None), _others.c.media_ended_at.is_(None)),
            _others.c.ended_at > _now - UNHEARD_MS,
        )
    ).label("unheard"),
).where(calls.c.uuid == _uuid)
# Columns for the claim's query.
SUPPRESSED = is_suppressed(tasks.c.line).label("suppressed")
PAUSED = exists(select(pauses.c.ticket_type).where(pauses.c.ticket_type.in_(["", tasks.c.ticket_type]))).label("paused")


def first_look(held: Held) -> Candidate:
    """What the call's own rows say, before it waits for its turn."""
    return Candidate(
        expires_at=held.expires_at,
        stop_requested_at=held.task.stop_requested_at if held.task else None,
        zone=held.zone,
        answered=bool(held.task and held.task.connected),
    )


def last_look(connection: Connection, held: Held, cap: Cap, now: int) -> Candidate:
    """All there is to know of a call that is about to be dialled, as it stands in this moment.

    Its own row keeps every other call off its line from dispatch to its end (uq_calls_live_line): those that a cap
    counts are over and committed, and no lock is needed to count them.
    """
    uuid = held.call.uuid
    asked = {"caller": held.caller, "ticket_type": held.ticket_type, "uuid": uuid, "now": now}
    row = connection.execute(_LAST_LOOK, asked).one()
    return Candidate(
        expires_at=held.expires_at,
        stop_requested_at=held.task.stop_requested_at if held.task else None,
        zone=held.zone,
        answered=bool(held.task and held.task.connected),
        suppressed=bool(row.suppressed),
        paused=bool(row.paused),
        attempts=tuple(attempts(connection, [row.line], cap, now, but=uuid).get(row.line, ())),
        resting=bool(row.resting),
        unheard=bool(row.unheard),
        relining=bool(row.relining),
    )


def claimed(
    connection: Connection,
    rows: Sequence[Row[*tuple[Any, ...]]],
    cap: Cap,
    now: int,
) -> list[Candidate]:
    """For each row of a claim, which has the columns expires_at, stop_requested_at, zone, line, SUPPRESSED and PAUSED."""
    made = attempts(connection, {row.line for row in rows}, cap, now)
    return [
        Candidate(
            expires_at=row.expires_at,
            stop_requested_at=row.stop_requested_at,
            zone=row.zone,
            suppressed=bool(row.suppressed),
            paused=bool(row.paused),
            attempts=tuple(made.get(row.line, ())),
        )
        for row in rows
    ]


def attempts(
    connection: Connection,
    some: Collection[str],
    cap: Cap,
    now: int,
    *,
    but: str = "",
) -> Mapping[str, Sequence[int]]:
    """When calls left that may have rung on these lines, as far back as the cap looks; none without a cap."""
    if not cap or not some:
        return {}
    since = now - longest(cap)
    found = select(calls.c.line, calls.c.dialing_at).where(
        calls.c.line.in_(sorted(some)),
        calls.c.created_at > since - LATE_DIAL_MS,
        calls.c.dialing_at > since,
        calls.c.uuid != but,
        _MAY_HAVE_RUNG,
    )
    made: dict[str, list[int]] = defaultdict(list)
    for line, dialing_at in connection.execute(found):
        made[line].append(dialing_at)
    return made
