"""Whether another process takes new calls at the port of one that leaves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import fakeredis
import msgspec
import pytest

from media import relief
from media.registry import headroom
from media.relief import Relief, place
from shared import bus
from shared.clock import SystemClock

PATIENCE = 20.0
CAPACITY = 10


class PortTwin:
    """A port that is only said to be listened to."""

    def __init__(self) -> None:
        self.listening = True
        self.failing = False

    async def listen(self) -> None:
        if self.failing:
            raise OSError("in use")
        self.listening = True

    async def stand_down(self) -> None:
        self.listening = False

    async def quiet(self) -> None:
        """Nobody is there."""


class Watch:
    """A process that drains, what it finds in Redis, and who really listens at its port besides."""

    def __init__(self, neighbour: socket.socket) -> None:
        self.server = fakeredis.FakeServer()
        self.redis = fakeredis.FakeAsyncRedis(server=self.server)
        self.clock = SystemClock()
        self.at = ("127.0.0.1", int(neighbour.getsockname()[1]))
        self.neighbour = neighbour
        self.port = PortTwin()
        self.relief = Relief(self.redis, "me", self.at, self.port)

    async def beat(
        self,
        process: str = "other",
        *,
        age: int = 0,
        sessions: int = 0,
        draining: bool = False,
        where: str | None = None,
        listen: str = "",
    ) -> None:
        beat = bus.Heartbeat(
            at=self.clock.now_ms() - age,
            capacity=CAPACITY,
            sessions=sessions,
            phone_sessions=sessions,
            draining=draining,
            listen=listen or f"127.0.0.1:{self.at[1]}",
            place=place() if where is None else where,
        )
        await self.redis.hset(bus.MEDIA_KEY, process, msgspec.json.encode(beat))


def watching(scenario: Callable[[Watch], Awaitable[None]]) -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as neighbour:
            watch = Watch(neighbour)
            async with asyncio.timeout(PATIENCE):
                await scenario(watch)
            await watch.redis.aclose()

    asyncio.run(run())


def test_a_process_that_stays_at_the_same_port_relieves_it() -> None:
    async def scenario(watch: Watch) -> None:
        assert not await watch.relief.look(), "nobody else is there"
        await watch.beat()
        assert await watch.relief.look()
        assert not watch.port.listening

    watching(scenario)


@pytest.mark.parametrize(
    "other",
    [
        {"process": "me"},
        {"draining": True},
        {"sessions": CAPACITY},
        {"age": 2 * bus.HEARTBEAT_TTL_MS},
        {"where": "another machine"},
        {"where": ""},
        {"listen": "127.0.0.1:1"},
    ],
)
def test_who_leaves_is_full_is_gone_or_is_elsewhere_does_not(other: dict[str, object]) -> None:
    async def scenario(watch: Watch) -> None:
        await watch.beat(**other)  # type: ignore[arg-type]
        assert not await watch.relief.look()
        assert watch.port.listening

    watching(scenario)


def test_it_listens_again_when_the_other_leaves_too_or_has_no_place_at_all() -> None:
    async def scenario(watch: Watch) -> None:
        for lost in ({"draining": True}, {"sessions": CAPACITY + headroom(CAPACITY)}):
            await watch.beat()
            assert await watch.relief.look()
            await watch.beat(sessions=CAPACITY)
            assert await watch.relief.look(), "a call more or less is no reason to come back"
            await watch.beat(**lost)  # type: ignore[arg-type]
            assert not await watch.relief.look()
            assert watch.port.listening

    watching(scenario)


def test_it_listens_again_when_the_other_was_killed_whose_heartbeat_is_still_fresh() -> None:
    async def scenario(watch: Watch) -> None:
        await watch.beat()
        assert await watch.relief.look()
        watch.neighbour.close()
        assert not await watch.relief.look()
        assert watch.port.listening

    watching(scenario)


def test_while_redis_is_away_all_stays_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(watch: Watch) -> None:
        await watch.beat()
        watch.server.connected = False
        assert not await watch.relief.look()
        assert "cannot tell who takes new calls" in caplog.text
        watch.server.connected = True
        assert await watch.relief.look()
        watch.server.connected = False
        assert await watch.relief.look()

    watching(scenario)


def test_a_port_that_cannot_be_had_again_is_tried_again() -> None:
    async def scenario(watch: Watch) -> None:
        await watch.beat()
        assert await watch.relief.look()
        await watch.beat(draining=True)
        watch.port.failing = True
        assert await watch.relief.look(), "it does not listen"
        watch.port.failing = False
        assert not await watch.relief.look()

    watching(scenario)


def test_it_looks_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relief, "LOOK_SECONDS", 0.01)

    async def scenario(watch: Watch) -> None:
        looking = asyncio.ensure_future(watch.relief.run())
        await watch.beat()
        while watch.port.listening:  # noqa: ASYNC110 - a twin has no event
            await asyncio.sleep(0.005)
        looking.cancel()

    watching(scenario)


def test_two_processes_of_one_network_are_in_the_same_place() -> None:
    assert place() == place() != ""
