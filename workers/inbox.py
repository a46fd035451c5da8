"""Events that were stored and whose message was lost: rung for again, or put aside once nothing can come of them.

Those that name a call of ours are looked for apart from the others: however many strangers' events come in, which stay
for a minute because a call may become known after its event, they stand in nobody's way.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy import (
    BigInteger,
    Integer,
    bindparam,
    exists,
    or_,
    select,
    text,
    update,
)

from shared.doorbell import APPLY_EVENTS
from shared.schema import calls, phone_events
from workers.events import try_event
from workers.hearing import WAITING
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

log = logging.getLogger(__name__)

_events = phone_events.c
_NAMED = text("calls.call_id <> ''")
# With an OFFSET both are asked for each event, by the index: PostgreSQL makes no join with all calls of it.
_BY_UUID = exists(select(calls.c.uuid).where(calls.c.uuid == _events.request_id).offset(0))
_BY_CALL_ID = exists(select(calls.c.uuid).where(_NAMED, calls.c.call_id == _events.call_id).offset(0))
_KNOWN = or_(_BY_UUID, _BY_CALL_ID)
_received_by = _events.received_at <= bindparam("until", type_=BigInteger)
_most = bindparam("most", type_=Integer)
# Statements are made once: to make one anew costs five times what it costs to send it.
_LOST = select(_events.id, _events.received_at).where(WAITING, _received_by, _KNOWN).order_by(_events.id).limit(_most)
_STRANGE = select(_events.id).where(WAITING, _received_by, ~_KNOWN).order_by(_events.id).limit(_most)


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


def _put_aside(house: House, ids: Sequence[int]) -> None:
    """Marks these events as dealt with, for no call, unless somebody applied them meanwhile."""
    if not ids:
        return
    now = house.clock.now_ms()
    aside = update(phone_events).where(_events.id.in_(ids), WAITING).values(applied_at=now)
    count = house.commit(lambda connection: connection.execute(aside).rowcount)
    if count:
        log.warning("events were put aside unapplied", extra={"event_ids": list(ids[:20]), "events": count})
