"""Room for calls: leases in Redis, granted by one script (design, "Room").

A lease is bound to a call's uuid, expires by itself and is renewed from SQL while the call lives. The epoch key says
that the leases can be trusted; it expires sooner than they do, unless the sweep renews both. So a Redis that was
wiped, or that no sweep has looked after, looks shut and not empty, until the leases were rebuilt from SQL.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, NamedTuple

import redis

from shared import bus
from shared.bus import LEASES_KEY as LEASES_KEY
from shared.bus import Heartbeat, none_fit
from shared.clock import Clock
from shared.errors import WaihuError
from shared.settings import Caller

LEASE_TTL_MS = 45_000
"""Nine sweeps: a call that lives keeps its room through any stall, and a lost release costs no more than this."""
EPOCH_TTL_MS = 30_000
"""Below the leases' own, so that unrenewed leases are never mistaken for free room."""
HORIZON_MS = 2_000
"""Calls are granted so far ahead of their turn: two ticks of dispatch, so that the pace never waits for a tick."""
MOST_UNDIALLED = 1_000
"""Calls granted and not yet dialled, over all numbers: several seconds' work for two workers, far less than a call may
stay queued, and what one process can keep waiting."""
LOW_WATER = 50
"""So few undialled calls of a number are left when dispatch is rung for more, half a claim before none is."""
LONGEST_PACE_MS = 3_000
"""Above the horizon: a call granted in time gets its turn. One that would wait longer goes back to its task."""
REBUILD_LOCK_MS = 10_000
"""Above any rebuild (one query and one script), below the wait for the next try after a killed one."""

EPOCH_KEY = "waihu:room:epoch"
REBUILD_KEY = "waihu:room:rebuild"
_SCRIPT = files("workers").joinpath("room.lua").read_text()


class RoomShut(WaihuError):
    """The leases cannot be trusted until they were rebuilt from SQL; nothing is granted meanwhile."""

    code = "room.shut"
    retryable = True


class NoLease(WaihuError):
    """The call has no lease, or it expired while the call waited."""

    code = "room.no_lease"
    retryable = True


class NoTurn(WaihuError):
    """The call's number may not dial again soon enough, or not at all."""

    code = "room.no_turn"
    retryable = True


class Lease(NamedTuple):
    uuid: str
    caller: str


class Turn(NamedTuple):
    """``wait``: seconds until the call may leave. ``last``: dispatch should be rung for more calls."""

    wait: float
    last: bool


class Occupant(NamedTuple):
    """A live call as SQL has it. ``dialled``: it was, so that it takes room whether or not Redis remembers."""

    uuid: str
    caller: str
    dialled: bool


@dataclass(frozen=True)
class Occupancy:
    """What Redis believes: for how long it has, and which calls have leases."""

    age_ms: int
    uuids: frozenset[str]


class Room:
    """Grants and takes back room. Safe to use from several threads. Commands raise redis.RedisError when it is away.

    Time is the Redis server's own, so that machines whose clocks differ agree; tests pass a clock instead.
    """

    def __init__(
        self, client: redis.Redis, callers: Sequence[Caller], max_calls: int, clock: Clock | None = None
    ) -> None:
        self._redis = client
        self._callers = {caller.number: caller for caller in callers}
        self._max_calls = max_calls
        self._clock = clock
        self._script = client.register_script(_SCRIPT)

    def take(
        self,
        uuids: Sequence[str],
        wanted: Mapping[str, int],
        media_places: int,
        *,
        spread: bool = True,
        most: Mapping[str, int] | None = None,
    ) -> list[Lease]:
        """Leases for as many of ``uuids`` as there is room, ``wanted`` caller numbers first, the rest spread over all.

        Without ``spread`` only what is wanted is granted. ``most``: how many a caller number may be given, where
        something else than room limits it. Raises RoomShut.
        """
        callers = list(self._callers.values())
        limits = [
            item
            for caller in callers
            for item in (
                caller.concurrency,
                1000 / caller.cps,
                wanted.get(caller.number, 0),
                (most or {}).get(caller.number, len(uuids)),
            )
        ]
        limit = min(self._max_calls, media_places)
        granted = self._run(
            "take",
            [caller.number for caller in callers],
            *(limit, MOST_UNDIALLED, HORIZON_MS, int(spread), len(callers)),
            *limits,
            *uuids,
        )
        return [Lease(_text(granted[at]), callers[granted[at + 1] - 1].number) for at in range(0, len(granted), 2)]

    def pace(self, uuid: str, caller: str) -> Turn:
        """Confirms the lease and takes the call's turn, which comes within LONGEST_PACE_MS.

        Raises NoLease, NoTurn or RoomShut.
        """
        limits = self._callers.get(caller)
        if limits is None:
            raise NoTurn("the number this call was given is not in WAIHU_CALLERS any more")
        answer = self._run("pace", [caller], 1000 / limits.cps, LONGEST_PACE_MS, uuid)
        if answer == b"no lease":
            raise NoLease("expected a lease for this call, found none; it may be taken anew if there is room")
        if answer == b"too long":
            raise NoTurn(f"the number's calls per second leave no turn within {LONGEST_PACE_MS} ms")
        return Turn(float(answer[0]) / 1000, last=answer[1] == LOW_WATER)

    def release(self, leases: Iterable[Lease]) -> int:
        """Gives back; what was given back already is passed over. How many there were."""
        given = list(leases)
        if not given:
            return 0
        callers = sorted({lease.caller for lease in given})
        return int(self._run("release", callers, len(callers), *(lease.uuid for lease in given)))

    def renew(self, occupants: Iterable[Occupant]) -> None:
        """Extends the leases of the calls that live, and the trust in them. Raises RoomShut."""
        self._renew(list(occupants), rebuilding=False)

    def rebuild(self, read_occupants: Callable[[], Iterable[Occupant]]) -> bool:
        """Opens a shut room with what ``read_occupants`` finds in SQL; False if another worker is at it."""
        token = secrets.token_hex(8)
        if not self._redis.set(REBUILD_KEY, token, nx=True, px=REBUILD_LOCK_MS):
            return False
        occupants = list(read_occupants())
        if self._redis.get(REBUILD_KEY) != token.encode():
            return False
        self._renew(occupants, rebuilding=True)
        self._redis.delete(REBUILD_KEY)
        return True

    def occupancy(self) -> Occupancy:
        """Raises RoomShut."""
        answer = self._run("held", [])
        return Occupancy(int(float(answer[0])), frozenset(_text(uuid) for uuid in answer[1:]))

    def media_places(self) -> int:
        """How many phone calls the media processes that live can hold in all, those they hold now included."""
        return places(self._media())

    def media_fit(self) -> bool:
        """False if there are media processes and none of them can speak and record: who is called now would be hung up on."""
        return not none_fit(self._media())

    def _media(self) -> list[Heartbeat]:
        return bus.heartbeats(self._redis, self._clock.now_ms() if self._clock else None)

    def _renew(self, occupants: list[Occupant], *, rebuilding: bool) -> None:
        callers = sorted({occupant.caller for occupant in occupants})
        index = {caller: position for position, caller in enumerate(callers, 1)}
        entries = [
            item for occupant in occupants for item in (occupant.uuid, index[occupant.caller], int(occupant.dialled))
        ]
        self._run("renew", callers, EPOCH_TTL_MS, int(rebuilding), *entries)

    def _run(self, operation: str, callers: Sequence[str], *arguments: Any) -> Any:
        now = self._clock.now_ms() if self._clock else 0
        keys = [EPOCH_KEY, LEASES_KEY, *(key for caller in callers for key in caller_keys(caller))]
        answer = self._script(keys=keys, args=[operation, now, LEASE_TTL_MS, *arguments])
        if answer == b"shut":
            raise RoomShut("the leases in Redis are gone or were not renewed; they are rebuilt from SQL first")
        return answer


def caller_keys(number: str) -> tuple[str, str, str]:
    """A caller number's leases, its calls that were granted and not yet dialled, and its pace."""
    return f"waihu:room:calls:{number}", f"waihu:room:undialled:{number}", f"waihu:room:pace:{number}"


def places(heartbeats: Iterable[Heartbeat]) -> int:
    """Σ over the media processes that live of capacity minus sessions that are no phone calls.

    One that drains, or cannot speak or record, takes no new call: it counts for those it still holds, which have their leases, and no more.
    """
    return sum(
        max(0, beat.capacity - (beat.sessions - beat.phone_sessions))
        if beat.fit and not beat.draining
        else beat.phone_sessions
        for beat in heartbeats
    )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
