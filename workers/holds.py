"""Tasks that a gate puts off: due again when it opens, many in one statement, and looked at again if the settings change.

So a hundred thousand tasks that wait for the morning are written once in the evening and then left alone. What was put
off says so in ``held_by``; it was due when that was done, so undoing it means that it is due now.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select, true, update

from shared.gate_config import DO_NOT_CALL
from shared.schema import pauses, tasks
from shared.settings import Settings
from shared.stops import stop_tasks
from shared.suppression import is_suppressed
from workers import store
from workers.gates import PAUSED, WINDOW
from workers.house import House

AT_ONCE = 5_000
"""Tasks of one transaction: some fifty milliseconds on SQLite, whose only write lock others wait for."""
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
    """Puts off all due tasks of this zone until its window opens; returns how many."""
    held = _hold(house, tasks.c.zone.is_(None) if zone is None else tasks.c.zone == zone, WINDOW, until, now)
    log.info("tasks wait for the calling window", extra={"tasks": held, "zone": zone or "", "until": until})
    return held


def hold_type(house: House, ticket_type: str, now: int) -> int:
    """Puts off all due tasks of a ticket type that is paused; returns how many."""
    held = _hold(house, tasks.c.ticket_type == ticket_type, PAUSED, now + PAUSE_MS, now)
    log.info("tasks wait for their pause to end", extra={"tasks": held, "ticket_type": ticket_type})
    return held


def release_resumed(house: House) -> frozenset[str]:
    """Makes due what was put off by a pause that has ended; returns the ticket types that are paused, "" for all."""
    with house.read() as connection:
        paused = frozenset(connection.execute(select(pauses.c.ticket_type)).scalars())
        held = set() if "" in paused else _held_types(connection)
    for ticket_type in held - paused:
        released = _release(house, (tasks.c.held_by == PAUSED) & (tasks.c.ticket_type == ticket_type))
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


def _release(house: House, chosen: ColumnElement[bool]) -> int:
    held = select(tasks.c.batch_id).where(store.WAITING, tasks.c.held_by.is_not(None), chosen).limit(AT_ONCE)
    return _write_all(house, held, {"due_at": house.clock.now_ms(), "held_by": None})


def _write_all(house: House, some: Select[int], values: dict[str, Any]) -> int:
    """Writes ``values`` to all tasks that ``some`` finds, AT_ONCE in a transaction; after that it must find them no more."""

    def write(connection: Connection) -> int:
        ids = list(connection.execute(store.hold_tasks(some)).scalars())
        connection.execute(update(tasks).where(tasks.c.batch_id.in_(ids)).values(values))
        return len(ids)

    written = 0
    while True:
        count = house.commit(write)
        written += count
        if count < AT_ONCE:
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
    """At a process's first sweep: what was put off by other settings than its own is due now, and asked anew.

    Without this a window that was widened would open tomorrow, and a cap that was lifted would last for days. Once
    more a while later: processes with the old settings may have lived on, and put off tasks by them.
    """
    now = house.clock.now_ms()
    if house.holds_check_at is None or now < house.holds_check_at:
        return
    first = house.holds_check_at == 0
    mine = fingerprint(house.settings)
    if first and house.redis.get(SETTINGS_KEY) == mine:
        house.holds_check_at = None
        return
    log.info("tasks that were put off by other settings are looked at again", extra={"tasks": _release(house, true())})
    house.redis.set(SETTINGS_KEY, mine)
    house.holds_check_at = now + ROLLOUT_MS if first else None


def fingerprint(settings: Settings) -> bytes:
    """What the time until which a task is put off depends on."""
    return json.dumps([settings.call_window, settings.holidays, settings.timezone.key, settings.frequency_cap]).encode()
