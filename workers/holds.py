"""Tasks that a gate puts off: due again when it opens, many in one statement, and looked at again if the settings change.

So a hundred thousand tasks that wait for the morning are written once in the evening and then left alone. What was put
off says so in ``held_by``; it was due when that was done, so undoing it means that it is due now.

Whoever puts off and whoever makes due again may be at it at the same moment, in other processes. So neither goes on
until nothing is left for it, which the other would see to: each writes so many and leaves the rest to its next round, and
what new settings put off as well is never made due in between.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, exists, func, select, update

from shared.frequency import free_at
from shared.gate_config import DO_NOT_CALL
from shared.schema import pauses, tasks
from shared.settings import Settings
from shared.stops import stop_tasks
from shared.suppression import is_suppressed
from workers import store
from workers.candidates import attempts
from workers.gates import FREQUENCY, PAUSED, WINDOW
from workers.house import House

AT_ONCE = 5_000
"""Tasks of one transaction: some fifty milliseconds on SQLite, whose only write lock others wait for."""
PIECES = 2
"""Transactions for one zone, or one ticket type, of one claim: dispatch comes back for the rest, twenty times before
anybody else has their turn."""
LOOKED_AT = 20_000
"""Tasks that were put off which one sweep looks at again: a second if all of them must be written, on a busy PostgreSQL
some."""
PAUSE_MS = 3_600_000
"""Before tasks of a paused ticket type are looked at again; a pause that ends makes them due within a tick of dispatch."""
MOST_STOPPED = 1_000
"""Tasks for suppressed numbers that one claim settles; the next claim goes on."""
ROLLOUT_MS = 15 * 60_000
"""How long processes with other settings may live on beside one that was started with new ones."""
SETTINGS_KEY = "waihu:held:settings"
"""The settings by which tasks were put off last."""

log = logging.getLogger(__name__)


def hold_zone(house: House, zone: str | None, until: int, now: int) -> int:
    """Puts off due tasks of this zone until its window opens, at most PIECES times AT_ONCE; returns how many."""
    held = _hold(house, tasks.c.zone.is_(None) if zone is None else tasks.c.zone == zone, WINDOW, until, now)
    log.info("tasks wait for the calling window", extra={"tasks": held, "zone": zone or "", "until": until})
    return held


def hold_type(house: House, ticket_type: str, now: int) -> int:
    """Puts off due tasks of a ticket type that is paused, at most PIECES times AT_ONCE; returns how many."""
    held = _hold(house, tasks.c.ticket_type == ticket_type, PAUSED, now + PAUSE_MS, now)
    log.info("tasks wait for their pause to end", extra={"tasks": held, "ticket_type": ticket_type})
    return held


def release_resumed(house: House) -> frozenset[str]:
    """Makes due what was put off by a pause that has ended; returns the ticket types that are paused, "" for all.

    At most PIECES times AT_ONCE of a type: the next dispatch goes on.
    """
    with house.read() as connection:
        paused = frozenset(connection.execute(select(pauses.c.ticket_type)).scalars())
        held = set() if "" in paused else _held_types(connection)
    for ticket_type in held - paused:
        released = _release_type(house, ticket_type)
        log.info("a pause has ended", extra={"tasks": released, "ticket_type": ticket_type})
    return paused


def _held_types(connection: Connection) -> set[str]:
    """Ticket types of which tasks are put off by a pause: one step along the index for each, however many tasks it has."""
    found: set[str] = set()
    last = ""
    while True:
        first = select(func.min(tasks.c.ticket_type)).where(
            store.WAITING, tasks.c.held_by == PAUSED, tasks.c.ticket_type > last
        )
        ticket_type = connection.execute(first).scalar()
        if ticket_type is None:
            return found
        found.add(ticket_type)
        last = ticket_type


def _hold(house: House, chosen: ColumnElement[bool], gate: str, until: int, now: int) -> int:
    due = select(tasks.c.batch_id).where(store.WAITING, tasks.c.due_at <= now, chosen).limit(AT_ONCE)
    return _write_all(house, due, {"due_at": until, "held_by": gate})


def _release_type(house: House, ticket_type: str) -> int:
    """Asks in each transaction whether it is paused again, so that who puts its tasks off then is not worked against."""
    paused = exists(select(pauses.c.ticket_type).where(pauses.c.ticket_type.in_(["", ticket_type])))
    held = select(tasks.c.batch_id).where(
        store.WAITING, tasks.c.held_by == PAUSED, tasks.c.ticket_type == ticket_type, ~paused
    )
    return _write_all(house, held.limit(AT_ONCE), {"due_at": house.clock.now_ms(), "held_by": None})


def _write_all(house: House, some: Select[int], values: dict[str, Any]) -> int:
    """Writes ``values`` to tasks that ``some`` finds, AT_ONCE in a transaction; after that it must find them no more.

    In PIECES at most: what it finds may be made by somebody else as fast as it is written.
    """

    def write(connection: Connection) -> int:
        ids = list(connection.execute(store.hold_tasks(some)).scalars())
        connection.execute(update(tasks).where(tasks.c.batch_id.in_(ids)).values(values))
        return len(ids)

    written = 0
    for _ in range(PIECES):
        count = house.commit(write)
        written += count
        if count < AT_ONCE:
            break
    return written


def hold_tasks(connection: Connection, waits: Sequence[tuple[int, str, int]]) -> None:
    """Puts off single tasks, which the caller has locked: batch id, gate, until when."""
    if waits:
        one = update(tasks).where(tasks.c.batch_id == bindparam("task"))
        connection.execute(
            one.values(due_at=bindparam("until"), held_by=bindparam("gate")),
            [{"task": task, "gate": gate, "until": until} for task, gate, until in waits],
        )


def note_what_stopped(connection: Connection, batch_id: int, gate: str) -> None:
    """Keeps with a task, which the caller has locked, that no person stopped it."""
    if gate == DO_NOT_CALL:
        connection.execute(update(tasks).where(tasks.c.batch_id == batch_id).values(held_by=gate))


def stop_suppressed(connection: Connection, now: int) -> int:
    """Ends due tasks whose numbers are on the do-not-call list as stopped; returns how many."""
    due = select(tasks.c.batch_id).where(store.WAITING, tasks.c.due_at <= now, is_suppressed(tasks.c.line))
    ids = list(connection.execute(store.hold_tasks(due.limit(MOST_STOPPED))).scalars())
    if ids:
        stop_tasks(connection, tasks.c.batch_id.in_(ids), now, DO_NOT_CALL)
        log.info("tasks for numbers on the do-not-call list are stopped", extra={"tasks": len(ids)})
    return len(ids)


def release_if_settings_changed(house: House) -> None:
    """From a process's first sweep on: what was put off by other settings than its own is asked anew, LOOKED_AT a sweep.

    Without this a window that was widened would open tomorrow, and a cap that was lifted would last for days. Once
    more a while later: processes with the old settings may have lived on, and put off tasks by them.

    Each task is looked at once, in the order of ids, and gets the time that the settings of now give it: only what they
    let through is due. So where nothing has changed nothing is written, and a Redis that has forgotten the settings
    costs one look. Pauses are no settings: ``release_resumed`` ends them.
    """
    now = house.clock.now_ms()
    if house.holds_check_at is None or now < house.holds_check_at:
        return
    first = house.holds_check_at == 0
    mine = fingerprint(house.settings)
    if first and not house.holds_looked_at and house.redis.get(SETTINGS_KEY) == mine:
        house.holds_check_at = None
        return
    last, changed = _look_again(house, house.holds_looked_at, now)
    log.info("tasks that were put off by other settings are looked at again", extra={"tasks": changed})
    house.holds_looked_at = last or 0
    if last is None:
        house.redis.set(SETTINGS_KEY, mine)
        house.holds_check_at = now + ROLLOUT_MS if first else None


def _look_again(house: House, after: int, now: int) -> tuple[int | None, int]:
    """Of LOOKED_AT tasks with ids above ``after``, the last one's id, None if there are no more, and how many had to be
    written."""
    put_off = tasks.c.held_by.in_([WINDOW, FREQUENCY])
    query = select(tasks.c.batch_id, tasks.c.zone, tasks.c.line, tasks.c.due_at, tasks.c.held_by)
    query = query.where(store.WAITING, put_off, tasks.c.batch_id > after).order_by(tasks.c.batch_id).limit(LOOKED_AT)
    with house.read() as connection:
        rows = connection.execute(query).all()
    zones = {row.zone for row in rows if row.held_by == WINDOW}
    openings = {zone: house.gates.window.reopens(zone, now) for zone in zones}
    changed = sum(
        _put_right(house, rows[start : start + AT_ONCE], openings, now) for start in range(0, len(rows), AT_ONCE)
    )
    return (rows[-1].batch_id if len(rows) == LOOKED_AT else None), changed


def _put_right(
    house: House, rows: Sequence[Row[*tuple[Any, ...]]], openings: Mapping[str | None, int | None], now: int
) -> int:
    """Gives these tasks the times that the gates of now say, all in one transaction; returns how many had another."""
    cap = house.gate_config.cap
    capped = {row.line for row in rows if row.held_by == FREQUENCY}
    with house.read() as connection:
        made = attempts(connection, capped, cap, now)
    wrong: dict[tuple[str, int | None], list[int]] = defaultdict(list)
    for row in rows:
        until = openings[row.zone] if row.held_by == WINDOW else free_at(cap, made.get(row.line, ()), now)
        if until != row.due_at:
            wrong[row.held_by, until].append(row.batch_id)

    def write(connection: Connection) -> int:
        return sum(_move(connection, ids, gate, until, now) for (gate, until), ids in wrong.items())

    return house.commit(write) if wrong else 0


def _move(connection: Connection, ids: Sequence[int], gate: str, until: int | None, now: int) -> int:
    """Those of these tasks that the gate still holds: until then, or no longer."""
    held = select(tasks.c.batch_id).where(store.WAITING, tasks.c.held_by == gate, tasks.c.batch_id.in_(ids))
    found = list(connection.execute(store.hold_tasks(held)).scalars())
    values = {"due_at": now, "held_by": None} if until is None else {"due_at": until}
    connection.execute(update(tasks).where(tasks.c.batch_id.in_(found)).values(values))
    return len(found)


def fingerprint(settings: Settings) -> bytes:
    """What the time until which a task is put off depends on."""
    return json.dumps([settings.call_window, settings.holidays, settings.timezone.key, settings.frequency_cap]).encode()
