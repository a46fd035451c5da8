"""Whether a phone rings whose audio must come to this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import fakeredis
import msgspec
import pytest

from media import ringing
from media.registry import Registry
from media.ringing import Ringing
from shared import bus
from shared.clock import SystemClock

MINUTE = 60_000
PATIENCE = 20.0


class Watch:
    """A process that drains, and what it finds in Redis."""

    def __init__(self) -> None:
        self.server = fakeredis.FakeServer()
        self.redis = fakeredis.FakeAsyncRedis(server=self.server)
        self.clock = SystemClock()
        self.registry = Registry(10)
        self.ringing = Ringing(self.redis, self.registry, "me")

    async def lease(self, *uuids: str, expires_in: int = MINUTE) -> None:
        await self.redis.zadd(bus.LEASES_KEY, dict.fromkeys(uuids, self.clock.now_ms() + expires_in))

    async def beat(self, process: str, *, age: int = 0, calls: int = 0, draining: bool = False) -> None:
        beat = bus.Heartbeat(
            at=self.clock.now_ms() - age,
            capacity=10,
            sessions=calls,
            phone_sessions=calls,
            draining=draining,
            listen="x",
        )
        await self.redis.hset(bus.MEDIA_KEY, process, msgspec.json.encode(beat))

    async def waits(self) -> bool:
        """Whether a look at Redis finds a reason to wait."""
        return await self.ringing._expected()


def watching(scenario: Callable[[Watch], Awaitable[None]]) -> None:
    async def run() -> None:
        watch = Watch()
        async with asyncio.timeout(PATIENCE):
            await scenario(watch)
        await watch.redis.aclose()

    asyncio.run(run())


def test_a_call_that_has_room_and_no_session_is_waited_for() -> None:
    async def scenario(watch: Watch) -> None:
        assert not await watch.waits()
        await watch.lease("1", "2")
        await watch.beat("me", draining=True)
        assert await watch.waits()
        watch.registry.admit("phone")
        assert await watch.waits()
        watch.registry.admit("phone")
        assert not await watch.waits(), "both are here"

    watching(scenario)


def test_calls_that_others_hold_and_leases_that_expired_are_not_waited_for() -> None:
    async def scenario(watch: Watch) -> None:
        await watch.lease("1", "2")
        await watch.lease("3", expires_in=-1)
        await watch.beat("other", calls=1, draining=True)
        assert await watch.waits()
        await watch.beat("other", calls=2, draining=True)
        assert not await watch.waits()

    watching(scenario)


@pytest.mark.parametrize(
    ("age", "calls", "draining", "waits"),
    [
        (0, 0, False, False),
        (0, 0, True, True),
        (0, 10, False, True),
        (2 * bus.HEARTBEAT_TTL_MS, 0, False, True),
    ],
)
def test_who_takes_new_calls_takes_these_too(age: int, calls: int, draining: bool, waits: bool) -> None:
    async def scenario(watch: Watch) -> None:
        await watch.lease(*(str(number) for number in range(calls + 1)))
        await watch.beat("other", age=age, calls=calls, draining=draining)
        assert await watch.waits() is waits

    watching(scenario)


def test_a_heartbeat_that_cannot_be_read_counts_for_nothing() -> None:
    async def scenario(watch: Watch) -> None:
        await watch.lease("1")
        await watch.redis.hset(bus.MEDIA_KEY, "other", b"{")
        assert await watch.waits()

    watching(scenario)


def test_it_is_over_when_the_last_lease_is_given_back_and_not_while_redis_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ringing, "LOOK_SECONDS", 0.01)

    async def scenario(watch: Watch) -> None:
        watch.server.connected = False
        over = asyncio.ensure_future(watch.ringing.over())
        while "cannot tell whether phones ring" not in caplog.text:  # noqa: ASYNC110 - a log line has no event
            await asyncio.sleep(0.005)
        watch.server.connected = True
        await watch.lease("1")
        await asyncio.sleep(0.05)
        assert not over.done()
        await watch.redis.zrem(bus.LEASES_KEY, "1")
        await over

    watching(scenario)
