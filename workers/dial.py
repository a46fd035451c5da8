"""Dial: one call that dispatch wrote. For each call row at most one startcall leaves the house.

The row is committed as dialing when startcall's first byte is about to leave, by an update that only one can win and
that no stop may have preceded. Whatever happens after it, the row is never queued again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Connection

from shared.doorbell import DIAL
from shared.errors import OutcomeUnknown, Refused, Unplaced
from shared.lifecycle import (
    WAITING_TASKS,
    CallState,
    Fact,
    Placed,
    StopAsked,
    TaskState,
    dialing,
    expired,
    follow,
    stopped,
)
from shared.lifecycle import OutcomeUnknown as OutcomeUnknownFact
from shared.lifecycle import Refused as RefusedFact
from shared.lifecycle import Unplaced as UnplacedFact
from workers import store
from workers.breaker import Outcome
from workers.candidates import first_look, last_look
from workers.effects import carry_out, ring_dispatch
from workers.gates import Closed, Remedy
from workers.holds import hold_tasks, note_what_stopped
from workers.house import House
from workers.room import NoLease, NoTurn, RoomShut
from workers.store import Change, Held, Overtaken
from workers.transitions import place

log = logging.getLogger(__name__)


def dial_waiting(house: House) -> None:
    """Dials what waits for that, in this thread, unless as many dial already as may."""
    house.dials.run(lambda uuid: dial(house, uuid), lambda: house.bell.ring(DIAL))


class Shut(Exception):
    """A gate was found closed in the transaction that would have committed the call as dialing."""

    def __init__(self, closed: Closed) -> None:
        super().__init__(closed.reason)
        self.closed = closed


def dial(house: House, uuid: str) -> None:
    """Dials this call, if it is queued still and nothing forbids it."""
    with house.read() as connection:
        held = store.read(connection, uuid=uuid)
    if held is None or held.call.state is not CallState.QUEUED:
        return
    closed = house.gates.closed() or house.gates.refuses(first_look(held), house.clock.now_ms())
    if closed is None and not house.room.media_fit():
        closed = _UNFIT
    if closed is not None:
        call_off(house, uuid, closed)
        return
    if not _take_turn(house, held):
        return
    granted = house.breaker.admit()
    if granted is None:
        call_off(house, uuid, _LEFT_ALONE)
        return
    departure = _Departure(house, held)
    try:
        fact = _startcall(house, held, departure)
    except BaseException as error:
        if departure.dialled is None:
            house.breaker.withdraw(granted)  # not a byte has left
        else:
            house.breaker.record(granted, Outcome.FAILED)
        if isinstance(error, _CalledOff):
            return
        raise
    try:
        if departure.dialled is None:
            call_off(house, uuid, _UNREACHED)
        else:
            place(house, departure.dialled, fact)
    finally:
        if house.breaker.record(granted, _OUTCOME[type(fact)]):
            ring_dispatch(house)


class _CalledOff(Exception):
    """Nothing left: the call is in other hands, was stopped, or a gate closed."""


class _Departure:
    """What is done when startcall is ready to leave, right before its first byte: the call is committed as dialing.

    So neither a slow name server nor a slow handshake stands between that commit, after which a stop can only hang up,
    and the request.
    """

    def __init__(self, house: House, held: Held) -> None:
        self._house = house
        self._held = held
        self.dialled: Held | None = None
        """The call as it was committed; None while nothing has left."""

    def __call__(self) -> None:
        self.dialled = _commit_dialing(self._house, self._held)
        if self.dialled is None:
            raise _CalledOff


_LEFT_ALONE = Closed("breaker", "the phone system is left alone for a while")
_UNFIT = Closed("media", "no media process can talk with a customer and record it now")
_NO_ROOM = Closed("room", "there is no room for the call; it waits with its task")
_UNREACHED = Closed("phone", "the phone system could not be reached")
_OUTCOME: dict[type[Fact], Outcome] = {
    Placed: Outcome.PLACED,
    RefusedFact: Outcome.REFUSED,
    UnplacedFact: Outcome.FAILED,
    OutcomeUnknownFact: Outcome.FAILED,
}


def _take_turn(house: House, held: Held) -> bool:
    """Confirms the call's room and waits for its turn; without either it goes back to its task, no attempt spent."""
    uuid, caller = held.call.uuid, held.caller
    try:
        try:
            turn = house.room.pace(uuid, caller)
        except NoLease:
            places = house.room.media_places()
            if not house.room.take([uuid], {caller: 1}, places, spread=False):
                raise
            turn = house.room.pace(uuid, caller)
    except RoomShut:
        return False  # it stays queued: the sweep opens the room and rings for it again
    except (NoLease, NoTurn) as error:
        log.info("no room for the call; it waits with its task", extra={"uuid": uuid, "error": error.code})
        call_off(house, uuid, _NO_ROOM)
        return False
    if turn.last:
        ring_dispatch(house)
    if turn.wait > 0:
        house.pause(turn.wait)
    return True


def _commit_dialing(house: House, held: Held) -> Held | None:
    """The call as dialing, if it is still queued, no stop was asked and every gate is open at this very moment.

    None: it is in other hands already, was stopped, or was given back to its task.
    """
    try:
        return house.commit(lambda connection: _swap_to_dialing(connection, house, held))
    except Overtaken:
        pass
    except Shut as shut:
        call_off(house, held.call.uuid, shut.closed)
        return None
    try:
        change = house.commit(lambda connection: _dialing_or_not(connection, house, held.call.uuid))
    except Shut as shut:
        call_off(house, held.call.uuid, shut.closed)
        return None
    if change is not None and change.call.state is CallState.DIALING:
        return replace(change.held, call=change.call, task=change.task)
    if change is not None:
        carry_out(house, change)
    return None


def _swap_to_dialing(connection: Connection, house: House, held: Held) -> Held:
    """One conditional update of the call and one of its task: whoever else wanted either row loses or has won.

    The gates are asked after that: what made one of them close was committed before these rows became ours, or waits. But for
    a pause, which locks no row of ours: a call that is committed in the same moment leaves.
    """
    task, now = held.task, house.clock.now_ms()
    if task is None or task.state is not TaskState.QUEUED or task.stop_requested_at is not None:
        raise Overtaken
    call = dialing(held.call, now, house.policies.default)
    store.swap(connection, held, call, follow(task, call), now)
    _ask_gates(connection, house, held, now)
    return replace(held, call=call, task=follow(task, call))


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
    _ask_gates(connection, house, held, now)
    call = dialing(held.call, now, house.policies.default)
    return store.save(connection, held, call, follow(task, call) if task else None, now)


def _ask_gates(connection: Connection, house: House, held: Held, now: int) -> None:
    """Raises Shut, and the transaction must be rolled back then."""
    closed = house.gates.refuses(last_look(connection, held, house.gate_config.cap, now), now)
    if closed is not None:
        raise Shut(closed)


def _startcall(house: House, held: Held, departure: Callable[[], None]) -> Fact:
    """The one startcall of this row, and what came of it. An error of another kind leaves the row to its deadline."""
    try:
        call_id = house.placer.startcall(held.caller, held.number, held.exten, held.call.uuid, leaving=departure)
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
        task = change.task
        if task is None:
            return change
        if closed.remedy is Remedy.EXPIRE:
            store.save_task(connection, task, expired(task, now), now)
        elif closed.remedy is Remedy.STOP:
            store.save_task(connection, task, stopped(task, now), now)
            note_what_stopped(connection, task.batch_id, closed.gate)
        elif closed.until is not None and task.state in WAITING_TASKS:
            hold_tasks(connection, [(task.batch_id, closed.gate, closed.until)])
        return change

    change = house.commit(work)
    if change is not None:
        log.info("a gate holds a call back", extra={"uuid": uuid, "gate": closed.gate})
        carry_out(house, change)
