"""Tasks that a gate puts off: due again when it opens, many in one statement, and looked at again if the settings change.

So a hundred thousand tasks that wait for the morning are written once in the evening and then left alone. What was put
off says so in ``held_by``; it was due when that was done, so undoing it means that it is due now.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select, update

from shared.schema import tasks
from shared.settings import Settings
from shared.stops import stop_tasks
from shared.suppression import is_suppressed
from workers import store
from workers.gates import WINDOW
from workers.house import House

AT_ONCE = 5_000
"""Tasks of one transaction: some fifty milliseconds on SQLite, whose only write lock others wait for."""
MOST_STOPPED = 1_000
"""Tasks for suppressed numbers that one claim settles; the next claim goes on."""
ROLLOUT_MS = 15 * 60_000
"""How long processes with other settings may live on beside one that was started with new ones."""
SETTINGS_KEY = "waihu:held:settings"
"""The settings by which tasks were put off last."""

log = logging.getLogger(__name__)


def hold_zone(house: House, zone: str | None, until: int, now: int) -> int:
    """Puts off all due tasks of this zone until its window opens; returns how many."""
    mine = tasks.c.zone.is_(None) if zone is None else tasks.c.zone == zone
    due = select(tasks.c.batch_id).where(store.WAITING, tasks.c.due_at <= now, mine).limit(AT_ONCE)

    def some(connection: Connection) -> int:
        ids = list(connection.execute(store.hold_tasks(due)).scalars())
        connection.execute(update(tasks).where(tasks.c.batch_id.in_(ids)).values(due_at=until, held_by=WINDOW))
        return len(ids)

    held = 0
    while True:
        count = house.commit(some)
        held += count
        if count < AT_ONCE:
            break
    if held:
        log.info("tasks wait for the calling window", extra={"tasks": held, "zone": zone or "", "until": until})
    return held


def hold_tasks(connection: Connection, waits: Sequence[tuple[int, str, int]]) -> None:
    """Puts off single tasks, which the caller has locked: batch id, gate, until when."""
    if waits:
        one = update(tasks).where(tasks.c.batch_id == bindparam("task"))
        connection.execute(
            one.values(due_at=bindparam("until"), held_by=bindparam("gate")),
            [{"task": task, "gate": gate, "until": until} for task, gate, until in waits],
        )


def stop_suppressed(connection: Connection, now: int) -> int:
    """Ends due tasks whose numbers are on the do-not-call list as stopped; returns how many."""
    due = select(tasks.c.batch_id).where(store.WAITING, tasks.c.due_at <= now, is_suppressed(tasks.c.number))
    ids = list(connection.execute(store.hold_tasks(due.limit(MOST_STOPPED))).scalars())
    if ids:
        stop_tasks(connection, tasks.c.batch_id.in_(ids), now)
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
    log.info("tasks that were put off by other settings are looked at again", extra={"tasks": _release(house)})
    house.redis.set(SETTINGS_KEY, mine)
    house.holds_check_at = now + ROLLOUT_MS if first else None


def fingerprint(settings: Settings) -> bytes:
    """What the time until which a task is put off depends on."""
    return json.dumps([settings.call_window, settings.holidays, settings.timezone.key, settings.frequency_cap]).encode()


def _release(house: House) -> int:
    def some(connection: Connection) -> int:
        held = select(tasks.c.batch_id).where(store.WAITING, tasks.c.held_by.is_not(None)).limit(AT_ONCE)
        ids = list(connection.execute(store.hold_tasks(held)).scalars())
        now = house.clock.now_ms()
        connection.execute(update(tasks).where(tasks.c.batch_id.in_(ids)).values(due_at=now, held_by=None))
        return len(ids)

    released = 0
    while True:
        count = house.commit(some)
        released += count
        if count < AT_ONCE:
            return released
