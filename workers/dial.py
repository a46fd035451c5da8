"""Dial: one call that dispatch wrote. For each call row at most one startcall leaves the house.

The row is committed as dialing before startcall, by an update that only one can win and that no stop may have
preceded. Whatever happens after it, the row is never queued again.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from sqlalchemy import Connection

from shared.errors import OutcomeUnknown, Refused, Unplaced
from shared.lifecycle import (
    CallState,
    Effects,
    Fact,
    Placed,
    StopAsked,
    TaskState,
    dialing,
    expired,
    follow,
)
from shared.lifecycle import OutcomeUnknown as OutcomeUnknownFact
from shared.lifecycle import Refused as RefusedFact
from shared.lifecycle import Unplaced as UnplacedFact
from workers import store
from workers.effects import carry_out, ring_dispatch
from workers.gates import Candidate, Closed, Remedy
from workers.house import House
from workers.room import NoLease, NoTurn, RoomShut
from workers.store import Change, Held, Overtaken
from workers.transitions import place, tell

log = logging.getLogger(__name__)


def dial(house: House, *uuids: str) -> None:
    """Dials these calls if they still wait for that, in this thread or in those that dial already."""
    house.dials.run(uuids, lambda uuid: _dial(house, uuid))


def _dial(house: House, uuid: str) -> None:
    with house.read() as connection:
        held = store.read(connection, uuid=uuid)
    if held is None or held.call.state is not CallState.QUEUED:
        return
    closed = _closed(house, held)
    if closed is not None:
        call_off(house, uuid, closed)
        return
    if not _take_turn(house, held):
        return
    change = _commit_dialing(house, held)
    if change is None:
        return
    if change.call.state is not CallState.DIALING:
        carry_out(house, change)
        return
    place(house, replace(held, call=change.call, task=change.task), _startcall(house, held))


def _closed(house: House, held: Held) -> Closed | None:
    now = house.clock.now_ms()
    stop = held.task.stop_requested_at if held.task else None
    return house.gates.closed(now) or house.gates.refuses(Candidate(held.number, held.expires_at, stop), now)


def _take_turn(house: House, held: Held) -> bool:
    """Confirms the call's room and waits for its turn; without either it goes back to its task, no attempt spent."""
    uuid, caller = held.call.uuid, held.caller
    try:
        try:
            turn = house.room.pace(uuid, caller)
        except NoLease:
            places = house.room.media_places(house.clock.now_ms())
            if not house.room.take([uuid], {caller: 1}, places, spread=False):
                raise
            turn = house.room.pace(uuid, caller)
    except RoomShut:
        return False  # it stays queued: the sweep opens the room and rings for it again
    except (NoLease, NoTurn) as error:
        log.info("no room for the call; it waits with its task", extra={"uuid": uuid, "error": error.code})
        tell(house, uuid, UnplacedFact(house.clock.now_ms()))
        return False
    if turn.last:
        ring_dispatch(house)
    if turn.wait > 0:
        house.pause(turn.wait)
    return True


def _commit_dialing(house: House, held: Held) -> Change | None:
    """The call as dialing, if it is still queued and no stop was asked; None if it is in other hands already."""
    try:
        return house.commit(lambda connection: _swap_to_dialing(connection, house, held))
    except Overtaken:
        return house.commit(lambda connection: _dialing_or_not(connection, house, held.call.uuid))


def _swap_to_dialing(connection: Connection, house: House, held: Held) -> Change:
    """One conditional update of the call and one of its task: whoever else wanted either row loses or has won."""
    task, now = held.task, house.clock.now_ms()
    if task is None or task.state is not TaskState.QUEUED or task.stop_requested_at is not None:
        raise Overtaken
    call = dialing(held.call, now, house.policies.default)
    store.swap(connection, held, call, follow(task, call), now)
    return Change(held, call, follow(task, call), Effects())


def _dialing_or_not(connection: Connection, house: House, uuid: str) -> Change | None:
    """Why the swap failed: under the lock of both rows, the stop is obeyed, or the call sent back."""
    held = store.hold(connection, uuid=uuid)
    if held is None or held.call.state is not CallState.QUEUED:
        return None
    now = house.clock.now_ms()
    task = held.task
    if task is not None and task.stop_requested_at is not None:
        return store.advance(connection, held, StopAsked(now), house.policies)
    if task is not None and task.state is not TaskState.QUEUED:
        return store.advance(connection, held, UnplacedFact(now), house.policies)
    call = dialing(held.call, now, house.policies.default)
    return store.save(connection, held, call, follow(task, call) if task else None, now)


def _startcall(house: House, held: Held) -> Fact:
    """The one startcall of this row, and what came of it. An error of another kind leaves the row to its deadline."""
    try:
        call_id = house.placer.startcall(held.caller, held.number, held.exten, held.call.uuid)
    except Refused as error:
        log.info("startcall was refused", extra={"uuid": held.call.uuid, "reply_code": error.reply_code})
        return RefusedFact(house.clock.now_ms())
    except Unplaced:
        log.warning("startcall could not leave; its task waits", extra={"uuid": held.call.uuid})
        return UnplacedFact(house.clock.now_ms())
    except OutcomeUnknown:
        log.warning("startcall was not answered readably; nobody sends it again", extra={"uuid": held.call.uuid})
        return OutcomeUnknownFact(house.clock.now_ms())
    return Placed(house.clock.now_ms(), call_id)


def call_off(house: House, uuid: str, closed: Closed) -> None:
    """Takes back a queued call that a gate holds back; no attempt is spent, and its task goes the gate's way."""
    now = house.clock.now_ms()

    def work(connection: Connection) -> Change | None:
        held = store.hold(connection, uuid=uuid)
        if held is None or held.call.state is not CallState.QUEUED:
            return None
        fact: Fact = StopAsked(now) if closed.remedy is Remedy.STOP else UnplacedFact(now)
        change = store.advance(connection, held, fact, house.policies)
        if closed.remedy is Remedy.EXPIRE and change.task is not None:
            store.save_task(connection, change.task, expired(change.task, now), now)
        return change

    change = house.commit(work)
    if change is not None:
        carry_out(house, change)
