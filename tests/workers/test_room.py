"""Room: the script's arithmetic, against a real Redis and a clock that the test moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.bus import HEARTBEAT_TTL_MS, MEDIA_KEY, Heartbeat
from shared.clock import FakeClock, SystemClock
from shared.settings import Caller
from workers.room import (
    EPOCH_TTL_MS,
    HORIZON_MS,
    LEASE_TTL_MS,
    LONGEST_PACE_MS,
    LOW_WATER,
    MOST_UNDIALLED,
    REBUILD_KEY,
    Lease,
    NoLease,
    NoTurn,
    Occupant,
    Room,
    RoomShut,
    places,
)

A, B = Caller("0571000001", concurrency=3, cps=1000), Caller("0571000002", concurrency=5, cps=1000)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as opened:
        yield opened


def opened(client: redis.Redis, *callers: Caller, max_calls: int = 100, clock: FakeClock | None = None) -> Room:
    room = Room(client, callers or (A, B), max_calls, clock or FakeClock())
    room.rebuild(lambda: [])
    return room


def uuids(count: int, first: int = 0) -> list[str]:
    return [f"{index:019d}" for index in range(first, first + count)]


def test_it_is_shut_until_it_was_rebuilt(client: redis.Redis) -> None:
    room = Room(client, (A,), 10, FakeClock())
    with pytest.raises(RoomShut):
        room.take(uuids(1), {}, 10)
    with pytest.raises(RoomShut):
        room.pace(uuids(1)[0], A.number)
    with pytest.raises(RoomShut):
        room.renew([])
    assert room.rebuild(lambda: [Occupant(uuids(1)[0], A.number, dialled=True)])
    assert room.occupancy().uuids == set(uuids(1))
    assert len(room.take(uuids(5, 1), {}, 10)) == 2


def test_calls_that_were_called_off_leave_room_in_their_numbers_pace(client: redis.Redis) -> None:
    """What was granted and is undialled counts against how many may leave soon; what was given back does not."""
    room = opened(client, Caller("0571000003", 100, 1.0))
    granted = room.take(uuids(50), {}, 100)
    assert 0 < len(granted) < 50
    assert room.take(uuids(50, 50), {}, 100) == []
    room.release(granted)
    assert len(room.take(uuids(50, 50), {}, 100)) == len(granted)


def test_only_one_rebuilds_at_a_time(client: redis.Redis) -> None:
    room = Room(client, (A,), 10, FakeClock())
    client.set(REBUILD_KEY, "another")
    assert not room.rebuild(lambda: [])
    client.delete(REBUILD_KEY)

    def overtaken() -> list[Occupant]:
        client.set(REBUILD_KEY, "another")  # this one took longer than the lock lasts
        return []

    assert not room.rebuild(overtaken)
    with pytest.raises(RoomShut):
        room.occupancy()


def test_limits_hold_for_all_and_for_each_number(client: redis.Redis) -> None:
    room = opened(client)
    first = room.take(uuids(20), {}, media_places=100)
    assert Counter(lease.caller for lease in first) == {A.number: 3, B.number: 5}
    assert room.take(uuids(5, 20), {}, 100) == []
    assert room.release(first[:2]) == 2
    assert room.release(first[:2]) == 0
    again = room.take(uuids(5, 30), {}, 100)
    assert Counter(lease.caller for lease in again) == Counter(lease.caller for lease in first[:2])
    room.release(first)
    room.release(again)
    assert len(opened(client, max_calls=4).take(uuids(9, 40), {}, 100)) == 4


def test_media_places_limit_all_calls_together(client: redis.Redis) -> None:
    room = opened(client)
    assert len(room.take(uuids(4), {}, media_places=2)) == 2
    assert len(room.take(uuids(4, 10), {}, media_places=3)) == 1
    assert room.take(uuids(4, 20), {}, media_places=0) == []


def test_wanted_numbers_go_first_and_without_spread_alone(client: redis.Redis) -> None:
    room = opened(client)
    taken = room.take(uuids(3), {A.number: 2, "gone": 4}, 100)
    assert Counter(lease.caller for lease in taken) == {A.number: 2, B.number: 1}
    assert room.take(uuids(3, 10), {A.number: 2}, 100, spread=False) == [Lease(uuids(1, 10)[0], A.number)]
    assert room.take(uuids(3, 20), {}, 100, spread=False) == []


def test_a_number_may_be_given_less_than_it_has_room_for(client: redis.Redis) -> None:
    room = opened(client)
    taken = room.take(uuids(9), {A.number: 3}, 100, most={A.number: 1, B.number: 2})
    assert Counter(lease.caller for lease in taken) == {A.number: 1, B.number: 2}
    assert room.take(uuids(9, 10), {A.number: 3}, 100, most={A.number: 0, B.number: 0}) == []
    rest = room.take(uuids(9, 20), {}, 100, most={A.number: 9})
    assert Counter(lease.caller for lease in rest) == {A.number: 2, B.number: 3}


def test_a_lease_expires_unless_it_is_renewed(client: redis.Redis) -> None:
    clock = FakeClock()
    room = opened(client, clock=clock)
    kept, lost = room.take(uuids(2), {A.number: 2}, 100)
    for _ in range(3):
        clock.advance(EPOCH_TTL_MS / 1000 - 1)
        room.renew([Occupant(kept.uuid, kept.caller, dialled=True)])
    assert room.occupancy().uuids == {kept.uuid}
    with pytest.raises(NoLease):
        room.pace(lost.uuid, lost.caller)
    assert LEASE_TTL_MS > EPOCH_TTL_MS


def test_trust_ends_before_the_leases_do(client: redis.Redis) -> None:
    clock = FakeClock()
    room = opened(client, clock=clock)
    room.take(uuids(2), {}, 100)
    clock.advance(EPOCH_TTL_MS / 1000)
    with pytest.raises(RoomShut):
        room.take(uuids(1, 5), {}, 100)


def test_renewing_adds_dialled_calls_but_only_extends_queued_ones(client: redis.Redis) -> None:
    room = opened(client)
    room.renew([Occupant(uuids(1)[0], A.number, dialled=True), Occupant(uuids(1, 1)[0], A.number, dialled=False)])
    assert room.occupancy().uuids == set(uuids(1))


def test_calls_of_a_number_that_is_configured_no_more_still_count(client: redis.Redis) -> None:
    room = Room(client, (A,), 2, FakeClock())
    room.rebuild(lambda: [Occupant(uuids(1)[0], "0571999999", dialled=True)])
    assert len(room.take(uuids(3, 1), {}, 100)) == 1
    with pytest.raises(NoTurn):
        room.pace(uuids(1)[0], "0571999999")
    assert room.release([Lease(uuids(1)[0], "0571999999")]) == 1


def test_the_pace_spaces_calls_evenly(client: redis.Redis) -> None:
    clock = FakeClock()
    room = opened(client, Caller("0571", concurrency=50, cps=4), clock=clock)
    leases = room.take(uuids(20), {}, 100)
    assert len(leases) == HORIZON_MS // 250 + 1
    waits = [room.pace(lease.uuid, lease.caller).wait for lease in leases]
    assert waits == pytest.approx([0.25 * index for index in range(len(leases))], abs=0.002)
    clock.advance(10)
    [late] = room.take(uuids(1, 50), {}, 100)
    assert room.pace(late.uuid, late.caller).wait == 0


def test_no_more_is_granted_than_can_leave_soon(client: redis.Redis) -> None:
    clock = FakeClock()
    room = opened(client, Caller("0571", concurrency=50, cps=1), clock=clock)
    first = room.take(uuids(20), {}, 100)
    assert len(first) == 3
    assert room.take(uuids(20, 20), {}, 100) == []
    room.pace(first[0].uuid, "0571")
    assert room.take(uuids(20, 20), {}, 100) == []
    clock.advance(1)
    assert len(room.take(uuids(20, 20), {}, 100)) == 1


def test_no_more_is_granted_than_workers_can_keep_waiting_and_dispatch_is_rung_before_they_run_dry(
    client: redis.Redis,
) -> None:
    many = [Caller(f"057{index}", concurrency=5_000, cps=5_000) for index in range(2)]
    room = opened(client, *many, max_calls=9_000)
    granted = room.take(uuids(1_100), {}, 9_000)
    assert len(granted) == MOST_UNDIALLED
    assert room.take(uuids(9, 2_000), {}, 9_000) == []
    mine = [lease for lease in granted if lease.caller == many[0].number]
    last = [room.pace(lease.uuid, lease.caller).last for lease in mine]
    assert last.index(True) == len(mine) - LOW_WATER - 1
    assert sum(last) == 1
    assert len(room.take(uuids(9, 3_000), {}, 9_000)) == 9


def test_a_turn_too_far_ahead_is_refused(client: redis.Redis) -> None:
    room = opened(client, Caller("0571", concurrency=50, cps=0.1))
    [lease] = room.take(uuids(5), {}, 100)
    assert room.pace(lease.uuid, "0571").wait == 0
    with pytest.raises(NoTurn):
        room.pace(lease.uuid, "0571")
    assert LONGEST_PACE_MS >= HORIZON_MS


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from(["take", "release", "pace", "wait", "renew"]), st.integers(0, 40))))
def test_whatever_happens_no_limit_is_ever_passed(client: redis.Redis, steps: list[tuple[str, int]]) -> None:
    client.flushall()
    clock = FakeClock()
    callers = (Caller("0571000001", concurrency=3, cps=5), Caller("0571000002", concurrency=4, cps=2))
    room = opened(client, *callers, max_calls=6, clock=clock)
    held: dict[str, str] = {}
    left: dict[str, list[float]] = {caller.number: [] for caller in callers}
    for count, (step, amount) in enumerate(steps):
        if step == "take":
            held |= dict(room.take(uuids(amount, count * 100), {callers[amount % 2].number: amount // 2}, 5))
        elif step == "release":
            room.release([Lease(uuid, held.pop(uuid)) for uuid in list(held)[:amount]])
        elif step == "pace" and held:
            uuid = list(held)[amount % len(held)]
            try:
                wait = room.pace(uuid, held[uuid]).wait
            except NoTurn:
                continue
            left[held[uuid]].append(clock.now_ms() + wait * 1000)
        else:
            clock.advance(amount / 10)
            room.renew([Occupant(uuid, caller, dialled=True) for uuid, caller in held.items()])
        assert room.occupancy().uuids == set(held)
        assert len(held) <= 5
        assert all(Counter(held.values())[caller.number] <= caller.concurrency for caller in callers)
    for caller in callers:
        gaps = [later - sooner for sooner, later in zip(left[caller.number], left[caller.number][1:], strict=False)]
        assert all(gap >= 1000 / caller.cps - 1 for gap in gaps)


def test_without_a_clock_of_its_own_the_server_tells_the_time(client: redis.Redis) -> None:
    room = Room(client, (A,), 10)
    room.rebuild(lambda: [])
    [lease] = room.take(uuids(1), {}, 10)
    assert room.pace(lease.uuid, lease.caller).wait == 0
    assert 0 <= room.occupancy().age_ms < 60_000
    expiry = client.zscore("waihu:room:leases", lease.uuid)
    assert isinstance(expiry, float)
    assert abs(expiry - LEASE_TTL_MS - SystemClock().now_ms()) < 60_000


def beat(capacity: int, sessions: int, phone: int, *, at: int = 0, **other: bool) -> Heartbeat:
    told = {"draining": False, **other}
    return Heartbeat(at=at, capacity=capacity, sessions=sessions, phone_sessions=phone, listen="", **told)


def test_places_count_what_is_not_taken_by_others() -> None:
    assert places([]) == 0
    assert places([beat(200, 50, 30)]) == 180
    assert places([beat(10, 12, 0)]) == 0
    assert places([beat(200, 0, 0), beat(100, 0, 0)]) == 300
    assert places([beat(200, 40, 30, draining=True)]) == 30
    assert places([beat(200, 40, 30, recording=False), beat(10, 0, 0)]) == 40
    assert places([beat(200, 40, 30, speech=False), beat(10, 0, 0)]) == 40


def test_only_media_that_lives_has_places(client: redis.Redis) -> None:
    clock = FakeClock()
    room = opened(client, A, clock=clock)
    at = clock.now_ms() - HEARTBEAT_TTL_MS
    told = {"old": beat(200, 0, 0, at=at), "gone": beat(100, 0, 0, at=at - 1)}
    client.hset(MEDIA_KEY, mapping={name: msgspec.json.encode(one) for name, one in told.items()})
    client.hset(MEDIA_KEY, mapping={"broken": b"not json", "empty": b"{}"})
    assert room.media_places() == 200
