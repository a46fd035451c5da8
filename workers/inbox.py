"""Events that were stored and whose message was lost: rung for again, or put aside once nothing can come of them.

Those that name a call of ours are looked for apart from the others: however many strangers' events come in, which stay
for a minute because a call may become known after its event, they stand in nobody's way.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    String,
    and_,
    bindparam,
    exists,
    or_,
    select,
    text,
    union,
    update,
)

from shared.doorbell import APPLY_EVENTS
from shared.lifecycle import Call
from shared.schema import calls, phone_events
from workers.events import try_event
from workers.house import House

QUIET_MS = 5_000
"""A message normally arrives within milliseconds; after this long it counts as lost, and is rung for again."""
GRACE_MS = 60_000
"""An event may name a call that becomes known only with startcall's answer; later than this it never will."""
PATIENCE_MS = 3_600_000
"""An event whose call is known, and that is rung for all the time, fails each time if it still waits after this long:
it is tried once more here, and put aside if that fails too."""
MOST = 5_000
"""Events of one round, of either kind: a thousand a second, which is what a worker process applies; the phone system's
loudest hour has a tenth of that."""
MOST_TRIED = 200
"""Old events that one round tries by itself, each in a transaction of some milliseconds."""
MOST_OF_ONE = 200
"""Events of one call that its deadline waits for: three are documented, and all of them may come several times."""

log = logging.getLogger(__name__)

_events = phone_events.c
_WAITING = text("phone_events.applied_at IS NULL")
"""Written out as the partial index writes it: with a bound parameter no database would see that it may use it."""
_NAMED = text("calls.call_id <> ''")
# With an OFFSET both are asked for each event, by the index: PostgreSQL makes no join with all calls of it.
_BY_UUID = exists(select(calls.c.uuid).where(calls.c.uuid == _events.request_id).offset(0))
_BY_CALL_ID = exists(select(calls.c.uuid).where(_NAMED, calls.c.call_id == _events.call_id).offset(0))
_KNOWN = or_(_BY_UUID, _BY_CALL_ID)
_received_by = _events.received_at <= bindparam("until", type_=BigInteger)
_most = bindparam("most", type_=Integer)
# Statements are made once: to make one anew costs five times what it costs to send it.
_LOST = select(_events.id, _events.received_at).where(_WAITING, _received_by, _KNOWN).order_by(_events.id).limit(_most)
_STRANGE = select(_events.id).where(_WAITING, _received_by, ~_KNOWN).order_by(_events.id).limit(_most)
_uuid, _call_id = bindparam("uuid", type_=String), bindparam("call_id", type_=String)
_OF_CALL = (
    union(
        select(_events.id).where(_WAITING, _events.request_id == _uuid),
        select(_events.id).where(_WAITING, and_(_call_id != "", _events.call_id == _call_id)),
    )
    .order_by("id")
    .limit(_most)
)


def lost_events(house: House) -> None:
    """Rings again for events of calls that are known, and puts aside the strangers' once their grace is over."""
    now = house.clock.now_ms()
    with house.read() as connection:
        lost = connection.execute(_LOST, {"until": now - QUIET_MS, "most": MOST}).all()
        strange = list(connection.execute(_STRANGE, {"until": now - GRACE_MS, "most": MOST}).scalars())
    _put_aside(house, strange)
    old = [row.id for row in lost if row.received_at <= now - PATIENCE_MS][:MOST_TRIED]
    tried = set(old)
    rest = [row.id for row in lost if row.id not in tried]
    if rest:
        house.bell.ring_chunks(APPLY_EVENTS, rest)
    for event_id in old:
        try_event(house, event_id)
    _put_aside(house, old)


def events_of(connection: Connection, call: Call) -> list[int]:
    """Events of this call that wait to be applied, in the order in which they came, and at most MOST_OF_ONE."""
    names = {"uuid": call.uuid, "call_id": call.call_id, "most": MOST_OF_ONE}
    return list(connection.execute(_OF_CALL, names).scalars())


def _put_aside(house: House, ids: Sequence[int]) -> None:
    """Marks these events as dealt with, for no call, unless somebody applied them meanwhile."""
    if not ids:
        return
    now = house.clock.now_ms()
    aside = update(phone_events).where(_events.id.in_(ids), _WAITING).values(applied_at=now)
    count = house.commit(lambda connection: connection.execute(aside).rowcount)
    if count:
        log.warning("events were put aside unapplied", extra={"event_ids": list(ids[:20]), "events": count})
