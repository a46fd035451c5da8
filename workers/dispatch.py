"""Dispatch: takes room for as many calls as are due, claims their tasks, writes a call row each, rings for each dial."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Row,
    String,
    and_,
    bindparam,
    exists,
    func,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from shared import lines
from shared.breaker import Standing
from shared.database import is_postgresql
from shared.doorbell import DIAL, DISPATCH
from shared.gate_config import DO_NOT_CALL
from shared.lifecycle import QUEUED_WAIT_MS, UNPLACED_WAIT_MS, CallState, Task, TaskState, expired, stopped
from shared.schema import calls, tasks
from workers import callers, store
from workers.candidates import PAUSED, SUPPRESSED, claimed
from workers.gates import Closed, Remedy
from workers.holds import hold_tasks, hold_type, hold_zone, release_resumed, stop_suppressed
from workers.house import House
from workers.leases import rebuild_room
from workers.room import Lease, RoomShut

CLAIM = 100
"""Tasks of one claim: 74,000 rows a second at 100, 16,000 at 10 (facts, claims with SKIP LOCKED); locks stay short."""
ROUNDS = 20
"""Claims of one dispatch, so that it ends; it rings for another if there may be more."""
BELLS = 2
"""Messages of one claim: a message costs as much as half a dial. One would do, but may meet a process that is busy."""

ALL = ""
"""The ticket type under which all are paused."""

log = logging.getLogger(__name__)


class Claim(NamedTuple):
    """What one claim did: the calls it made, and how many tasks it took off the queue without a call."""

    leases: list[Lease]
    settled: int


def dispatch(house: House) -> None:
    """Starts calls while there is room and work."""
    if house.gates.closed():
        return
    standing = house.breaker.standing()
    if standing in (Standing.OPEN, Standing.TRYING):
        return
    with house.read() as connection:
        if lines.moving(connection):
            return
    paused = release_resumed(house)
    if ALL in paused:
        return
    places = house.room.media_places()
    if standing is Standing.HALF_OPEN:
        _round(house, paused, places, 1)
        return
    for _ in range(ROUNDS):
        if not _round(house, paused, places, CLAIM):
            return
    house.bell.ring(DISPATCH)


def _round(house: House, paused: frozenset[str], places: int, most: int) -> bool:
    """One claim of at most ``most`` tasks, for a house whose media have so many ``places``; whether another may find more."""
    now = house.clock.now_ms()
    with house.read() as connection:
        due = due_tasks(connection, now, most)
        limits = callers.openings(connection, house.settings.callers, house.settings.timezone, now) if due else {}
    if not due:
        return False
    shut = {zone: until for zone in {row.zone for row in due} if (until := house.gates.window.reopens(zone, now))}
    idle = {row.ticket_type for row in due} & paused
    if shut or idle:
        held = sum(hold_zone(house, zone, until, now) for zone, until in shut.items())
        return held + sum(hold_type(house, ticket_type, now) for ticket_type in idle) > 0
    leases = _take(house, [row.caller for row in due], limits, places)
    if not leases:
        return False
    claim = Claim([], 0)
    try:
        claim = house.commit(lambda connection: claim_tasks(connection, house, leases))
    finally:
        made = set(claim.leases)
        house.room.release(lease for lease in leases if lease not in made)
    ring_dials(house, [lease.uuid for lease in claim.leases])
    return bool(claim.leases or claim.settled) and len(due) == CLAIM


def ring_dials(house: House, uuids: Sequence[str]) -> None:
    """Hands these calls to whoever has a thread for them. A few are rung for, who ring for more while calls wait."""
    house.waiting.put(uuids, house.clock.now_ms())
    for _ in range(min(BELLS, len(uuids))):
        house.bell.ring(DIAL)


def _take(house: House, known: Sequence[str | None], limits: Mapping[str, int], places: int) -> list[Lease]:
    """Leases for calls that are due, each from the number that its customer knows where that has room."""
    now = house.clock.now_ms()
    uuids = [house.ids.draw(now) for _ in known]
    wanted = Counter(caller for caller in known if caller)
    try:
        return house.room.take(uuids, wanted, places, most=limits)
    except RoomShut:
        if not rebuild_room(house):
            return []
        return house.room.take(uuids, wanted, places, most=limits)


_now, _most = bindparam("now", type_=BigInteger), bindparam("most", type_=Integer)
_BUSY = exists(
    select(literal_column("1")).select_from(calls).where(calls.c.line == tasks.c.line, store.LIVE_OUTBOUND).offset(0)
)
"""Asked for each task by the index, of nothing that stands in the row, with an OFFSET that keeps PostgreSQL from making a join of it: while it has no
statistics yet, after the first great batch, it would compare every due task with every live call."""
_IS_DUE = and_(tasks.c.due_at <= _now, ~_BUSY)
"""Of what waits: nothing else has a due_at. In this form PostgreSQL walks ix_tasks_due in its order and stops at the
last task that is wanted, instead of sorting all that are due."""
_ORDER = (tasks.c.priority.desc(), tasks.c.due_at, tasks.c.batch_id)
# Statements are made once: to make one anew costs five times what it costs to send it.
_DUE = select(tasks.c.caller, tasks.c.zone, tasks.c.ticket_type).where(_IS_DUE).order_by(*_ORDER).limit(_most)
_CLAIM = store.hold_tasks(
    select(
        *store.task_columns(),
        *(tasks.c[name] for name in ("number", "line", "phone", "exten", "caller", "expires_at", "zone")),
        SUPPRESSED,
        PAUSED,
    )
    .where(_IS_DUE)
    .order_by(*_ORDER)
    .limit(_most)
)


def due_tasks(connection: Connection, now: int, most: int) -> Sequence[Row[*tuple[Any, ...]]]:
    """The first ``most`` tasks whose time has come and whose line has no live call: the number each was called from
    last, if it was, its own time zone, its type."""
    return connection.execute(_DUE, {"now": now, "most": most}).all()


def claim_tasks(connection: Connection, house: House, leases: Sequence[Lease]) -> Claim:
    """Claims due tasks, at most one a lease and one a line, and writes their calls, all in this transaction."""
    now = house.clock.now_ms()
    usable = callers.within_daily(connection, house.settings.callers, leases, house.settings.timezone, now)
    rows = connection.execute(_CLAIM, {"now": now, "most": len(usable)}).all()
    chosen: dict[str, Row[*tuple[Any, ...]]] = {}
    refused: list[tuple[Task, Closed]] = []
    candidates = claimed(connection, rows, house.gate_config.cap, now)
    for row, candidate in zip(rows, candidates, strict=True):
        closed = house.gates.refuses(candidate, now)
        if closed is not None:
            refused.append((store.task_of(row), closed))
        else:
            chosen.setdefault(row.line, row)
    settle_refused(connection, refused, now)
    return Claim(_write_calls(connection, _assign(list(chosen.values()), usable), now), len(refused))


def settle_refused(connection: Connection, refused: Sequence[tuple[Task, Closed]], now: int) -> None:
    """What closed gates make of waiting tasks: those for numbers on the do-not-call list all at once."""
    if any(closed.gate == DO_NOT_CALL for _, closed in refused):
        stop_suppressed(connection, now)
    waits = []
    for task, closed in refused:
        match closed.remedy:
            case Remedy.EXPIRE:
                store.save_task(connection, task, expired(task, now), now)
            case Remedy.STOP if closed.gate != DO_NOT_CALL:
                store.save_task(connection, task, stopped(task, now), now)
            case Remedy.WAIT:
                waits.append((task.batch_id, closed.gate, closed.until or now + UNPLACED_WAIT_MS))
    hold_tasks(connection, waits)


def _assign(
    rows: Sequence[Row[*tuple[Any, ...]]], leases: Sequence[Lease]
) -> list[tuple[Lease, Row[*tuple[Any, ...]]]]:
    """A lease for each task: first those whose customer knows a number, then the others in their order."""
    free: dict[str, list[Lease]] = defaultdict(list)
    for lease in reversed(leases):
        free[lease.caller].append(lease)
    sticky = {row.batch_id: free[row.caller].pop() for row in rows if free.get(row.caller or "")}
    left = {lease for some in free.values() for lease in some}
    rest = iter([lease for lease in leases if lease in left])
    return [(sticky.get(row.batch_id) or next(rest), row) for row in rows]


def _write_calls(
    connection: Connection, assigned: Sequence[tuple[Lease, Row[*tuple[Any, ...]]]], now: int
) -> list[Lease]:
    """Writes their calls, and makes the tasks follow: queued, no longer due, bound to the number they are called from.

    Returns the leases of those that could be written: a line or a task that got a live call meanwhile is passed over.
    In the order of lines, so that two dispatchers that meet on several lines wait for each other in one direction.
    """
    if not assigned:
        return []
    write = _write_at_once if is_postgresql(connection) else _write_in_turn
    written = write(connection, sorted(assigned, key=lambda pair: str(pair[1].line)), now)
    return [lease for lease, _ in assigned if lease.uuid in written]


_deadline = bindparam("deadline", type_=BigInteger)
_given = (
    func.unnest(
        bindparam("uuids", type_=postgresql.ARRAY(String)),
        bindparam("batch_ids", type_=postgresql.ARRAY(BigInteger)),
        bindparam("callers", type_=postgresql.ARRAY(String)),
    )
    .table_valued("uuid", "batch_id", "caller", with_ordinality="place")
    .render_derived(name="given")
)
_OF_TASK = {"batch_id": "batch_id", "number": "number", "line": "line", "telephone": "phone", "exten": "exten"}
"""Columns of a call that are its task's, by the name they have there."""
_made = (
    postgresql.insert(calls)
    .from_select(
        ["uuid", "caller", "call_type", "state", "created_at", "deadline_at", *_OF_TASK],
        select(
            _given.c.uuid,
            _given.c.caller,
            literal("02"),
            literal(str(CallState.QUEUED)),
            _now,
            _deadline,
            *(tasks.c[name] for name in _OF_TASK.values()),
        )
        .join_from(_given, tasks, tasks.c.batch_id == _given.c.batch_id)
        .where(store.WAITING)
        .order_by(_given.c.place),
    )
    .on_conflict_do_nothing()
    .returning(calls.c.uuid, calls.c.batch_id, calls.c.caller)
    .cte("made")
)
_WRITE = (
    update(tasks)
    .where(tasks.c.batch_id == _made.c.batch_id)
    .values(state=str(TaskState.QUEUED), state_at=_now, due_at=None, held_by=None, caller=_made.c.caller)
    .returning(_made.c.uuid)
)


def _write_at_once(
    connection: Connection, assigned: Sequence[tuple[Lease, Row[*tuple[Any, ...]]]], now: int
) -> set[str]:
    """In one statement that is given nothing but ids: the tasks' rows are there already."""
    given = {
        "uuids": [lease.uuid for lease, _ in assigned],
        "batch_ids": [row.batch_id for _, row in assigned],
        "callers": [lease.caller for lease, _ in assigned],
    }
    times = {"now": now, "deadline": now + QUEUED_WAIT_MS}
    return set(connection.execute(_WRITE, given | times).scalars())


def _write_in_turn(
    connection: Connection, assigned: Sequence[tuple[Lease, Row[*tuple[Any, ...]]]], now: int
) -> set[str]:
    """As _write_at_once, for SQLite, which knows no INSERT within an UPDATE."""
    own = {"call_type": "02", "state": CallState.QUEUED, "created_at": now, "deadline_at": now + QUEUED_WAIT_MS}
    values = [
        {
            "uuid": lease.uuid,
            "caller": lease.caller,
            **own,
            **{name: getattr(row, theirs) for name, theirs in _OF_TASK.items()},
        }
        for lease, row in assigned
    ]
    statement = sqlite.insert(calls).on_conflict_do_nothing().returning(calls.c.uuid)
    written = set(connection.execute(statement, values).scalars())
    queued = update(tasks).values(state=TaskState.QUEUED, state_at=now, due_at=None, held_by=None)
    followers = [
        {"task": row.batch_id, "from_number": lease.caller} for lease, row in assigned if lease.uuid in written
    ]
    if followers:
        connection.execute(
            queued.where(tasks.c.batch_id == bindparam("task")).values(caller=bindparam("from_number")), followers
        )
    return written
