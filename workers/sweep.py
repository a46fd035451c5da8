"""Sweep: every state that is not final has a deadline, and something happens when it passes (design, section 2).

Each step is bounded, finds its work by SQL and leaves every decision to a locked row and the lifecycle, so that two
sweeps at once, or one that was killed in between, do no harm.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import redis
from sqlalchemy import Connection, Row, and_, delete, exists, func, select

from shared import bus, tallies
from shared.database import lacks_schema
from shared.doorbell import FINISH_CALL
from shared.lifecycle import (
    CLOSE_AFTER_MS,
    LIVE_CALLS,
    CallState,
    MediaGone,
    Outcome,
    StopAsked,
    settle,
)
from shared.outbox import count_receivers
from shared.schema import calls, idempotency_keys, tasks
from shared.stops import stop_tasks
from workers import store
from workers.callers import rest_slumped_callers
from workers.deadlines import deadlines
from workers.dispatch import due_tasks, ring_dials
from workers.effects import ring_dispatch
from workers.expiry import expire_tasks
from workers.hearing import held_by_media
from workers.holds import release_if_settings_changed
from workers.house import DATABASE_AWAY, House
from workers.inbox import QUIET_MS, lost_events
from workers.leases import renew_room
from workers.relining import compute_lines
from workers.retention import retain
from workers.room import RoomShut
from workers.rounds import each
from workers.timekeeping import tell_time
from workers.transitions import tell
from workers.webhooks.delivery import due_webhooks

MOST = 200
"""Rows that one step takes on in one run, so that a sweep ends before the next; the others wait five seconds."""
EXPIRED_ROWS = 1_000
"""Rows that one transaction writes of tasks that expire, and in the outbox for each of their receivers: some ten
milliseconds on SQLite, whose only write lock others wait for."""
EXPIRY_ROUNDS = 20
"""Such transactions in one sweep: two seconds on a busy PostgreSQL."""
RECONNECT_MS = 15_000
"""How long an answered call may have no media session: the owner's key lasts 10 s beyond its last renewal, and a
socket that was cut is back within seconds."""
FINISH_WINDOW_MS = 600_000
"""How long after a call ended its record is looked after; media has written its last line long before."""
SECOND_LOOK_MS = 120_000
"""How long after a call ended a record without a recording is looked at: media has written all of it, or never will."""
FINISH_AGAIN_MS = 60_000
"""Between two rings for one record."""
KEY_AGE_MS = 24 * 3_600_000
"""An Idempotency-Key is answered for so long (reading.md, "Sent twice")."""
COUNTED_KEY = "waihu:tallies:counted"
COUNTED_EVERY_MS = 24 * 3_600_000
"""Between two full counts, which take a second for a million tasks."""
GONE_KEY = "waihu:sweep:gone"
"""Sorted set: answered calls that no media session holds, by when that was first seen."""

log = logging.getLogger(__name__)


def sweep(house: House) -> None:
    """One round of everything. Raises one of DATABASE_AWAY if it must; another failed step does not stop the others."""
    steps: Sequence[Callable[[House], None]] = (
        tell_time,
        renew_room,
        lost_events,
        deadlines,
        compute_lines,
        lost_stops,
        media_gone,
        lost_dials,
        mismatches,
        lost_records,
        unstopped_tasks,
        expired_tasks,
        old_keys,
        tally,
        retain,
        rest_slumped_callers,
        release_if_settings_changed,
        due_work,
        due_webhooks,
    )
    failure: Exception | None = None
    for step in steps:
        try:
            step(house)
        except DATABASE_AWAY:
            raise
        except redis.RedisError as error:
            log.warning("Redis is away", extra={"step": step.__name__, "error": type(error).__name__})
        except Exception as error:
            if lacks_schema(error):
                raise  # the other steps would fare no better
            log.exception("a step of the sweep failed", extra={"step": step.__name__})
            failure = failure or error
    if failure is not None:
        raise failure


def lost_stops(house: House) -> None:
    """Live calls whose task is to be stopped, which nobody told them."""
    with house.read() as connection:
        uuids = connection.execute(
            select(calls.c.uuid)
            .join_from(calls, tasks, calls.c.batch_id == tasks.c.batch_id)
            .where(store.LIVE, calls.c.stop_asked.is_(False), tasks.c.stop_requested_at.is_not(None))
            .limit(MOST)
        ).scalars()
        found = list(uuids)
    each(found, lambda uuid: tell(house, uuid, StopAsked(house.clock.now_ms())))


def media_gone(house: House) -> None:
    """Answered calls that no media session has held for longer than a reconnect takes. Only an old Redis is believed."""
    try:
        if house.room.occupancy().age_ms < RECONNECT_MS:
            return
    except RoomShut:
        return
    with house.read() as connection:
        answered = list(
            connection.execute(
                select(calls.c.uuid).where(store.LIVE, calls.c.state == CallState.ANSWERED).order_by(calls.c.created_at)
            ).scalars()
        )
    each(_gone(house, answered), partial(_let_go, house))


def _let_go(house: House, uuid: str) -> None:
    with house.read() as connection:
        held = store.read(connection, uuid=uuid)
    if held is not None and not held_by_media(house, held.call):
        house.bell.ring(FINISH_CALL, uuid)  # it may have ended well, and only its word was lost
        tell(house, uuid, MediaGone(house.clock.now_ms()))


def _gone(house: House, answered: Sequence[str]) -> list[str]:
    """Those of the answered calls that have had no owner since RECONNECT_MS, and notes since when for the others."""
    now = house.clock.now_ms()
    owners = house.redis.mget([bus.owner_key(uuid) for uuid in answered]) if answered else []
    missing = {uuid: now for uuid, owner in zip(answered, owners, strict=True) if owner is None}
    pipeline = house.redis.pipeline(transaction=False)
    noted = [raw.decode() for raw in cast("list[bytes]", house.redis.zrange(GONE_KEY, 0, -1))]
    found = [uuid for uuid in noted if uuid not in missing]
    if found:
        pipeline.zrem(GONE_KEY, *found)
    if missing:
        pipeline.zadd(GONE_KEY, missing, nx=True)
    pipeline.zrangebyscore(GONE_KEY, "-inf", now - RECONNECT_MS)
    return [raw.decode() for raw in pipeline.execute()[-1]][:MOST]


def lost_dials(house: House) -> None:
    """Queued calls that nobody dials."""
    with house.read() as connection:
        uuids = connection.execute(
            select(calls.c.uuid)
            .where(
                store.LIVE_OUTBOUND,
                calls.c.state == CallState.QUEUED,
                calls.c.created_at <= house.clock.now_ms() - QUIET_MS,
            )
            .order_by(calls.c.created_at)
            .limit(MOST)
        ).scalars()
        found = list(uuids)
    ring_dials(house, found)


def mismatches(house: House) -> None:
    """Tasks that ought to have a live call and have none: settled by what their last call came to."""
    lives = exists().where(calls.c.batch_id == tasks.c.batch_id, store.LIVE)
    with house.read() as connection:
        batch_ids = connection.execute(
            select(tasks.c.batch_id)
            .where(store.ACTIVE, ~lives, tasks.c.state_at <= house.clock.now_ms() - QUIET_MS)
            .limit(MOST)
        ).scalars()
        found = list(batch_ids)
    each(found, partial(_settle_again, house), name="batch_id")


def _settle_again(house: House, batch_id: int) -> None:
    log.warning("a task lost its call; it is settled again", extra={"batch_id": batch_id})

    def work(connection: Connection) -> None:
        last = connection.execute(
            select(calls.c.uuid, calls.c.state, calls.c.answered_at, calls.c.number)
            .where(calls.c.batch_id == batch_id)
            .order_by(calls.c.created_at.desc(), calls.c.uuid.desc())
            .limit(1)
            .with_for_update()
        ).one_or_none()
        row = connection.execute(
            select(*store.task_columns(), tasks.c.ticket_type)
            .where(tasks.c.batch_id == batch_id, store.ACTIVE)
            .with_for_update()
        ).one_or_none()
        if row is None or (last is not None and last.state in LIVE_CALLS):
            return
        now = house.clock.now_ms()
        task = store.task_of(row)
        store.save_task(connection, task, settle(task, _outcome(last), now, house.policies.of(row.ticket_type)), now)

    house.commit(work)


def _outcome(last: Row[*tuple[Any, ...]] | None) -> Outcome:
    if last is None or last.state == CallState.UNPLACED:
        return Outcome.UNPLACED
    if last.state == CallState.ENDED:
        return Outcome.NO_ANSWER if last.answered_at is None else Outcome.ANSWERED
    return Outcome.REFUSED if last.state == CallState.REFUSED else Outcome.LOST


def lost_records(house: House) -> None:
    """Answered calls that ended lately and whose record was not finished, or without a word from media.

    A record without a recording is looked at once more: a short call's end is written before its sound, and the word that
    media was done with both may have been lost.
    """
    now = house.clock.now_ms()
    longest = house.policies.default.ring_timeout_ms + house.policies.default.max_call_ms + FINISH_WINDOW_MS
    silent = and_(calls.c.wav_file == "", calls.c.ended_at >= now - SECOND_LOOK_MS)
    unfinished = calls.c.dialogue.is_(None) | calls.c.media_ended_at.is_(None) | silent
    with house.read() as connection:
        uuids = connection.execute(
            select(calls.c.uuid)
            .where(
                store.LISTED,
                calls.c.call_type == "02",
                calls.c.created_at >= now - longest,
                calls.c.answered_at.is_not(None),
                and_(calls.c.ended_at <= now - CLOSE_AFTER_MS, calls.c.ended_at >= now - FINISH_WINDOW_MS),
                unfinished,
            )
            # Those without any words first; of the others by lot: 200 whose media died would hide all behind them.
            .order_by(calls.c.dialogue.is_not(None), func.random())
            .limit(MOST)
        ).scalars()
        found = list(uuids)
    for uuid in found:
        if house.redis.set(f"waihu:rung:finish:{uuid}", 1, nx=True, px=FINISH_AGAIN_MS):
            house.bell.ring(FINISH_CALL, uuid)


def unstopped_tasks(house: House) -> None:
    """Waiting tasks that somebody asked to stop while they had a call. What others have in hand is passed over."""
    unstopped = select(tasks.c.batch_id).where(store.WAITING, tasks.c.stop_requested_at.is_not(None)).limit(MOST)
    with house.read() as connection:
        if not connection.execute(unstopped).first():
            return

    def work(connection: Connection) -> None:
        held = list(connection.execute(store.hold_tasks(unstopped)).scalars())
        stop_tasks(connection, tasks.c.batch_id.in_(held), house.clock.now_ms())

    house.commit(work)


def expired_tasks(house: House) -> None:
    """Waiting tasks whose time is over."""
    now = house.clock.now_ms()
    with house.read() as connection:
        most = max(1, EXPIRED_ROWS // (1 + count_receivers(connection)))
    for _ in range(EXPIRY_ROUNDS):
        if house.commit(lambda connection: expire_tasks(connection, now, most)) < most:
            break


def old_keys(house: House) -> None:
    """Idempotency keys that nobody may count on any more."""
    old = idempotency_keys.c.created_at < house.clock.now_ms() - KEY_AGE_MS
    some = select(idempotency_keys.c.key).where(old).limit(MOST)
    house.commit(
        lambda connection: connection.execute(delete(idempotency_keys).where(idempotency_keys.c.key.in_(some)))
    )


def tally(house: House) -> None:
    """Adds up the tallies, and counts everything anew now and then: they are right unless a trigger was switched off."""
    house.commit(tallies.add_up)
    if not house.redis.set(COUNTED_KEY, 1, nx=True, px=COUNTED_EVERY_MS):
        return
    wrong = house.commit(tallies.repair)
    if wrong:
        log.error("tallies were wrong and are mended: were the triggers switched off?", extra={"tallies": wrong})


def due_work(house: House) -> None:
    """Rings for a dispatch if there is something to dispatch."""
    with house.read() as connection:
        due = due_tasks(connection, house.clock.now_ms(), 1)
    if due:
        ring_dispatch(house)
