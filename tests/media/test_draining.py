"""How a process leaves: live calls finish, phones that ring are answered, and nothing waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from media import draining, ringing
from media.draining import Drain, told_once
from media.registry import Heart
from media.ringing import Ringing
from shared import bus
from shared.clock import FakeClock
from tests.media.office import PATIENCE, Office, answer, office, uuid_of

LONG = 50.0


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ringing, "LOOK_SECONDS", 0.01)


def drain_of(here: Office, *, timeout: float = LONG, ring_timeout: float = LONG) -> Drain:
    return Drain(
        registry=here.registry,
        exchange=here.exchange,
        heart=Heart(here.redis, here.registry, here.clock, "twin", "x"),
        ringing=Ringing(here.redis, here.registry, "twin"),
        timeout=timeout,
        ring_timeout=ring_timeout,
    )


async def rings(here: Office, number: int) -> None:
    """A worker has placed a call."""
    here.know(number)
    await here.redis.zadd(bus.LEASES_KEY, {uuid_of(number): here.clock.now_ms() + 60_000})


def in_office(scenario: Callable[[Office], Awaitable[None]], tmp_path: Path, capacity: int = 16) -> None:
    async def run() -> None:
        async with asyncio.timeout(2 * PATIENCE), office(tmp_path, capacity=capacity) as here:
            await scenario(here)

    asyncio.run(run())


def test_a_drain_waits_for_live_calls(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        async with here.dial() as phone:
            session = await answer(here, phone, 1)
            leaving = asyncio.ensure_future(drain_of(here).run(asyncio.Event()))
            await here.until(lambda: here.registry.draining)
            assert not session.over
            session.end("done", "system")
            await leaving
            assert (session.reason, here.registry.sessions) == ("done", 0)

    in_office(scenario, tmp_path)


def test_a_drain_that_lasts_too_long_ends_what_is_left(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        async with here.dial() as phone:
            session = await answer(here, phone, 1)
            await drain_of(here, timeout=0.1).run(asyncio.Event())
            assert (session.reason, here.registry.sessions) == ("shutdown", 0)

    in_office(scenario, tmp_path)


def test_one_signal_that_comes_by_two_ways_is_not_a_second_one() -> None:
    clock, told = FakeClock(), []
    hear = told_once(lambda: told.append(clock.monotonic()), clock.monotonic)
    began = clock.monotonic()
    for wait in (5.0, 0.001, 0.9, 0.1, 0.5, 60.0):
        clock.advance(wait)
        hear()
    assert [at - began for at in told] == pytest.approx([5.0, 6.001, 66.501])


def test_a_second_signal_ends_every_call(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        signalled = asyncio.Event()
        async with here.dial() as phone:
            session = await answer(here, phone, 1)
            leaving = asyncio.ensure_future(drain_of(here).run(signalled))
            await here.until(lambda: here.registry.draining)
            signalled.set()
            await leaving
            assert (session.reason, here.registry.sessions) == ("shutdown", 0)

    in_office(scenario, tmp_path)


def test_who_picks_up_while_the_last_process_drains_is_talked_with(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        await rings(here, 1)
        leaving = asyncio.ensure_future(drain_of(here).run(asyncio.Event()))
        await here.until(lambda: here.registry.draining)
        async with here.dial() as phone:
            session = await answer(here, phone, 1)
            assert not leaving.done()
            session.end("done", "system")
            await here.redis.zrem(bus.LEASES_KEY, uuid_of(1))
            await leaving
            assert session.reason == "done"

    in_office(scenario, tmp_path)


def test_nothing_is_waited_for_when_no_phone_rings(tmp_path: Path) -> None:
    in_office(lambda here: drain_of(here).run(asyncio.Event()), tmp_path)


def test_a_phone_that_rings_for_ever_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "PLACING_SECONDS", 0.05)

    async def scenario(here: Office) -> None:
        await rings(here, 1)
        await drain_of(here, ring_timeout=0.05).run(asyncio.Event())

    in_office(scenario, tmp_path)


def test_a_process_that_drains_says_at_once_that_it_takes_no_call(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        drain = drain_of(here)
        await drain.heart.beat()
        await drain.run(asyncio.Event())
        beat = await here.redis.hget(bus.MEDIA_KEY, "twin")
        assert b'"draining":true' in beat

    in_office(scenario, tmp_path)


def test_a_drain_under_many_calls_loses_none(tmp_path: Path) -> None:
    """Some talk, some ring; the talking ones end one after another, those that ring pick up meanwhile."""
    talking, ringing_still = range(1, 101), range(101, 201)

    async def call(here: Office, number: int) -> str:
        async with here.dial() as phone:
            session = await answer(here, phone, number)
            await here.until(lambda: here.registry.draining)
            await asyncio.sleep(0.005 * number)
            session.end("done", "system")
        await here.redis.zrem(bus.LEASES_KEY, uuid_of(number))
        return session.reason

    async def scenario(here: Office) -> None:
        for number in (*talking, *ringing_still):
            await rings(here, number)
        first = [asyncio.ensure_future(call(here, number)) for number in talking]
        await here.until(lambda: len(here.exchange.sessions) == len(talking))
        leaving = asyncio.ensure_future(drain_of(here).run(asyncio.Event()))
        await here.until(lambda: here.registry.draining)
        second = [asyncio.ensure_future(call(here, number)) for number in ringing_still]
        assert set(await asyncio.gather(*first, *second)) == {"done"}
        await leaving
        assert (here.registry.admitted, here.registry.refused) == (200, 0)

    in_office(scenario, tmp_path, capacity=256)
