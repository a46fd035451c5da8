"""What is kept only so long: recordings, dialogues, phone events and what else was on the wire go once their KEEP_*
setting is over.

The sweep calls ``retain`` every few seconds; it works at most once an hour, and again at the next sweep while there is
more than one batch to do. The record of a call stays; its recording or its words go.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Column, Connection, Select, TextClause, delete, func, null, select, text, update

from shared import recordings
from shared.schema import calls, phone_events, webhook_deliveries
from workers.house import House

EVERY_MS = 3_600_000
RAN_KEY = "waihu:retention:ran"
"""In Redis: lost with it, this only makes a round come early."""
BATCH = 500
"""Rows and files of each kind in one round: well below a second."""
_RECORDED, _HEARD = text("wav_file <> ''"), text("dialogue IS NOT NULL")
"""Written out as the partial indexes have them."""
_SETTLED = text("webhook_deliveries.state <> 'waiting'")
_UNPLACED = text("calls.state = 'unplaced'")
"""Webhooks' deliveries that were made or given up, and calls that never left: of use while somebody may ask about them."""
_HOUR = "%Y/%m/%d/%H"

log = logging.getLogger(__name__)


def retain(house: House) -> None:
    """One round, if one is due."""
    if not house.redis.set(RAN_KEY, 1, nx=True, px=EVERY_MS):
        return
    settings = house.settings
    counts = {
        "recordings": _expire(house, settings.keep_recordings, ".wav", ".tmp"),
        "dialogues": _expire(house, settings.keep_dialogues, ".jsonl"),
        "events": _old_events(house, settings.keep_events),
        "deliveries": _old_rows(house, settings.keep_events, webhook_deliveries.c.id, _SETTLED),
        "unplaced": _old_rows(house, settings.keep_events, calls.c.uuid, _UNPLACED),
    }
    if any(counts.values()):
        log.info("what was kept long enough is gone", extra=counts)
    if any(count >= BATCH for count in counts.values()):
        house.redis.delete(RAN_KEY)


def _expire(house: House, keep_seconds: float, *endings: str) -> int:
    """Files first, then what the records say of them: a round that dies in between is done again.

    ``.tmp``: a whole recording that a worker was joining when it died (``workers.wav``).
    """
    if not keep_seconds:
        return 0
    cutoff = house.clock.now_ms() - round(keep_seconds * 1000)
    files = _old_files(
        house.settings.recordings_dir, datetime.fromtimestamp(cutoff / 1000, house.settings.timezone), endings
    )
    for path in files:
        path.unlink(missing_ok=True)
    _remove_empty(house.settings.recordings_dir, {path.parent for path in files})

    def work(connection: Connection) -> int:
        kept = _RECORDED if ".wav" in endings else _HEARD
        ended = func.coalesce(calls.c.ended_at, calls.c.created_at) < cutoff
        some = select(calls.c.uuid).where(kept, calls.c.created_at < cutoff, calls.c.closed_at.is_not(None), ended)
        values = {"wav_file": ""} if ".wav" in endings else {"dialogue": null(), "tags": null()}
        chosen = calls.c.uuid.in_(some.order_by(calls.c.created_at).limit(BATCH))
        return connection.execute(update(calls).where(chosen).values(values)).rowcount

    return max(len(files), house.commit(work))


def _old_files(root: Path, cutoff: datetime, endings: tuple[str, ...]) -> list[Path]:
    """At most BATCH files of hours that ended before ``cutoff``, oldest first; an hour's directory is named after it."""
    last = f"{cutoff - timedelta(hours=1):{_HOUR}}"
    found: list[Path] = []
    for hour in _hours(root / recordings.ROOT, ""):
        if hour > last or len(found) >= BATCH:
            break
        files = (root / recordings.ROOT / hour).iterdir()
        found += sorted(path for path in files if path.suffix in endings and path.is_file())
    return found[:BATCH]


def _hours(base: Path, name: str) -> Iterator[str]:
    """The directories ``yyyy/MM/dd/HH`` under ``base`` in order of time, read only as far as they are asked for."""
    if name.count("/") == _HOUR.count("/"):
        yield name
        return
    place = base / name
    for child in sorted(place.iterdir()) if place.is_dir() else ():
        if child.name.isdigit() and child.is_dir():
            yield from _hours(base, f"{name}/{child.name}" if name else child.name)


def _remove_empty(root: Path, places: set[Path]) -> None:
    """Directories that nothing is left in, up to the root."""
    for place in places:
        while place != root and place.is_relative_to(root):
            try:
                place.rmdir()
            except OSError:  # something is in it, or another process was faster
                break
            place = place.parent


def _old_events(house: House, keep_seconds: float) -> int:
    """Applied events, from the beginning of the inbox: their ids rise with their age, so nothing else is read."""
    if not keep_seconds:
        return 0
    cutoff = house.clock.now_ms() - round(keep_seconds * 1000)
    events = phone_events.c

    def work(connection: Connection) -> int:
        first = connection.execute(
            select(events.id, events.received_at, events.applied_at).order_by(events.id).limit(BATCH)
        )
        old = [row.id for row in first if row.received_at < cutoff and row.applied_at is not None]
        connection.execute(delete(phone_events).where(events.id.in_(old)))
        return len(old)

    return house.commit(work)


def _old_rows(house: House, keep_seconds: float, key: Column[str], which: TextClause) -> int:
    """The oldest rows of ``key``'s table that are ``which`` (an index by created_at serves it)."""
    if not keep_seconds:
        return 0
    cutoff = house.clock.now_ms() - round(keep_seconds * 1000)
    query = old_rows(key, which, cutoff)

    def work(connection: Connection) -> int:
        return connection.execute(delete(key.table).where(key.in_(query.scalar_subquery()))).rowcount

    return house.commit(work)


def old_rows(key: Column[str], which: TextClause, cutoff: int) -> Select[str]:
    """The keys of at most BATCH rows made before ``cutoff``, oldest first."""
    created_at = key.table.c.created_at
    return select(key).where(which, created_at < cutoff).order_by(created_at).limit(BATCH)
