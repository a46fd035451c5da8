"""What there is to be heard of a call beside what it was told: events that wait in the inbox, and what media wrote down.

Messages may be lost, and overtake each other. So whatever says that nobody answered, a deadline or a cdr without the
time of an answer, is believed after all this was heard (``workers.deadlines``, ``workers.events``).
"""

from __future__ import annotations

import logging

import redis
from sqlalchemy import Connection, Integer, String, and_, bindparam, select, text, union

from shared import bus
from shared.lifecycle import Answered, Call, CallState
from shared.schema import phone_events
from workers.house import House
from workers.record import audio_flows, began, finish_call, media_ended, parts_of
from workers.transitions import tell

MOST_OF_ONE = 200
"""Events of one call that its deadline waits for: three are documented, and all of them may come several times."""

_events = phone_events.c
WAITING = text("phone_events.applied_at IS NULL")
"""Written out as the partial index writes it: with a bound parameter no database would see that it may use it."""
_uuid, _call_id = bindparam("uuid", type_=String), bindparam("call_id", type_=String)
_OF_CALL = (
    union(
        select(_events.id).where(WAITING, _events.request_id == _uuid),
        select(_events.id).where(WAITING, and_(_call_id != "", _events.call_id == _call_id)),
    )
    .order_by("id")
    .limit(bindparam("most", type_=Integer))
)

log = logging.getLogger(__name__)


def events_of(connection: Connection, call: Call) -> list[int]:
    """Events of this call that wait to be applied, in the order in which they came, and at most MOST_OF_ONE."""
    names = {"uuid": call.uuid, "call_id": call.call_id, "most": MOST_OF_ONE}
    return list(connection.execute(_OF_CALL, names).scalars())


def hear_media(house: House, call: Call) -> bool:
    """Tells the live call what media wrote of it, an answer or its end; returns whether audio flows still."""
    try:
        parts = parts_of(house, call)
        if media_ended(parts, house.clock.now_ms()) is not None:
            finish_call(house, call.uuid)
            return False
    except OSError as error:
        log.warning("what media wrote cannot be read", extra={"uuid": call.uuid, "error": type(error).__name__})
        parts = []
    answered_at = began(parts)
    if answered_at is not None and call.state is not CallState.ANSWERED:
        tell(house, call.uuid, Answered(max(call.created_at, answered_at)))
    return held_by_media(house, call)


def held_by_media(house: House, call: Call) -> bool:
    """Whether a media session holds the call, by its key in Redis or by what it writes."""
    try:
        if house.redis.exists(bus.owner_key(call.uuid)):
            return True
    except redis.RedisError:
        log.warning("Redis is away; the recording tells whether audio flows", extra={"uuid": call.uuid})
    return audio_flows(house, call)
