"""What the gates must know of tasks, read from SQL: of all tasks of a claim at once, and of one just before it is dialled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, Row, String, and_, bindparam, exists, func, literal, select

from shared import numbers as phone_numbers
from shared.database import is_postgresql
from shared.frequency import Cap, longest
from shared.lifecycle import QUEUED_WAIT_MS, CallState
from shared.schema import caller_rests, calls, do_not_call, pauses, tasks
from shared.suppression import is_suppressed
from workers.gates import Candidate
from workers.store import Held

UNHEARD_MS = 60_000
"""How long a customer whose last talk is not written down is left alone: finish_call takes seconds. A record that cannot
be finished at all must not keep its customer from being called for ever."""
LATE_DIAL_MS = QUEUED_WAIT_MS + 60_000
"""A call leaves so much after its row was made at the latest: rows are found by when they were made."""

_line, _caller, _uuid = (bindparam(name, type_=String) for name in ("line", "caller", "uuid"))
_spellings = bindparam("spellings", type_=String, expanding=True)
_now = bindparam("now", type_=BigInteger)
_type = bindparam("ticket_type", type_=String)
_MAY_HAVE_RUNG = and_(
    calls.c.call_type == "02",
    calls.c.dialing_at.is_not(None),
    calls.c.state.not_in([CallState.UNPLACED, CallState.REFUSED]),
)
_LAST_LOOK = select(
    exists(select(do_not_call.c.number).where(do_not_call.c.line == _line)).label("suppressed"),
    exists(select(pauses.c.ticket_type).where(pauses.c.ticket_type.in_(["", _type]))).label("paused"),
    exists(select(caller_rests.c.caller).where(caller_rests.c.caller == _caller, caller_rests.c.until > _now)).label(
        "resting"
    ),
    exists(
        select(calls.c.uuid).where(
            calls.c.number.in_(_spellings),
            calls.c.uuid != _uuid,
            calls.c.answered_at.is_not(None),
            calls.c.dialogue.is_(None),
            calls.c.ended_at > _now - UNHEARD_MS,
        )
    ).label("unheard"),
)
_ALONE = select(func.pg_advisory_xact_lock(func.hashtextextended(literal("waihu:frequency:") + _line, 0)))
"""Held until the call is committed as dialing: two calls to one line that leave at the same moment must see each other,
and those to two spellings of it share no row."""
# Columns for the claim's query.
SUPPRESSED = is_suppressed(tasks.c.number).label("suppressed")
PAUSED = exists(select(pauses.c.ticket_type).where(pauses.c.ticket_type.in_(["", tasks.c.ticket_type]))).label("paused")


def first_look(held: Held) -> Candidate:
    """What the call's own rows say, before it waits for its turn."""
    return Candidate(
        expires_at=held.expires_at,
        stop_requested_at=held.task.stop_requested_at if held.task else None,
        zone=held.zone,
    )


def last_look(connection: Connection, held: Held, cap: Cap, now: int, country: str) -> Candidate:
    """All there is to know of a call that is about to be dialled, as it stands in this moment: its transaction is alone
    with the number's line until it ends, if a cap counts calls to it.

    ``country``: WAIHU_COUNTRY_CODE, of numbers that were given without one.
    """
    uuid = held.call.uuid
    if cap and is_postgresql(connection):  # SQLite has one writer at a time
        connection.execute(_ALONE, {"line": phone_numbers.line(held.number, country)})
    asked = {
        "line": phone_numbers.line(held.number, country),
        "spellings": phone_numbers.spellings(held.number, country),
        "caller": held.caller,
        "ticket_type": held.ticket_type,
        "uuid": uuid,
        "now": now,
    }
    row = connection.execute(_LAST_LOOK, asked).one()
    return Candidate(
        expires_at=held.expires_at,
        stop_requested_at=held.task.stop_requested_at if held.task else None,
        zone=held.zone,
        suppressed=bool(row.suppressed),
        paused=bool(row.paused),
        attempts=attempts(connection, [held.number], cap, now, country, but=uuid).get(held.number, ()),
        resting=bool(row.resting),
        unheard=bool(row.unheard),
    )


def claimed(
    connection: Connection,
    rows: Sequence[Row[*tuple[Any, ...]]],
    cap: Cap,
    now: int,
    country: str,
) -> list[Candidate]:
    """For each row of a claim, which has the columns expires_at, stop_requested_at, zone, number, SUPPRESSED and PAUSED."""
    made = attempts(connection, {row.number for row in rows}, cap, now, country)
    return [
        Candidate(
            expires_at=row.expires_at,
            stop_requested_at=row.stop_requested_at,
            zone=row.zone,
            suppressed=bool(row.suppressed),
            paused=bool(row.paused),
            attempts=made.get(row.number, ()),
        )
        for row in rows
    ]


def attempts(
    connection: Connection,
    numbers: Collection[str],
    cap: Cap,
    now: int,
    country: str,
    *,
    but: str = "",
) -> Mapping[str, tuple[int, ...]]:
    """When calls left that may have rung at these numbers, as far back as the cap looks; none without a cap.

    With and without its country code a number is one.
    """
    if not cap or not numbers:
        return {}
    since = now - longest(cap)
    known = {spelling for number in numbers for spelling in phone_numbers.spellings(number, country)}
    found = select(calls.c.number, calls.c.dialing_at).where(
        calls.c.number.in_(sorted(known)),
        calls.c.created_at > since - LATE_DIAL_MS,
        calls.c.dialing_at > since,
        calls.c.uuid != but,
        _MAY_HAVE_RUNG,
    )
    made: dict[str, list[int]] = defaultdict(list)
    for number, dialing_at in connection.execute(found):
        made[phone_numbers.line(number, country)].append(dialing_at)
    return {number: tuple(made.get(phone_numbers.line(number, country), ())) for number in numbers}
