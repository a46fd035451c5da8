from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
from websockets.asyncio.server import ServerConnection, serve

from sandbox.phone.line import MAX_UNSENT_BYTES, Line
from sandbox.phone.settings import PhoneSettings
from shared.phone.wire import decode_audio
from tests.sandbox.phone.robot import PATIENCE, poll

FAST = PhoneSettings(audio_retry=0.01, audio_tries=3)
FRAME = np.arange(160, dtype=np.int16)
Handler = Callable[[ServerConnection], Coroutine[Any, Any, None]]


def with_server(handler: Handler, scenario: Callable[[Line, list[bytes]], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        received: list[bytes] = []
        async with serve(handler, "127.0.0.1", 0, compression=None, close_timeout=1) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            line = Line(url, {}, FAST, "call-1", received.append, lambda: None)
            line.open()
            await scenario(line, received)
            await line.close()

    asyncio.run(run())


def test_frames_go_out_as_the_document_shows_them_and_bytes_come_in() -> None:
    messages: list[str | bytes] = []

    async def handler(peer: ServerConnection) -> None:
        messages.append(await peer.recv())
        await peer.send(b"abcd")
        await peer.send("what is this?")
        await peer.wait_closed()

    async def scenario(line: Line, received: list[bytes]) -> None:
        await poll(lambda: line.notes.opened)
        line.send(FRAME)
        await poll(lambda: line.notes.texts)
        assert received == [b"abcd"]
        frame = decode_audio(messages[0])
        assert (frame.type, frame.call_id, frame.data) == ("audio", "call-1", FRAME.tobytes())

    with_server(handler, scenario)


def test_a_socket_that_the_robot_closes_is_opened_again() -> None:
    peers: list[ServerConnection] = []

    async def handler(peer: ServerConnection) -> None:
        peers.append(peer)
        if len(peers) < 3:
            await peer.close(1011)
        await peer.wait_closed()

    async def scenario(line: Line, received: list[bytes]) -> None:
        await poll(lambda: len(peers) == 3)

    with_server(handler, scenario)


def test_the_notes_say_which_frames_each_socket_took() -> None:
    peers: list[ServerConnection] = []

    async def handler(peer: ServerConnection) -> None:
        peers.append(peer)
        await peer.wait_closed()

    async def scenario(line: Line, received: list[bytes]) -> None:
        line.send(FRAME)  # before there is a socket
        await poll(lambda: len(peers) == 1 and line._socket is not None)
        for _ in range(3):
            line.send(FRAME)
        await peers[0].close(1011)
        await poll(lambda: len(peers) == 2 and line._socket is not None)
        line.send(FRAME)
        assert line.notes.carried == [[1, 4], [4, 5]]

    with_server(handler, scenario)


def test_a_robot_that_does_not_know_the_call_is_not_asked_again() -> None:
    async def handler(peer: ServerConnection) -> None:
        await peer.close(1008, "unknown call")

    async def scenario(line: Line, received: list[bytes]) -> None:
        assert line._task is not None
        await asyncio.wait_for(asyncio.shield(line._task), PATIENCE)
        assert (line.notes.opened, line.notes.last_close) == (1, 1008)

    with_server(handler, scenario)


def test_a_robot_that_is_not_there_is_tried_so_often() -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            url = f"ws://127.0.0.1:{gone.getsockname()[1]}/"
        line = Line(url, {}, FAST, "call-1", lambda pcm: None, lambda: None)
        line.open()
        assert line._task is not None
        await asyncio.wait_for(asyncio.shield(line._task), PATIENCE)
        assert (line.notes.opened, line.notes.failed) == (0, 3)
        line.send(FRAME)
        assert line.notes.sent_frames == 0
        await line.close()

    asyncio.run(run())


def test_closing_while_connecting_leaves_nothing_behind() -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            url = f"ws://127.0.0.1:{deaf.getsockname()[1]}/"
            line = Line(url, {}, FAST, "call-1", lambda pcm: None, lambda: None)
            line.open()
            await asyncio.sleep(0)
            await line.close()
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    asyncio.run(run())


def test_frames_for_a_robot_that_does_not_read_are_dropped_not_piled_up() -> None:
    async def handler(peer: ServerConnection) -> None:
        peer.transport.pause_reading()
        await peer.wait_closed()

    async def scenario(line: Line, received: list[bytes]) -> None:
        await poll(lambda: line.notes.opened)
        assert line._socket is not None
        for _ in range(20_000):
            line.send(FRAME)
        assert line.notes.dropped_frames > 0
        assert line._socket.transport.get_write_buffer_size() < MAX_UNSENT_BYTES + 1000
        line.cut(None)

    with_server(handler, scenario)
