"""Calls that stayed in one state for longer than they may: first what was told of them is heard, then they are settled.

A deadline says that nothing was heard. Before that is believed, the events that wait in the inbox are applied, and what
media wrote down is read: messages may be lost, workers may have been away for an hour, and the customer did answer.
"""

from __future__ import annotations

import logging
from functools import partial

from sqlalchemy import Connection, select

from shared.lifecycle import Call, DeadlinePassed
from shared.schema import calls
from workers import store
from workers.effects import carry_out
from workers.events import try_event
from workers.hearing import events_of, hear_media
from workers.house import House
from workers.rounds import each
from workers.store import Change

MOST = 200
"""Calls of one round, so that it ends before the next; the others wait five seconds."""

log = logging.getLogger(__name__)


def deadlines(house: House) -> None:
    """Settles the calls whose deadline is over, longest over first."""
    with house.read() as connection:
        overdue = connection.execute(
            select(calls.c.uuid)
            .where(calls.c.deadline_at <= house.clock.now_ms())
            .order_by(calls.c.deadline_at)
            .limit(MOST)
        ).scalars()
        found = list(overdue)
    each(found, partial(pass_deadline, house))


def pass_deadline(house: House, uuid: str) -> None:
    """Tells the call that its deadline passed, after everything else that there is to tell.

    Not if an event of it is in another worker's hands: what that says decides, and the next round looks again.
    """
    call, waiting = _look_at(house, uuid)
    failed = frozenset(event_id for event_id in waiting if not try_event(house, event_id))
    if waiting:
        call, _ = _look_at(house, uuid)
    flows = call is not None and call.live and hear_media(house, call)
    change = house.commit(lambda connection: _advance(connection, house, uuid, flows, failed))
    if change is not None:
        carry_out(house, change)


def _look_at(house: House, uuid: str) -> tuple[Call | None, list[int]]:
    """The call, and its events that wait."""
    with house.read() as connection:
        held = store.read(connection, uuid=uuid)
        return (None, []) if held is None else (held.call, events_of(connection, held.call))


def _advance(connection: Connection, house: House, uuid: str, flows: bool, failed: frozenset[int]) -> Change | None:
    """Under the call's lock nobody else can apply an event of it: one that still waits is in somebody's hands."""
    held = store.hold(connection, uuid=uuid)
    if held is None:
        return None
    if set(events_of(connection, held.call)) - failed:
        log.info("a deadline waits for an event in other hands", extra={"uuid": uuid})
        return None
    return store.advance(connection, held, DeadlinePassed(house.clock.now_ms(), audio_flows=flows), house.policies)
