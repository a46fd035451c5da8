"""What the phone system, media and stopTasks tell of calls that live."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, select, update
from sqlalchemy.exc import IntegrityError

from shared import bus
from shared.ids import is_call_uuid
from shared.lifecycle import Answered, Call, CallState, CdrReceived, Fact, Started, StopAsked
from shared.phone.exchange import MAX_CALL_ID
from shared.phone.wire import Cdr, Event, WireError, event_from
from shared.schema import calls, phone_events, tasks
from workers import store
from workers.effects import brief as write_briefing
from workers.effects import carry_out
from workers.hearing import events_of, hear_media
from workers.house import DATABASE_AWAY, House
from workers.store import Change
from workers.timekeeping import tell_time
from workers.transitions import find, nameless, tell

LONGEST_CALL_MS = 24 * 3_600_000
LONGEST_RECORD_FILE = 300
"""Characters of the vendor's file name that our schema keeps."""

log = logging.getLogger(__name__)


@dataclass
class Heard:
    """What was heard of a call before a cdr may say that nobody answered: which events, and whether media's files."""

    tried: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    media: bool = False


class Unheard(Exception):
    """A cdr without the time of an answer would end this call, of which there is more to hear; nothing of this
    transaction may stay."""

    def __init__(self, call: Call, waiting: set[int]) -> None:
        super().__init__(call.uuid)
        self.call = call
        self.waiting = waiting


def apply_events(house: House, ids: Sequence[int]) -> None:
    """Applies these events of the inbox, each in a transaction of its own with the mark that it was applied.

    An event that matches no call, or fails, stays unapplied: the sweep comes back to it.
    """
    for event_id in ids:
        try_event(house, event_id)


def try_event(house: House, event_id: int) -> bool:
    """Applies one event; False, and the error logged, if it cannot be. Raises one of DATABASE_AWAY."""
    try:
        apply_event(house, event_id)
    except DATABASE_AWAY:
        raise
    except Exception:
        log.exception("an event could not be applied; the sweep tries again", extra={"event_id": event_id})
        return False
    return True


def apply_event(house: House, event_id: int) -> None:
    """Applies one event. Raises one of DATABASE_AWAY, or whatever is wrong with this event.

    A cdr without the time of an answer is no proof that there was none: the phone system may leave it out, and what
    proves the answer may have come before it and still wait. So all that is heard first.
    """
    heard = Heard()
    while True:
        try:
            change = _commit(house, event_id, heard)
            break
        except Unheard as unheard:
            _hear(house, unheard, heard)
    if change is not None:
        carry_out(house, change)


def _commit(house: House, event_id: int, heard: Heard) -> Change | None:
    try:
        return house.commit(lambda connection: _apply(connection, house, event_id, heard, named=True))
    except IntegrityError:
        log.exception("the phone system gave two calls one id; this call goes on without", extra={"event_id": event_id})
        return house.commit(lambda connection: _apply(connection, house, event_id, heard, named=False))


def _hear(house: House, unheard: Unheard, heard: Heard) -> None:
    """Applies what waits, and tells the call what media wrote of it."""
    for event_id in sorted(unheard.waiting):
        heard.tried.add(event_id)
        if not try_event(house, event_id):
            heard.failed.add(event_id)
    if heard.media:
        return
    heard.media = True
    with house.read() as connection:
        held = store.read(connection, uuid=unheard.call.uuid)
    if held is not None and _would_end(held.call) and hear_media(house, held.call):
        tell(house, held.call.uuid, Answered(house.clock.now_ms()))


def fact_of(event: Event, received_at: int) -> Fact | None:
    """What an event says; None for one that the document does not know. Times are ours: when it was received."""
    call_id = event.call_id if len(event.call_id) <= MAX_CALL_ID else ""
    match event.event_name:
        case "firstStart":
            return Started(received_at, call_id)
        case "firstAnswer":
            return Answered(received_at, call_id)
        case "cdr":
            return _cdr_fact(event.cdr or Cdr(), received_at, call_id)
        case _:
            return None


def _cdr_fact(cdr: Cdr, received_at: int, call_id: str) -> CdrReceived:
    """Times that no call can have tell no duration; that somebody answered they tell all the same."""
    end_time = cdr.end_time
    if end_time and cdr.answer_time and end_time - cdr.answer_time > LONGEST_CALL_MS:
        end_time = None
    return CdrReceived(
        received_at,
        call_id,
        answer_time=cdr.answer_time,
        end_time=end_time,
        record_file=cdr.record_file[:LONGEST_RECORD_FILE],
    )


def audio_started(house: House, identity: str) -> None:
    """Media heard an audio frame of the call: somebody picked up, whatever events are missing."""
    with house.read() as connection:
        held = find(connection, identity, lock=False)
    if held is None:
        log.info("audio of an unknown call; media asks again", extra={"identity": identity[:100]})
        return
    tell(house, held.call.uuid, Answered(house.clock.now_ms()))


def brief(house: House, identity: str) -> None:
    """Media asks what a call is about: written from SQL, and said on the channels of both its ids; with it, what time it is,
    which a Redis that lost the briefing has lost as well.

    Of an unknown call, or one that is over, nothing is said: media waits in vain then, and hangs up.
    """
    with house.read() as connection:
        held = find(connection, identity, lock=False)
    tell_time(house)
    if held is None or not held.call.live or not write_briefing(house, held, held.call):
        log.info("no briefing for a call that does not live", extra={"identity": identity[:100]})
        return
    hint = msgspec.json.encode(bus.Hint(type="briefing"))
    for name in {identity, held.call.uuid}:
        house.redis.publish(bus.call_channel(name), hint)


def stop_calls(house: House, batch_ids: Sequence[int]) -> None:
    """Ends the live calls of tasks that are to be stopped."""
    with house.read() as connection:
        uuids = connection.execute(
            select(calls.c.uuid)
            .join_from(calls, tasks, calls.c.batch_id == tasks.c.batch_id)
            .where(calls.c.batch_id.in_(batch_ids), store.LIVE, tasks.c.stop_requested_at.is_not(None))
        ).scalars()
        found = list(uuids)
    for uuid in found:
        tell(house, uuid, StopAsked(house.clock.now_ms()))


def _would_end(call: Call) -> bool:
    """Whether a cdr without the time of an answer would end it as not answered."""
    return call.live and call.state is not CallState.ANSWERED


def _denies(event: Event) -> bool:
    return event.event_name == "cdr" and not (event.cdr or Cdr()).answered


def _untold(connection: Connection, call: Call, but: int) -> set[int]:
    """Events of the call that wait, other than this one, and may say more than that nobody answered."""
    rows = connection.execute(
        select(phone_events.c.id, phone_events.c.body).where(
            phone_events.c.id.in_(events_of(connection, call)), phone_events.c.id != but
        )
    ).all()
    found = set()
    for row in rows:
        try:
            if not _denies(event_from(row.body)):
                found.add(row.id)
        except WireError:  # put aside when its turn comes
            continue
    return found


def _apply(connection: Connection, house: House, event_id: int, heard: Heard, *, named: bool) -> Change | None:
    statement = select(phone_events).where(phone_events.c.id == event_id, phone_events.c.applied_at.is_(None))
    row = connection.execute(statement.with_for_update(skip_locked=True)).one_or_none()
    if row is None:
        return None
    try:
        event = event_from(row.body)
    except WireError:
        log.warning("an event that cannot be read is put aside", extra={"event_id": event_id})
        mark_applied(connection, [event_id], None, house.clock.now_ms())
        return None
    return _match(connection, house, row, event, heard, named=named)


def _match(
    connection: Connection, house: House, row: Row[*tuple[Any, ...]], event: Event, heard: Heard, *, named: bool
) -> Change | None:
    """By request_id first, which is our uuid and was committed before startcall; then by the phone system's id.

    Under the call's lock nobody else can apply an event of it: one that was tried and still waits is in somebody's
    hands, and the cdr is left to the sweep. Raises Unheard.
    """
    held = store.hold(connection, uuid=event.request_id) if is_call_uuid(event.request_id) else None
    if held is None and event.call_id:
        held = store.hold(connection, call_id=event.call_id)
    if held is None:
        return None
    if not held.number:  # its customer was erased meanwhile, and the event names them
        connection.execute(delete(phone_events).where(phone_events.c.id == row.id))
        return None
    if _denies(event) and _would_end(held.call):
        waiting = _untold(connection, held.call, row.id)
        if not heard.media or waiting - heard.tried:
            raise Unheard(held.call, waiting - heard.tried)
        if waiting - heard.failed:
            log.info("a cdr waits for an event in other hands", extra={"uuid": held.call.uuid})
            return None
    mark_applied(connection, [row.id], held.call.uuid, house.clock.now_ms())
    fact = fact_of(event, row.received_at)
    if fact is None:
        return None
    return store.advance(connection, held, fact if named else nameless(fact), house.policies)


def mark_applied(connection: Connection, ids: Sequence[int], uuid: str | None, now: int) -> None:
    connection.execute(update(phone_events).where(phone_events.c.id.in_(ids)).values(applied_at=now, call_uuid=uuid))
