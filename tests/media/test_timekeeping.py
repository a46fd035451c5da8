"""A process without a database knows what time it is in the house."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import fakeredis
import pytest

from media.timekeeping import DOUBTS, Timekeeper
from shared import bus
from shared.clock import HouseClock

HOUR_MS = 3_600_000


class Host:
    """One whose own clock is two hours ahead, as is Redis' by what the workers say."""

    def __init__(self) -> None:
        self.server = fakeredis.FakeServer()
        self.redis = fakeredis.FakeAsyncRedis(server=self.server)
        self.clock = HouseClock(system_ms=lambda: time.time_ns() // 1_000_000 + HOUR_MS)
        self.timekeeper = Timekeeper(self.redis, self.clock)

    def off(self) -> float:
        """By how much its time is ahead of the true one, in milliseconds."""
        return self.clock.now_ms() - time.time() * 1000


def on(scenario: Callable[[Host], Awaitable[None]]) -> None:
    async def run() -> None:
        host = Host()
        async with asyncio.timeout(20):
            await scenario(host)
        await host.redis.aclose()

    asyncio.run(run())


def test_it_is_redis_time_put_right_by_the_workers() -> None:
    async def scenario(host: Host) -> None:
        await host.redis.set(bus.CLOCK_KEY, -HOUR_MS)
        await host.timekeeper.look()
        assert host.off() == pytest.approx(-HOUR_MS, abs=1_000)
        assert host.clock.skew_ms() == pytest.approx(2 * HOUR_MS, abs=1_000)

    on(scenario)


def test_without_the_workers_word_redis_is_not_believed() -> None:
    async def scenario(host: Host) -> None:
        await host.timekeeper.look()
        assert not host.clock.calibrated
        await host.redis.set(bus.CLOCK_KEY, 0)
        await host.timekeeper.known()
        assert host.off() == pytest.approx(0, abs=1_000)
        await host.redis.set(bus.CLOCK_KEY, HOUR_MS)
        await host.timekeeper.known()
        assert host.off() == pytest.approx(0, abs=1_000), "it was known already"
        await host.redis.delete(bus.CLOCK_KEY)
        await host.timekeeper.look()
        assert host.off() == pytest.approx(0, abs=1_000), "Redis was wiped, and time goes on"

    on(scenario)


def test_a_redis_whose_clock_was_set_is_doubted_until_the_workers_have_put_it_right() -> None:
    async def scenario(host: Host) -> None:
        await host.redis.set(bus.CLOCK_KEY, 0)
        await host.timekeeper.look()
        for told in (HOUR_MS, HOUR_MS, 0, HOUR_MS, HOUR_MS, 0):
            await host.redis.set(bus.CLOCK_KEY, told)
            await host.timekeeper.look()
            assert host.off() == pytest.approx(0, abs=1_000)
        await host.redis.set(bus.CLOCK_KEY, HOUR_MS)
        for _ in range(DOUBTS):
            await host.timekeeper.look()
        assert host.off() == pytest.approx(HOUR_MS, abs=1_000), "it is the house's time that was set"

    on(scenario)


def test_redis_away_is_told_once_and_time_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(host: Host) -> None:
        await host.redis.set(bus.CLOCK_KEY, 0)
        await host.timekeeper.look()
        host.server.connected = False
        for _ in range(3):
            await host.timekeeper.look()
        assert host.off() == pytest.approx(0, abs=1_000)

    on(scenario)
    assert [record.message for record in caplog.records].count("Redis does not tell the time") == 1
