from __future__ import annotations

import asyncio

import pytest

from sandbox.phone.clock import SystemClock
from sandbox.phone.ticker import KEPT_LATENESS, TICK_SECONDS, Ticker


def test_ticks_keep_up_with_the_clock_whatever_they_cost() -> None:
    async def scenario() -> None:
        clock, ticks, done = SystemClock(), list[float](), asyncio.Event()

        def tick() -> None:
            ticks.append(clock.now())
            if len(ticks) == 60:
                done.set()

        ticker = Ticker(clock, tick)
        running = asyncio.ensure_future(ticker.run())
        began = clock.now()
        await asyncio.wait_for(done.wait(), 30)
        running.cancel()
        assert ticks[-1] - began >= 59 * TICK_SECONDS  # never early
        assert len(ticker.lateness) >= 60

    asyncio.run(scenario())


def test_what_a_tick_raises_ends_the_ticker() -> None:
    def tick() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(Ticker(SystemClock(), tick).run())


def test_lateness_is_kept_within_its_bound() -> None:
    ticker = Ticker(SystemClock(), lambda: None)
    for number in range(KEPT_LATENESS + 5):
        ticker._keep(float(number))
    assert len(ticker.lateness) == KEPT_LATENESS
    assert max(ticker.lateness) == KEPT_LATENESS + 4
