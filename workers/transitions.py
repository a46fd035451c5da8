"""One fact about one call: its row locked, the lifecycle asked, the change saved, its effects carried out."""

from __future__ import annotations

import logging
from dataclasses import replace

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from shared.ids import is_call_uuid
from shared.lifecycle import Answered, CdrReceived, Fact, Placed, Started
from workers import store
from workers.effects import carry_out
from workers.house import House
from workers.store import Change, Held, Overtaken

log = logging.getLogger(__name__)


def tell(house: House, uuid: str, fact: Fact) -> Change | None:
    """Applies ``fact`` to the call ``uuid`` and carries out what follows; None if there is no such call."""
    change = house.commit(lambda connection: _advance(connection, house, uuid, fact))
    if change is not None:
        carry_out(house, change)
    return change


def place(house: House, held: Held, fact: Fact) -> Change | None:
    """As ``tell``, of what startcall came to, for the call as it was committed before that.

    A call id that another call has already cannot be this call's too: the phone system's ids are unique by its
    document; should they ever not be, the call goes on without one.
    """
    uuid = held.call.uuid
    try:
        change = house.commit(lambda connection: _advance_unlocked(connection, house, held, fact))
    except (Overtaken, IntegrityError):  # an event or a stop was quicker, or the id is another call's
        return _place_slowly(house, uuid, fact)
    carry_out(house, change)
    return change


def _place_slowly(house: House, uuid: str, fact: Fact) -> Change | None:
    try:
        return tell(house, uuid, fact)
    except IntegrityError:
        log.exception("the phone system gave two calls one id; this call goes on without", extra={"uuid": uuid})
        return tell(house, uuid, nameless(fact))


def _advance_unlocked(connection: Connection, house: House, held: Held, fact: Fact) -> Change:
    call, task, effects = store.outcome(held, fact, house.policies)
    store.swap(connection, held, call, task, fact.at)
    return Change(held, call, task, effects)


def nameless(fact: Fact) -> Fact:
    """``fact`` without the phone system's id."""
    if isinstance(fact, Placed | Started | Answered | CdrReceived):
        return replace(fact, call_id="")
    return fact


def find(connection: Connection, identity: str, *, lock: bool) -> Held | None:
    """The call that media or the phone system means by ``identity``: our uuid, or the phone system's call id."""
    look = store.hold if lock else store.read
    found = look(connection, uuid=identity) if is_call_uuid(identity) else None
    return found or (look(connection, call_id=identity) if identity else None)


def _advance(connection: Connection, house: House, uuid: str, fact: Fact) -> Change | None:
    held = store.hold(connection, uuid=uuid)
    return None if held is None else store.advance(connection, held, fact, house.policies)
