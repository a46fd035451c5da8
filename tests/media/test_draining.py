"""How a process leaves: live calls finish, phones that ring are answered, and nothing waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import fakeredis
import pytest
from websockets.asyncio.client import ClientConnection

from media import draining, relief, ringing
from media.draining import Drain, told_once
from media.registry import Heart
from media.relief import Relief, place
from media.ringing import Ringing
from shared import bus
from shared.clock import FakeClock
from tests.media.office import PATIENCE, Office, answer, frame, office, uuid_of

LONG = 50.0


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ringing, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(relief, "LOOK_SECONDS", 0.05)


def drain_of(here: Office, *, timeout: float = LONG, ring_timeout: float = LONG) -> Drain:
    return Drain(
        registry=here.registry,
        exchange=here.exchange,
        heart=Heart(here.redis, here.registry, here.clock, "twin", "x"),
        ringing=Ringing(here.redis, here.registry, "twin"),
        relief=Relief(here.redis, "twin", ("127.0.0.1", here.server.port), here.server),
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


# --- another process at the same port ------------------------------------------------------------------------------


@asynccontextmanager
async def two_offices(root: Path) -> AsyncIterator[tuple[Office, Office]]:
    """One that leaves, and one that stays at its port and says so."""
    redis_server = fakeredis.FakeServer()
    async with (
        asyncio.timeout(2 * PATIENCE),
        office(root / "leaves", redis_server=redis_server, capacity=256) as leaves,
        office(root / "stays", redis_server=redis_server, capacity=256, port=leaves.server.port) as stays,
    ):
        listen = f"127.0.0.1:{leaves.server.port}"
        await Heart(stays.redis, stays.registry, stays.clock, "stays", listen, place()).beat()
        yield leaves, stays


async def reach(here: Office, *numbers: int) -> list[tuple[int, ClientConnection]]:
    """Sockets that the kernel gave to this office rather than to the other one, one for each call."""
    reached = []
    for number in numbers:
        while True:
            before = here.welcomed
            phone = await here.dial()
            await (await phone.ping())
            if here.welcomed > before:
                reached.append((number, phone))
                break
            await phone.close()
    return reached


def test_a_process_whose_port_another_one_shares_leaves_although_calls_never_cease_to_come(tmp_path: Path) -> None:
    async def call(leaves: Office, stays: Office, number: int) -> str:
        async with stays.dial() as phone:
            await phone.send(frame(number))
            both = (leaves.exchange.sessions, stays.exchange.sessions)
            await stays.until(lambda: any(uuid_of(number) in sessions for sessions in both))
            session = next(sessions[uuid_of(number)] for sessions in both if uuid_of(number) in sessions)
            await stays.until(lambda: session.leg.ready)
            await asyncio.sleep(0.3)
            assert not session.over
            session.end("done", "system")
            await phone.wait_closed()
            return f"{phone.close_code} {session.reason}"

    async def scenario() -> None:
        async with two_offices(tmp_path) as (leaves, stays):
            leaves.know(*range(1, 200))
            stays.know(*range(1, 200))
            calls = [asyncio.ensure_future(call(leaves, stays, number)) for number in range(1, 21)]
            await leaves.until(lambda: len(leaves.exchange.sessions) > 3)
            leaving = asyncio.ensure_future(drain_of(leaves).run(asyncio.Event()))
            number = 20
            while not leaving.done():
                number += 1
                calls.append(asyncio.ensure_future(call(leaves, stays, number)))
                await asyncio.sleep(0.05)
            assert set(await asyncio.gather(*calls)) == {"1000 done"}
            assert 30 < number < 120, "it left soon after its last call"

    asyncio.run(scenario())


def test_who_was_let_in_and_has_not_spoken_yet_is_still_talked_with(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with two_offices(tmp_path) as (leaves, _stays):
            leaves.know(1, 2)
            (_, early), (_, late) = await reach(leaves, 1, 2)
            leaving = asyncio.ensure_future(drain_of(leaves).run(asyncio.Event()))
            await leaves.until(lambda: not leaves.server.listening)
            session = await answer(leaves, early, 1)
            session.end("done", "system")
            await early.wait_closed()
            session = await answer(leaves, late, 2)
            assert not leaving.done()
            session.end("done", "system")
            await leaving
            await late.wait_closed()
            assert session.reason == "done"

    asyncio.run(scenario())


def test_when_the_other_one_leaves_as_well_the_last_to_stay_listens_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with two_offices(tmp_path) as (leaves, stays):
            await rings(leaves, 1)
            leaves.know(2)
            ((_, phone),) = await reach(leaves, 2)
            talking = await answer(leaves, phone, 2)
            leaving = asyncio.ensure_future(drain_of(leaves).run(asyncio.Event()))
            await leaves.until(lambda: not leaves.server.listening)
            await leaves.redis.hdel(bus.MEDIA_KEY, "stays")
            await leaves.until(lambda: leaves.server.listening)
            await stays.server.stop()
            async with leaves.dial() as second:
                session = await answer(leaves, second, 1)
                for one in (talking, session):
                    one.end("done", "system")
                await leaves.redis.zrem(bus.LEASES_KEY, uuid_of(1))
                await leaving
            await phone.close()

    asyncio.run(scenario())
