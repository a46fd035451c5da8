"""Hints and live events over Redis, and what happens without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import fakeredis
import msgspec
import pytest

from media import control
from media.control import MAX_WAITING, Control
from media.protocol import events
from shared import bus
from tests.media.office import BriefingsTwin, briefing_of, uuid_of


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - conditions of many kinds
            await asyncio.sleep(0.005)


def event(number: int) -> events.Speaking:
    return events.Speaking(timestamp=number, track_id="t", start_time=number)


def test_hints_for_watched_calls_alone_are_heard() -> None:
    async def scenario() -> None:
        redis = fakeredis.FakeAsyncRedis()
        heard: list[tuple[str, str]] = []
        control = Control(redis, BriefingsTwin(), "p1", lambda uuid, hint: heard.append((uuid, hint.type)))
        running = asyncio.ensure_future(control.run())
        control.watch(uuid_of(1))
        control.watch(uuid_of(2))
        channels = [bus.call_channel(uuid_of(number)) for number in (1, 2)]
        async with asyncio.timeout(20):
            while dict(await redis.pubsub_numsub(*channels)) != {channel.encode(): 1 for channel in channels}:  # noqa: ASYNC110 - Redis tells nobody
                await asyncio.sleep(0.005)
            control.forget(uuid_of(2))
            while dict(await redis.pubsub_numsub(channels[1])) != {channels[1].encode(): 0}:  # noqa: ASYNC110 - Redis tells nobody
                await asyncio.sleep(0.005)
        hint = msgspec.json.encode(bus.Hint(type="hangup"))
        assert await redis.publish(channels[1], hint) == 0
        await redis.publish(channels[0], hint)
        await until(lambda: heard)
        assert heard == [(uuid_of(1), "hangup")]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await redis.aclose()

    asyncio.run(scenario())


def test_a_stop_said_before_the_calls_channel_was_heard_is_found() -> None:
    """Between a call's look-up and its subscription nobody hears its hints."""

    async def scenario() -> None:
        redis = fakeredis.FakeAsyncRedis()
        briefings = BriefingsTwin()
        briefings.known["call-1"] = briefing_of(1)
        briefings.known["call-2"] = briefing_of(2)
        heard: list[tuple[str, str]] = []
        control = Control(redis, briefings, "p1", lambda uuid, hint: heard.append((uuid, hint.type)))
        running = asyncio.ensure_future(control.run())
        await until(lambda: control.connected)
        briefings.known["call-1"] = briefing_of(1, stop_asked=True)
        assert await redis.publish(bus.call_channel(uuid_of(1)), msgspec.json.encode(bus.Hint(type="stopped"))) == 0
        control.watch(uuid_of(2))
        control.watch(uuid_of(1))
        await until(lambda: heard)
        assert heard == [(uuid_of(1), "stopped")]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await redis.aclose()

    asyncio.run(scenario())


def test_a_connection_that_breaks_is_made_again_as_often_as_it_breaks() -> None:
    async def scenario() -> None:
        server = fakeredis.FakeServer()
        redis = fakeredis.FakeAsyncRedis(server=server)
        heard: list[str] = []
        control = Control(redis, BriefingsTwin(), "p1", lambda uuid, hint: heard.append(uuid))
        running = asyncio.ensure_future(control.run())
        for number in (1, 2):
            await until(lambda: control.connected)
            server.connected = False
            control.watch(uuid_of(number))
            await until(lambda: not control.connected)
            server.connected = True
            channel = bus.call_channel(uuid_of(number))
            async with asyncio.timeout(20):
                while not await redis.publish(channel, msgspec.json.encode(bus.Hint(type="hangup"))):  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
        await until(lambda: heard == [uuid_of(1), uuid_of(2)])
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await redis.aclose()

    asyncio.run(scenario())


def test_the_oldest_live_events_are_dropped_first() -> None:
    async def scenario() -> None:
        server = fakeredis.FakeServer()
        redis = fakeredis.FakeAsyncRedis(server=server)
        control = Control(redis, BriefingsTwin(), "p1", lambda uuid, hint: None)
        for number in range(MAX_WAITING + 7):
            control.tell(uuid_of(1), event(number))
        assert control.dropped == 7
        assert len(control._outbox) == MAX_WAITING
        assert msgspec.json.decode(control._outbox[0], type=bus.LiveEvent).at == 7
        await redis.aclose()

    asyncio.run(scenario())


def test_the_events_of_many_calls_go_out_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first at once, and what came meanwhile after it, or when the process leaves."""
    monkeypatch.setattr(control, "GATHER_SECONDS", 3600.0)

    async def scenario() -> None:
        redis = fakeredis.FakeAsyncRedis()
        heard = redis.pubsub()
        await heard.subscribe(bus.LIVE_CHANNEL)
        pipelines: list[object] = []
        make = redis.pipeline

        def pipeline(transaction: bool = True) -> object:
            pipelines.append(made := make(transaction=transaction))
            return made

        redis.pipeline = pipeline
        one = Control(redis, BriefingsTwin(), "p1", lambda uuid, hint: None)
        running = asyncio.ensure_future(one.run())
        await until(lambda: one.connected)
        one.tell(uuid_of(0), event(0))
        await until(lambda: pipelines and not one._outbox)
        for number in range(1, 60):
            one.tell(uuid_of(number), event(number))
            await asyncio.sleep(0)
        assert len(pipelines) == 1
        await one.flush()
        assert len(pipelines) == 2
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        told = [message async for message in _until_sixty(heard)]
        assert [msgspec.json.decode(each, type=bus.LiveEvent).at for each in told] == list(range(60))
        await heard.aclose()
        await redis.aclose()

    asyncio.run(scenario())


def test_what_cannot_be_told_when_the_process_leaves_is_counted() -> None:
    async def scenario() -> None:
        server = fakeredis.FakeServer()
        one = Control(fakeredis.FakeAsyncRedis(server=server), BriefingsTwin(), "p1", lambda uuid, hint: None)
        for number in range(3):
            one.tell(uuid_of(number), event(number))
        server.connected = False
        await one.flush()
        assert one.dropped == 3

    asyncio.run(scenario())


async def _until_sixty(pubsub: Any) -> AsyncIterator[bytes]:
    seen = 0
    async for message in pubsub.listen():
        if message["type"] == "message":
            yield message["data"]
            seen += 1
            if seen == 60:
                return


def test_dialogue_is_told_only_when_asked_for() -> None:
    async def scenario() -> None:
        redis = fakeredis.FakeAsyncRedis()
        said = events.AsrFinal(timestamp=1, track_id="t", index=0, start_time=0, end_time=1, text="秘密")
        quiet = Control(redis, BriefingsTwin(), "p1", lambda uuid, hint: None)
        open_one = Control(redis, BriefingsTwin(), "p1", lambda uuid, hint: None, with_speech=True)
        quiet.tell("u", said)
        open_one.tell("u", said)
        assert "秘密".encode() not in quiet._outbox[0]
        assert "秘密".encode() in open_one._outbox[0]
        await redis.aclose()

    asyncio.run(scenario())


def test_a_stop_said_while_redis_was_away_is_found_when_it_is_back() -> None:
    async def scenario() -> None:
        server = fakeredis.FakeServer()
        server.connected = False
        redis = fakeredis.FakeAsyncRedis(server=server)
        briefings = BriefingsTwin()
        briefings.known["call-1"] = briefing_of(1, stop_asked=True)
        heard: list[tuple[str, str]] = []
        control = Control(redis, briefings, "p1", lambda uuid, hint: heard.append((uuid, hint.type)))
        control.watch(uuid_of(1))
        subscribed, tries = redis.pubsub, []

        def subscribe(**options: object) -> object:
            tries.append(options)
            return subscribed(**options)

        redis.pubsub = subscribe
        running = asyncio.ensure_future(control.run())
        await until(lambda: len(tries) > 1)
        assert not control.connected
        server.connected = True
        await until(lambda: heard)
        assert heard == [(uuid_of(1), "stopped")]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await redis.aclose()

    asyncio.run(scenario())
