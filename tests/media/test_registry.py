"""Room is counted when it is taken, and the workers hear of it."""

from __future__ import annotations

import asyncio

import fakeredis
import msgspec
import pytest

from media.registry import HEADROOM_LEAST, Heart, Registry, headroom
from shared import bus
from shared.clock import FakeClock


def test_sessions_are_refused_at_the_capacity_and_phones_beyond_the_headroom() -> None:
    registry = Registry(2)
    assert [registry.admit("session") for _ in range(3)] == [True, True, False]
    assert [registry.admit("phone") for _ in range(HEADROOM_LEAST + 1)] == [True] * HEADROOM_LEAST + [False]
    assert (registry.sessions, registry.phone_sessions, registry.refused) == (2 + HEADROOM_LEAST, HEADROOM_LEAST, 2)


def test_a_place_given_back_can_be_taken_again() -> None:
    registry = Registry(1)
    assert registry.admit("session")
    registry.release("session")
    assert registry.admit("session")
    with pytest.raises(ValueError, match="phone"):
        registry.release("phone")


def test_headroom_grows_with_the_capacity() -> None:
    assert headroom(1) == HEADROOM_LEAST
    assert headroom(400) == 40


def test_empty_is_told_when_the_last_has_left() -> None:
    async def scenario() -> None:
        registry = Registry(2)
        async with asyncio.timeout(5):
            await registry.empty()
            registry.admit("phone")
            waiting = asyncio.ensure_future(registry.empty())
            await asyncio.sleep(0)
            assert not waiting.done()
            registry.release("phone")
            await waiting

    asyncio.run(scenario())


def test_a_heartbeat_says_what_there_is_and_its_end() -> None:
    async def scenario() -> None:
        redis = fakeredis.FakeAsyncRedis()
        registry = Registry(200)
        registry.admit("phone")
        registry.draining, registry.recordable = True, False
        heart = Heart(redis, registry, FakeClock(), "p1", "127.0.0.1:8080")
        await heart.beat()
        beat = msgspec.json.decode((await redis.hgetall(bus.MEDIA_KEY))[b"p1"], type=bus.Heartbeat)
        assert (beat.capacity, beat.sessions, beat.phone_sessions, beat.draining) == (200, 1, 1, True)
        assert not beat.recording
        await heart.stop()
        assert await redis.hgetall(bus.MEDIA_KEY) == {}
        await redis.aclose()

    asyncio.run(scenario())


def test_redis_away_is_no_failure_of_the_heart() -> None:
    async def scenario() -> None:
        server = fakeredis.FakeServer()
        redis = fakeredis.FakeAsyncRedis(server=server)
        server.connected = False
        heart = Heart(redis, Registry(1), FakeClock(), "p1", "x")
        await heart.beat()
        server.connected = True
        await heart.beat()
        assert await redis.hexists(bus.MEDIA_KEY, "p1")
        await redis.aclose()

    asyncio.run(scenario())
