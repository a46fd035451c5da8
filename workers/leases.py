"""What the leases in Redis must be, by what SQL says lives."""

from __future__ import annotations

import logging

from sqlalchemy import Connection, select

from shared.lifecycle import CallState
from shared.schema import calls
from workers.house import House
from workers.room import Lease, Occupant, RoomShut
from workers.store import LIVE_OUTBOUND, OVER
from workers.timekeeping import tell_time

log = logging.getLogger(__name__)


def rebuild_room(house: House) -> bool:
    """Opens a shut room with the calls that live in SQL; False if another worker is at it, or it failed to.

    Before anybody is called by it, media can know what time it is.
    """
    tell_time(house)

    found: list[Occupant] = []

    def read() -> list[Occupant]:
        with house.read() as connection:
            found[:] = occupants(connection)
        return found

    rebuilt = house.room.rebuild(read)
    if rebuilt:
        level = logging.WARNING if found else logging.INFO  # every new house begins with it, and no call
        log.log(level, "the leases were rebuilt from the database", extra={"calls": len(found)})
    return rebuilt


def renew_room(house: House) -> None:
    """Extends the leases of all live calls, takes back those of calls that are over, opens the room if it is shut."""
    with house.read() as connection:
        living = occupants(connection)
    try:
        house.room.renew(living)
        strays = house.room.occupancy().uuids - {occupant.uuid for occupant in living}
    except RoomShut:
        rebuild_room(house)
        return
    if strays:
        with house.read() as connection:
            over = _over(connection, strays)
        house.room.release(over)


def occupants(connection: Connection) -> list[Occupant]:
    """The calls of ours that live."""
    rows = connection.execute(select(calls.c.uuid, calls.c.caller, calls.c.state).where(LIVE_OUTBOUND))
    return [Occupant(row.uuid, row.caller, row.state != CallState.QUEUED) for row in rows]


def _over(connection: Connection, uuids: frozenset[str]) -> list[Lease]:
    """Those of ``uuids`` whose calls have ended. A lease whose call is not written yet is left: it expires if it must."""
    rows = connection.execute(select(calls.c.uuid, calls.c.caller).where(calls.c.uuid.in_(uuids), OVER))
    return [Lease(row.uuid, row.caller) for row in rows]
