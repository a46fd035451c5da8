"""The phone leg over real sockets: the phone system is scripted, the rest is the process itself."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from media.audio import wav
from media.legs.door import MAX_CALL_ID, MAX_WAITING_BYTES
from media.legs.phone import MAX_BAD_RUN
from media.legs.socket import MAX_MESSAGE_BYTES
from media.protocol import events
from media.protocol.commands import Hangup, Interrupt, Tts
from shared import doorbell, recordings
from shared.errors import OutcomeUnknown, Refused, Unplaced
from tests.media.office import CREATED_AT, ZONE, Office, answer, frame, office, uuid_of


def in_office(
    scenario: Callable[[Office], Coroutine[Any, Any, None]], root: Path, *, capacity: int = 16, secret: str = ""
) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), office(root, capacity=capacity, secret=secret) as here:
            await scenario(here)

    asyncio.run(run())


async def frames_of(socket: ClientConnection, count: int) -> list[bytes]:
    """The next binary messages."""
    messages = []
    while len(messages) < count:
        message = await socket.recv()
        assert isinstance(message, bytes)
        messages.append(message)
    return messages


async def send_until_closed(socket: ClientConnection, message: str) -> None:
    """A peer that does not learn."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await socket.send(message)
            await asyncio.sleep(0)
    await socket.wait_closed()


def test_a_call_from_its_first_frame_to_its_record(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        async with here.dial() as socket:
            session = await answer(here, socket, 1)
            assert here.phone.of("call-1") == ["start_stream", "stream_playback"]
            session.submit(Tts(text="您好", play_id="a"))
            frames = await frames_of(socket, 20)
            assert {len(each) for each in frames} == {320}
            assert [each[0] for each in frames] == [1] * 10 + [2] * 10
            await here.until(lambda: session.transcript.turns)
        await here.until(lambda: here.rung(doorbell.FINISH_CALL))
        assert here.rung(doorbell.AUDIO_STARTED) == [("call-1",)]
        assert here.rung(doorbell.FINISH_CALL) == [(uuid_of(1),)]
        begin, turn, end = here.lines(1)
        assert isinstance(begin, recordings.Begin)
        assert (begin.call_id, begin.part) == ("call-1", 1)
        assert isinstance(turn, recordings.Turn)
        assert isinstance(end, recordings.End)
        assert (end.reason, end.initiator) == ("hangup", "callee")
        assert here.phone.of("call-1") == ["start_stream", "stream_playback"], "a call that ended is not hung up"

    in_office(scenario, tmp_path)


def test_nothing_is_sent_before_the_stream_is_started(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        here.phone.gates["start_stream"] = asyncio.Event()
        here.react = lambda port, event: (
            port.submit(Tts(text="您好", play_id="a")) if isinstance(event, events.Answer) else None
        )
        async with here.dial() as socket:
            await socket.send(frame(1))
            await here.until(lambda: here.phone.actions)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await socket.recv()
            here.phone.gates["start_stream"].set()
            assert len(await frames_of(socket, 20)) == 20
            assert here.phone.of("call-1") == ["start_stream", "stream_playback"]

    in_office(scenario, tmp_path)


def test_an_interruption_cleans_the_stream_before_anything_new_is_sent(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        here.phone.gates["clean_stream"] = asyncio.Event()
        async with here.dial() as socket:
            session = await answer(here, socket, 1)
            session.submit(Tts(text="一二三四五六七八九十", play_id="a"))
            await frames_of(socket, 5)
            session.submit(Interrupt())
            session.submit(Tts(text="甲乙", play_id="b"))
            await here.until(lambda: "clean_stream" in here.phone.of("call-1"))
            assert not session.leg.ready
            here.phone.gates["clean_stream"].set()
            await here.until(lambda: session.leg.ready)
            await here.until(lambda: [turn.content for turn in session.transcript.turns][-1:] == ["甲乙"])
            assert here.phone.of("call-1") == ["start_stream", "stream_playback", "clean_stream"]

    in_office(scenario, tmp_path)


def test_hanging_up_is_told_to_the_phone_system(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        async with here.dial() as socket:
            session = await answer(here, socket, 1)
            session.submit(Hangup(reason="done"))
            await here.until(lambda: "hangup" in here.phone.of("call-1"))
            await socket.wait_closed()
            assert socket.close_code == 1000
        await here.until(lambda: here.rung(doorbell.FINISH_CALL))
        end = here.lines(1)[-1]
        assert isinstance(end, recordings.End)
        assert (end.reason, end.initiator) == ("done", "system")

    in_office(scenario, tmp_path)


def test_a_second_socket_replaces_the_first(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        async with here.dial() as first:
            session = await answer(here, first, 1)
            async with here.dial("?call_id=call-1") as second:
                await first.wait_closed()
                session.submit(Tts(text="您好", play_id="a"))
                assert len(await frames_of(second, 20)) == 20
                assert here.session(1) is session
                assert here.briefings.asked == ["call-1"]

    in_office(scenario, tmp_path)


def test_a_broken_socket_may_come_back(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        async with here.dial() as first:
            session = await answer(here, first, 1)
            first.transport.abort()
            await here.until(lambda: not session.leg.ready)
        session.submit(Tts(text="您好", play_id="a"))
        async with here.dial() as second:
            await second.send(frame(1))
            assert len(await frames_of(second, 20)) == 20
            assert not session.over

    in_office(scenario, tmp_path)


def test_a_socket_that_breaks_for_good_ends_its_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media.legs.phone.RETURN_SECONDS", 0.05)

    async def scenario(here: Office) -> None:
        here.know(1)
        async with here.dial() as socket:
            session = await answer(here, socket, 1)
            socket.transport.abort()
            await here.until(lambda: session.over)
            assert (session.reason, session.initiator) == ("audio_socket_lost", "error")
            await here.until(lambda: "hangup" in here.phone.of("call-1"))

    in_office(scenario, tmp_path)


def test_a_call_that_nobody_knows_is_closed_and_hung_up(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        async with here.dial() as socket:
            await socket.send(frame(7))
            await socket.wait_closed()
            assert socket.close_code == 1008
        await here.until(lambda: here.phone.of("call-7") == ["hangup"])
        assert here.registry.sessions == 0
        await here.until(lambda: here.rung(doorbell.AUDIO_STARTED) == [("call-7",)])  # an audio frame proves the answer

    in_office(scenario, tmp_path)


def test_a_call_stopped_before_its_answer_is_hung_up(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        known = here.briefings.known["call-1"]
        here.briefings.known["call-1"] = type(known)(**{**_fields(known), "stop_asked": True})
        async with here.dial("?call_id=call-1") as socket:
            await socket.wait_closed()
        await here.until(lambda: here.phone.of("call-1") == ["hangup"])

    in_office(scenario, tmp_path)


def _fields(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


async def speak_unknown(here: Office, socket: ClientConnection, frames: int) -> None:
    """Audio of call 1, which is being looked up until ``here.briefings.gate`` is set."""
    here.know(1)
    here.briefings.gate = asyncio.Event()
    for _ in range(frames):
        await socket.send(frame(1))
    await here.until(lambda: here.briefings.asked)


def test_audio_that_comes_while_the_call_is_looked_up_is_heard(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        async with here.dial() as socket:
            await speak_unknown(here, socket, 25)
            await asyncio.sleep(0)
            here.briefings.gate.set()
            await here.until(lambda: uuid_of(1) in here.exchange.sessions)
            await here.until(lambda: here.session(1).listening.ears.ring.written == 25 * 160)

    in_office(scenario, tmp_path)


def test_what_was_said_before_a_socket_closed_is_heard_though_its_call_was_not_known_yet(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        async with here.dial() as socket:
            await speak_unknown(here, socket, 25)
        here.recognizers.last_words = ["喂，你好。"]
        here.briefings.gate.set()
        await here.until(lambda: here.rung(doorbell.FINISH_CALL) == [(uuid_of(1),)])
        (heard,) = here.recognizers.opened
        assert len(heard.pushed) == 25 * 320
        turn, end = here.lines(1)[-2:]
        assert isinstance(turn, recordings.Turn)
        assert turn.content == "喂，你好。"
        assert isinstance(end, recordings.End)
        assert turn.start <= turn.end <= end.at

    in_office(scenario, tmp_path)


def test_audio_that_comes_while_the_call_is_looked_up_lies_where_it_was_spoken(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        async with here.dial() as socket:
            await speak_unknown(here, socket, 10)
            asked_at = here.clock.monotonic()
            await here.until(lambda: here.clock.monotonic() > asked_at + 0.3)  # longer than the audio that waits
            here.briefings.gate.set()
            await here.until(lambda: uuid_of(1) in here.exchange.sessions)
            session = here.session(1)
            await here.until(lambda: session.listening.ears.ring.written == 10 * 160)
            assert session.listening.ears.timeline(10 * 160) <= 0.25 * 8000

    in_office(scenario, tmp_path)


def test_what_waits_while_a_call_is_looked_up_is_bounded(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        here.briefings.gate = asyncio.Event()
        async with here.dial("?call_id=call-1") as socket:
            await here.until(lambda: here.briefings.asked)
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(64):
                await socket.send("x" * 1_000_000)
            await socket.send(frame(1))
            await (await socket.ping())  # the other end has read it all
            grown = tracemalloc.get_traced_memory()[0] - before
            tracemalloc.stop()
            assert grown < 8 * MAX_WAITING_BYTES + 2 * MAX_MESSAGE_BYTES
            here.briefings.gate.set()
            await here.until(lambda: uuid_of(1) in here.exchange.sessions)
            await here.until(lambda: here.session(1).listening.ears.ring.written == 160)

    in_office(scenario, tmp_path)


@pytest.mark.parametrize("call_id", ["x" * (MAX_CALL_ID + 1), "a%00"], ids=["long", "nul"])
def test_a_call_id_beyond_all_bounds_is_not_looked_up(tmp_path: Path, call_id: str) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        async with here.dial(f"?call_id={call_id}") as socket:
            await answer(here, socket, 1)
            assert here.briefings.asked == ["call-1"]

    in_office(scenario, tmp_path)


def test_two_sockets_at_once_open_one_session(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        here.briefings.gate = asyncio.Event()
        async with here.dial("?call_id=call-1") as first, here.dial("?call_id=call-1") as second:
            await here.until(lambda: here.briefings.asked)
            here.briefings.gate.set()
            await here.until(lambda: uuid_of(1) in here.exchange.sessions)
            await asyncio.wait(
                [asyncio.ensure_future(each.wait_closed()) for each in (first, second)],
                return_when=asyncio.FIRST_COMPLETED,
            )
            assert here.registry.sessions == 1
            assert here.briefings.asked == ["call-1"]

    in_office(scenario, tmp_path)


BAD = {
    "not json": ("}{", 1007),
    "no frame": ("[]", 1007),
    "not base64": ('{"type":"audio","call_id":"call-1","data":"***"}', 1007),
    "odd length": ('{"type":"audio","call_id":"call-1","data":"AAAA"}', 1007),
    "another type": ('{"type":"video","call_id":"call-1","data":""}', 1007),
    "ten seconds": (frame(1, bytes(160_000)), 1009),
    "another call": (frame(2), 1008),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_frames_are_counted_then_close_the_socket_and_harm_no_other_call(tmp_path: Path, what: str) -> None:
    message, code = BAD[what]

    async def scenario(here: Office) -> None:
        here.know(1, 2)
        async with here.dial() as bad, here.dial() as good:
            await answer(here, bad, 1)
            other = await answer(here, good, 2)
            for _ in range(MAX_BAD_RUN - 1):
                await bad.send(message)
            await bad.send(frame(1))
            await here.until(lambda: here.exchange.bad_frames == MAX_BAD_RUN - 1)
            assert not here.session(1).over
            await send_until_closed(bad, message)
            assert bad.close_code == code
            heard = other.listening.ears.ring.written
            await good.send(frame(2))
            await here.until(lambda: other.listening.ears.ring.written == heard + 160)
            other.submit(Tts(text="您好", play_id="a"))
            assert len(await frames_of(good, 20)) == 20

    in_office(scenario, tmp_path)


def test_a_message_beyond_all_bounds_is_refused_unread(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        async with here.dial() as socket:
            await answer(here, socket, 1)
            with contextlib.suppress(ConnectionClosed):
                await socket.send(["x" * 65536] * 20)
            await socket.wait_closed()
            assert socket.close_code == 1009

    in_office(scenario, tmp_path)


def test_a_socket_that_says_only_nonsense_is_closed(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        async with here.dial() as socket:
            await send_until_closed(socket, "nonsense")
            assert socket.close_code == 1007
        await here.until(lambda: here.door.bad_frames == MAX_BAD_RUN)

    in_office(scenario, tmp_path)


def test_fragmented_messages_are_put_together(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        async with here.dial() as socket:
            session = await answer(here, socket, 1)
            whole = frame(1, b"\x01\x02" * 160)
            await socket.send([whole[:100], whole[100:300], whole[300:]])
            await here.until(lambda: session.listening.ears.ring.written == 320)

    in_office(scenario, tmp_path)


def test_frames_of_any_size_are_taken(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        async with here.dial() as socket:
            session = await answer(here, socket, 1)
            for samples in (1, 7, 80, 800, 4000):
                await socket.send(frame(1, bytes(samples * 2)))
            await here.until(lambda: session.listening.ears.ring.written == 160 + 4888)

    in_office(scenario, tmp_path)


@pytest.mark.parametrize(
    ("query", "headers", "welcome"),
    [
        ("", {}, False),
        ("?secret=wrong", {}, False),
        ("", {"Authorization": "Bearer wrong"}, False),
        ("", {"Authorization": "Basic s3cret"}, False),
        ("?secret=s3cret", {}, True),
        ("", {"Authorization": "Bearer s3cret"}, True),
    ],
)
def test_the_secret_opens_the_socket(tmp_path: Path, query: str, headers: dict[str, str], welcome: bool) -> None:
    async def scenario(here: Office) -> None:
        if welcome:
            async with here.dial(query, headers):
                return
        with pytest.raises(websockets.InvalidStatus) as caught:
            async with here.dial(query, headers):
                pass
        assert caught.value.response.status_code == 401

    in_office(scenario, tmp_path, secret="s3cret")


def test_a_refused_start_is_taken_for_a_stream_that_is_open(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        here.phone.raising["start_stream"] = [Refused(20, "already")]
        async with here.dial() as socket:
            session = await answer(here, socket, 1)
            session.submit(Tts(text="您好", play_id="a"))
            assert len(await frames_of(socket, 20)) == 20

    in_office(scenario, tmp_path)


def test_a_stream_that_cannot_be_started_ends_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media.legs.actions.PAUSE", 0.0)

    async def scenario(here: Office) -> None:
        here.know(1)
        here.phone.raising["start_stream"] = [Unplaced("x"), OutcomeUnknown("x"), Unplaced("x")]
        async with here.dial() as socket:
            await socket.send(frame(1))
            await here.until(lambda: here.rung(doorbell.FINISH_CALL))
            end = here.lines(1)[-1]
            assert isinstance(end, recordings.End)
            assert (end.reason, end.initiator) == ("stream_not_started", "error")
            assert here.phone.of("call-1") == ["start_stream"] * 3 + ["hangup"]

    in_office(scenario, tmp_path)


def test_the_fallback_file_goes_between_two_streams(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        async with here.dial() as socket:
            session = await answer(here, socket, 1)
            assert session.leg.play_file("sorry")
            assert not session.leg.ready
            session.leg.end_file()
            await here.until(lambda: session.leg.ready)
            assert here.phone.of("call-1")[2:] == [
                "stop_stream",
                "file_playback sorry",
                "start_stream",
                "stream_playback",
            ]

    in_office(scenario, tmp_path)


def test_a_peer_that_does_not_read_loses_its_call_and_no_other(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1, 2)
        async with here.dial() as slow, here.dial() as good:
            session = await answer(here, slow, 1)
            other = await answer(here, good, 2)
            slow.transport.pause_reading()
            big = [memoryview(bytes(320))] * 100
            for _ in range(2000):  # fills both kernels' buffers, whatever their size
                if session.over:
                    break
                session.leg.send(big)
                await asyncio.sleep(0)
            assert session.reason == "slow_peer"
            other.submit(Tts(text="您好", play_id="a"))
            assert len(await frames_of(good, 20)) == 20
            slow.transport.abort()

    in_office(scenario, tmp_path)


def test_the_customers_words_and_ours_are_in_the_recording(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        async with here.dial() as socket:
            session = await answer(here, socket, 1)
            await socket.send(frame(1, b"\x11\x22" * 160))
            session.submit(Tts(text="一", play_id="a"))
            await frames_of(socket, 10)
            await here.until(lambda: session.transcript.turns)
        await here.until(lambda: here.rung(doorbell.FINISH_CALL))
        stem = recordings.stem(uuid_of(1), CREATED_AT, ZONE)
        rate, samples = wav.read(recordings.part(here.root, stem, 1, "wav").read_bytes())
        assert rate == 8000
        assert np.count_nonzero(samples[:, 0] == 0x2211) == 160, "left is the customer"
        assert np.count_nonzero(samples[:, 1] == 1) == 1600, "right is us"

    in_office(scenario, tmp_path)


def test_a_socket_of_a_call_that_has_ended_is_turned_away(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        async with here.dial() as socket:
            session = await answer(here, socket, 1)
            session.submit(Hangup(reason="done"))
            await here.until(lambda: here.rung(doorbell.FINISH_CALL))
        async with here.dial() as again:
            await again.send(frame(1))
            await again.wait_closed()
            assert again.close_code == 1008
        await here.until(lambda: here.phone.of("call-1").count("hangup") == 2)
        assert len(here.rung(doorbell.FINISH_CALL)) == 1
        assert here.registry.sessions == 0

    in_office(scenario, tmp_path)
