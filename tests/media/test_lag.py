"""A loop that stands still is noticed, and where."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from media.lag import STALL_SECONDS, LagProbe


def test_a_stall_is_counted_and_its_stack_told(caplog: pytest.LogCaptureFixture) -> None:
    def stand_still(until: float) -> None:
        while time.monotonic() < until and "stand_still" not in caplog.text:
            time.sleep(0.01)
        time.sleep(2 * STALL_SECONDS)

    async def scenario() -> None:
        probe = LagProbe(asyncio.get_running_loop())
        probe.start()
        stand_still(time.monotonic() + 20)
        async with asyncio.timeout(20):
            while not probe.stalls:  # noqa: ASYNC110 - the probe has no event
                await asyncio.sleep(0.01)
        probe.stop()
        assert probe.lateness.largest > STALL_SECONDS

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert "stand_still" in caplog.text


def test_a_loop_that_turns_is_not_complained_of() -> None:
    async def scenario() -> None:
        probe = LagProbe(asyncio.get_running_loop())
        probe.start()
        async with asyncio.timeout(20):
            while probe.lateness.count < 2:  # noqa: ASYNC110 - the probe has no event
                await asyncio.sleep(0.01)
        probe.stop()

    asyncio.run(scenario())
