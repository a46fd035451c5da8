"""One session holds a call: the one with the highest part."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import fakeredis
import msgspec

from media.owner import BATCH, Owners
from shared import bus

UUID = "2511201200000000001"


def with_redis(scenario: Callable[[Any, fakeredis.FakeServer], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        server = fakeredis.FakeServer()
        redis = fakeredis.FakeAsyncRedis(server=server)
        async with asyncio.timeout(20):
            await scenario(redis, server)
        await redis.aclose()

    asyncio.run(run())


async def holder(redis: Any) -> bus.Owner | None:
    held = await redis.get(bus.owner_key(UUID))
    return None if held is None else msgspec.json.decode(held, type=bus.Owner)


def test_a_later_part_takes_the_call_and_an_earlier_one_learns_it_when_it_renews() -> None:
    async def scenario(redis: Any, server: fakeredis.FakeServer) -> None:
        lost: list[str] = []
        one, two = Owners(redis, "p1"), Owners(redis, "p2")
        await one.take(UUID, 1, lambda: lost.append("one"))
        await two.take(UUID, 2, lambda: lost.append("two"))
        assert await holder(redis) == bus.Owner(process="p2", part=2)
        await one.renew([UUID])
        assert lost == ["one"]
        assert await holder(redis) == bus.Owner(process="p2", part=2)

    with_redis(scenario)


def test_a_hint_of_a_later_part_is_enough_and_an_earlier_one_changes_nothing() -> None:
    async def scenario(redis: Any, server: fakeredis.FakeServer) -> None:
        lost: list[int] = []
        owners = Owners(redis, "p1")
        await owners.take(UUID, 2, lambda: lost.append(1))
        owners.lost_to(UUID, 1)
        owners.lost_to(UUID, 2)
        assert lost == []
        owners.lost_to(UUID, 3)
        owners.lost_to(UUID, 4)
        assert lost == [1]

    with_redis(scenario)


def test_releasing_frees_ones_own_key_alone() -> None:
    async def scenario(redis: Any, server: fakeredis.FakeServer) -> None:
        one, two = Owners(redis, "p1"), Owners(redis, "p2")
        await one.take(UUID, 1, lambda: None)
        await two.take(UUID, 2, lambda: None)
        await one.release(UUID, 1)
        assert await holder(redis) is not None
        await two.release(UUID, 2)
        assert await holder(redis) is None

    with_redis(scenario)


def test_a_session_that_ends_late_leaves_the_call_to_a_later_one_of_its_own_process() -> None:
    async def scenario(redis: Any, server: fakeredis.FakeServer) -> None:
        owners = Owners(redis, "p1")
        await owners.take(UUID, 1, lambda: None)
        await owners.take(UUID, 2, lambda: None)
        await owners.release(UUID, 1)
        held = await holder(redis)
        assert held is not None
        assert held.part == 2
        await owners.release(UUID, 2)
        assert await holder(redis) is None

    with_redis(scenario)


def test_redis_away_keeps_the_call_and_a_wiped_key_is_written_again() -> None:
    async def scenario(redis: Any, server: fakeredis.FakeServer) -> None:
        lost: list[int] = []
        owners = Owners(redis, "p1")
        await owners.take(UUID, 1, lambda: lost.append(1))
        server.connected = False
        await owners.renew([UUID])
        server.connected = True
        await redis.flushall()
        await owners.renew([UUID])
        assert await holder(redis) == bus.Owner(process="p1", part=1)
        assert lost == []

    with_redis(scenario)


def test_a_key_expires_by_itself() -> None:
    async def scenario(redis: Any, server: fakeredis.FakeServer) -> None:
        await Owners(redis, "p1").take(UUID, 1, lambda: None)
        assert 0 < await redis.pttl(bus.owner_key(UUID)) <= bus.OWNER_TTL_MS

    with_redis(scenario)


def test_many_calls_are_renewed_together() -> None:
    async def scenario(redis: Any, server: fakeredis.FakeServer) -> None:
        lost: list[str] = []
        uuids = [f"25112012{number:011d}" for number in range(BATCH + 5)]
        one, two = Owners(redis, "p1"), Owners(redis, "p2")
        for uuid in uuids:
            await one.take(uuid, 1, lambda uuid=uuid: lost.append(uuid))  # type: ignore[misc]
        await two.take(uuids[BATCH], 2, lambda: None)
        await one.renew(uuids)
        assert lost == [uuids[BATCH]]

    with_redis(scenario)
