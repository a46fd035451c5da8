"""What a call is about: read, asked for, or missing."""

from __future__ import annotations

import asyncio
from typing import Any

import fakeredis
import msgspec
import pytest

from media.bell import Bell
from media.briefing import RedisBriefings
from media.timekeeping import Timekeeper
from shared import bus, doorbell
from shared.clock import HouseClock
from shared.errors import BriefingMissing
from tests.media.office import RingsTwin, briefing_of


class Worker(RingsTwin):
    """Writes the briefing when it is rung for."""

    def __init__(self, redis: Any, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._redis = redis
        self._loop = loop

    def ring(self, name: str, *args: Any) -> bool:
        super().ring(name, *args)
        asyncio.run_coroutine_threadsafe(write(self._redis, briefing_of(1)), self._loop)
        return True


def briefings_of(redis: Any, bell: Bell) -> RedisBriefings:
    return RedisBriefings(redis, bell, Timekeeper(redis, HouseClock()))


async def write(redis: Any, briefing: bus.Briefing) -> None:
    for key in (briefing.uuid, briefing.call_id):
        await redis.set(bus.briefing_key(key), msgspec.json.encode(briefing))


def test_a_briefing_that_is_there_is_read_without_asking() -> None:
    async def scenario() -> None:
        redis = fakeredis.FakeAsyncRedis()
        rings = RingsTwin()
        await write(redis, briefing_of(1))
        briefings = briefings_of(redis, Bell(rings))
        assert await briefings.find("call-1") == briefing_of(1)
        assert await briefings.read(briefing_of(1).uuid) == briefing_of(1)
        assert rings.rung == []
        await redis.aclose()

    asyncio.run(scenario())


def test_a_worker_is_asked_once_for_one_that_is_not_and_told_of_the_audio_again() -> None:
    async def scenario() -> None:
        redis = fakeredis.FakeAsyncRedis()
        worker = Worker(redis, asyncio.get_running_loop())
        bell = Bell(worker)
        bell.start()
        assert await briefings_of(redis, bell).find("call-1") == briefing_of(1)
        await asyncio.to_thread(bell.stop)
        assert worker.rung == [(doorbell.BRIEF, ("call-1",)), (doorbell.AUDIO_STARTED, ("call-1",))]
        await redis.aclose()

    asyncio.run(scenario())


@pytest.mark.parametrize("away", [False, True])
def test_nobody_knowing_in_time_is_an_error(monkeypatch: pytest.MonkeyPatch, away: bool) -> None:
    monkeypatch.setattr("media.briefing.WAIT_SECONDS", 0.2)

    async def scenario() -> None:
        server = fakeredis.FakeServer()
        server.connected = not away
        redis = fakeredis.FakeAsyncRedis(server=server)
        with pytest.raises(BriefingMissing, match="call-1"):
            await briefings_of(redis, Bell(RingsTwin())).find("call-1")
        await redis.aclose()

    asyncio.run(scenario())


def test_what_is_no_briefing_counts_as_missing() -> None:
    async def scenario() -> None:
        redis = fakeredis.FakeAsyncRedis()
        await redis.set(bus.briefing_key("call-1"), b"{}")
        assert await briefings_of(redis, Bell(RingsTwin())).read("call-1") is None
        await redis.aclose()

    asyncio.run(scenario())
