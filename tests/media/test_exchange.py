"""Calls opened and closed: room, hints, take-overs, failures that stay where they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import fakeredis
import msgspec
import pytest

from media.driver import SessionPort
from media.protocol import events
from media.protocol.commands import Tts
from media.registry import headroom
from media.session.listening import Listening
from media.session.voice import Voice
from shared import bus, doorbell, recordings
from shared.errors import Refused
from tests.media.office import PATIENCE, Office, answer, call_id_of, frame, office, uuid_of


def in_office(scenario: Callable[[Office], Coroutine[Any, Any, None]], root: Path, *, capacity: int = 16) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), office(root, capacity=capacity) as here:
            await scenario(here)

    asyncio.run(run())


async def say(here: Office, uuid: str, hint: bus.Hint) -> None:
    """A worker publishes a hint; waits until somebody hears it."""
    async with asyncio.timeout(20):
        while not await here.redis.publish(bus.call_channel(uuid), msgspec.json.encode(hint)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", ["hangup", "stopped"])
def test_a_hint_hangs_the_call_up(tmp_path: Path, kind: Any) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        async with here.dial() as socket:
            session = await answer(here, socket, 1)
            await say(here, uuid_of(1), bus.Hint(type=kind))
            await here.until(lambda: "hangup" in here.phone.of("call-1"))
            assert (session.reason, session.initiator) == (kind, "system")

    in_office(scenario, tmp_path)


def test_a_hint_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        async with here.dial() as socket:
            session = await answer(here, socket, 1)
            await here.until(lambda: here.control.connected)
            await here.redis.publish(bus.call_channel(uuid_of(1)), b"nonsense")
            await say(here, uuid_of(1), bus.Hint(type="stopped"))
            await here.until(lambda: session.over)

    in_office(scenario, tmp_path)


def test_an_answered_phone_is_let_in_beyond_capacity_up_to_the_headroom(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        room = 1 + headroom(1)
        here.know(*range(room + 1))
        sockets = [await here.dial(f"?call_id=call-{number}") for number in range(room)]
        await here.until(lambda: here.registry.sessions == room)
        assert not here.registry.admit("session"), "other sessions are refused at the capacity"
        async with here.dial(f"?call_id=call-{room}") as late:
            await late.wait_closed()
            assert late.close_code == 1013
        await here.until(lambda: here.phone.of(f"call-{room}") == ["hangup"])
        await here.until(lambda: "call-0" in {which for _, which in here.phone.actions})
        for socket in sockets:
            await socket.close()
        await here.until(lambda: here.registry.sessions == 0)

    in_office(scenario, tmp_path, capacity=1)


def test_sockets_of_calls_that_nobody_knows_keep_no_customer_out(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        gates = {f"ghost-{number}": asyncio.Event() for number in range(1 + headroom(1) + 5)}
        find = here.briefings.find

        async def slow(call_id: str) -> bus.Briefing:
            if gate := gates.get(call_id):
                await gate.wait()
            return await find(call_id)

        here.briefings.find = slow  # type: ignore[method-assign]
        here.know(1)
        ghosts = [await here.dial(f"?call_id={name}") for name in gates]
        async with here.dial() as socket:
            await answer(here, socket, 1)
        for name, gate in gates.items():
            gate.set()
            await here.until(lambda name=name: here.phone.of(name) == ["hangup"])  # type: ignore[misc]
        for ghost in ghosts:
            await ghost.close()
        async with asyncio.timeout(PATIENCE):
            await here.registry.empty()

    in_office(scenario, tmp_path, capacity=1)


def test_look_ups_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media.registry.MAX_LOOK_UPS", 1)

    async def scenario(here: Office) -> None:
        here.know(1)
        here.briefings.gate = asyncio.Event()
        async with here.dial("?call_id=call-1"):
            await here.until(lambda: here.briefings.asked)
            async with here.dial("?call_id=call-2") as second:
                await second.wait_closed()
                assert second.close_code == 1013
            here.briefings.gate.set()
            await here.until(lambda: uuid_of(1) in here.exchange.sessions)

    in_office(scenario, tmp_path)


def test_a_call_whose_stream_is_refused_is_ended_and_not_talked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media.legs.actions.GONE_SECONDS", 0.0)

    async def scenario(here: Office) -> None:
        here.know(1)
        here.phone.raising["start_stream"] = [Refused(7, "no stream"), Refused(7, "no stream")]
        here.react = lambda port, event: (
            port.submit(Tts(text="您好", play_id="a")) if isinstance(event, events.Answer) else None
        )
        async with here.dial() as socket:
            await socket.send(frame(1))
            await here.until(lambda: "hangup" in here.phone.of("call-1"))
        await here.until(lambda: here.rung(doorbell.FINISH_CALL))
        _, end = here.lines(1)
        assert isinstance(end, recordings.End)
        assert (end.reason, end.initiator) == ("stream_not_started", "error")

    in_office(scenario, tmp_path)


def test_a_driver_that_raises_harms_no_other_call(tmp_path: Path) -> None:
    def react(port: SessionPort, event: events.AnyEvent) -> None:
        if port.id == uuid_of(1) and isinstance(event, events.TrackStart):
            raise ZeroDivisionError

    async def scenario(here: Office) -> None:
        here.know(1, 2)
        here.react = react
        async with here.dial() as bad, here.dial() as good:
            first = await answer(here, bad, 1)
            second = await answer(here, good, 2)
            for session in (first, second):
                session.submit(Tts(text="您好", play_id="a"))
            await here.until(lambda: first.over and second.transcript.turns)
            assert first.reason == "driver_failed"
            assert not second.over

    in_office(scenario, tmp_path)


def test_a_driver_that_cannot_be_made_costs_its_own_call(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)

        def broken(port: SessionPort) -> Any:
            raise KeyError("no such playbook")

        object.__setattr__(here.exchange._plant.casting, "make", broken)
        async with here.dial() as socket:
            await socket.send(frame(1))
            await socket.wait_closed()
        await here.until(lambda: here.phone.of("call-1") == ["hangup"])
        assert here.registry.sessions == 0
        assert here.exchange.sessions == {}

    in_office(scenario, tmp_path)


def test_a_session_that_fails_in_its_tick_is_ended_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(here: Office) -> None:
        here.know(1, 2)
        async with here.dial() as bad, here.dial() as good:
            first = await answer(here, bad, 1)
            second = await answer(here, good, 2)

            look = Voice.look

            def broken(voice: Voice, now: float) -> None:
                if voice is first.voice:
                    raise ZeroDivisionError
                look(voice, now)

            monkeypatch.setattr(Voice, "look", broken)
            await here.until(lambda: first.reason == "session_failed" or first.over)
            second.submit(Tts(text="您好", play_id="a"))
            await here.until(lambda: second.transcript.turns)
            monkeypatch.undo()

    in_office(scenario, tmp_path)


def test_a_call_that_cannot_be_closed_as_it_should_is_told_to_be_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        async with here.dial() as socket:
            session = await answer(here, socket, 1)

            async def broken(listening: Listening) -> None:
                raise ZeroDivisionError

            monkeypatch.setattr(Listening, "close", broken)
            session.end("stopped", "system")
            await socket.close()
            await here.until(lambda: here.rung(doorbell.FINISH_CALL) == [(uuid_of(1),)])
        assert here.registry.sessions == 0
        assert isinstance(here.lines(1)[-1], recordings.End)

    in_office(scenario, tmp_path)


def test_a_recording_that_cannot_be_made_costs_the_call_not_the_process(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        (here.root / "ai_call").write_text("a file where the directory should be")
        async with here.dial() as socket:
            await socket.send(frame(1))
            await socket.wait_closed()
            assert socket.close_code == 1011
        await here.until(lambda: here.phone.of("call-1") == ["hangup"])
        assert here.registry.sessions == 0

    in_office(scenario, tmp_path)


def test_a_socket_that_comes_back_to_another_process_ends_the_old_session_quietly(tmp_path: Path) -> None:
    async def run() -> None:
        redis = fakeredis.FakeServer()
        async with (
            asyncio.timeout(60),
            office(tmp_path, redis_server=redis) as one,
            office(tmp_path, redis_server=redis) as two,
        ):
            one.know(1)
            two.know(1)
            async with one.dial() as first:
                old = await answer(one, first, 1)
                await one.until(lambda: one.control.connected)
                await one.until(lambda: uuid_of(1) in one.owners._held)
                async with two.dial() as second:
                    new = await answer(two, second, 1)
                    assert (old.recording.part, new.recording.part) == (1, 2)
                    await one.until(lambda: old.over)
                    assert old.reason == "replaced"
                    await one.until(lambda: one.registry.sessions == 0)
                    assert "hangup" not in one.phone.of("call-1")
                    assert one.rung(doorbell.FINISH_CALL) == []
                    assert not new.over
                    new.submit(Tts(text="您好", play_id="a"))
                    await two.until(lambda: new.transcript.turns)
            await two.until(lambda: two.rung(doorbell.FINISH_CALL))
        assert [type(line).__name__ for line in one.lines(1, 1)] == ["Begin", "End"]
        assert [type(line).__name__ for line in one.lines(1, 2)] == ["Begin", "Turn", "End"]

    asyncio.run(run())


def test_redis_away_disturbs_no_call_and_hints_are_read_again_when_it_is_back(tmp_path: Path) -> None:
    async def run() -> None:
        redis = fakeredis.FakeServer()
        async with asyncio.timeout(60), office(tmp_path, redis_server=redis) as here:
            here.know(1)
            await here.until(lambda: here.control.connected)
            async with here.dial() as socket:
                redis.connected = False
                session = await answer(here, socket, 1)
                session.submit(Tts(text="您好", play_id="a"))
                await here.until(lambda: session.transcript.turns)
                assert not session.over
                known = here.briefings.known["call-1"]
                here.briefings.known["call-1"] = msgspec.structs.replace(known, stop_asked=True)
                here.control._client.connection_pool.reset()
                redis.connected = True
                await here.until(lambda: session.over)
                assert session.reason == "stopped"

    asyncio.run(run())


def test_everything_is_durable_before_the_end_is_told(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        seen: list[bool] = []
        ring = here.rings.ring

        def watched(name: str, *args: Any) -> bool:
            if name == doorbell.FINISH_CALL:
                seen.append(any(isinstance(line, recordings.End) for line in here.lines(1)))
            return ring(name, *args)

        here.rings.ring = watched  # type: ignore[method-assign]
        async with here.dial() as socket:
            await answer(here, socket, 1)
        await here.until(lambda: seen)
        assert seen == [True]

    in_office(scenario, tmp_path)


def test_live_events_carry_no_dialogue(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        await here.until(lambda: here.control.connected)
        async with here.redis.pubsub(ignore_subscribe_messages=True) as watcher:
            await watcher.subscribe(bus.LIVE_CHANNEL)
            async with here.dial() as socket:
                session = await answer(here, socket, 1)
                session.submit(Tts(text="秘密", play_id="a"))
                await here.until(lambda: session.transcript.turns)
            seen: list[bus.LiveEvent] = []
            async with asyncio.timeout(20):
                while not any(event.event == "hangup" for event in seen):
                    message = await watcher.get_message(timeout=1.0)
                    if message and message["type"] == "message":
                        assert "秘密".encode() not in message["data"]
                        seen.append(msgspec.json.decode(message["data"], type=bus.LiveEvent))
            assert {event.uuid for event in seen} == {uuid_of(1)}
            assert [event.event for event in seen] == ["answer", "trackStart", "trackEnd", "hangup"]

    in_office(scenario, tmp_path)


def test_draining_takes_phones_that_were_dialled_and_nothing_else(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        here.registry.draining = True
        assert not here.registry.admit("session")
        async with here.dial() as socket:
            session = await answer(here, socket, 1)
            assert not session.over
            assert call_id_of(1) == "call-1"

    in_office(scenario, tmp_path)
