"""Frames cut from a stream however it arrives, exactly as the library itself would read them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from media.legs.socket import MAX_UNSENT_BYTES, AudioConnection, Outbox, SlowPeerError, binary_header
from tests.media.office import Office, answer, frame, office

REQUEST = (
    b"GET /phone HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MAX_SIZE = 70_000

messages = st.lists(
    st.tuples(st.sampled_from(["text", "binary", "ping", "split"]), st.binary(max_size=200) | st.just(bytes(66_000))),
    max_size=6,
)


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False
        self.limit = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """It takes all, and whoever plays the loop asks for the limit."""
        assert high is not None
        self.limit = high

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """Never asked for by what is tested."""

    def resume_reading(self) -> None:
        """Never asked for by what is tested."""


class NoServer:
    """What a connection asks of its server when it is made: a handler that waits for ever."""

    def __init__(self) -> None:
        self.handler_tasks: set[asyncio.Task[None]] = set()

    async def handler(self, connection: AudioConnection) -> None:
        await asyncio.Event().wait()


def open_connection(outbox: Outbox | None = None) -> tuple[AudioConnection, Wire, NoServer]:
    """A connection after its handshake."""
    server = NoServer()
    protocol = ServerProtocol(max_size=MAX_SIZE)
    connection = AudioConnection(protocol, server, ping_interval=None)  # type: ignore[arg-type]
    connection.outbox = outbox or Outbox()
    wire = Wire()
    connection.connection_made(wire)
    connection.data_received(REQUEST)
    assert connection.request is not None
    protocol.send_response(protocol.accept(connection.request))
    assert protocol.state is State.OPEN
    connection.send_data()
    wire.written.clear()
    return connection, wire, server


def sent(kind: str, data: bytes) -> bytes:
    """A client's frames for one message; pings carry at most 125 bytes."""
    if kind == "ping":
        return Frame(Opcode.PING, data[:125]).serialize(mask=True)
    if kind == "split":
        half = len(data) // 2
        first = Frame(Opcode.BINARY, data[:half], fin=False).serialize(mask=True)
        return first + sent("ping", b"between") + Frame(Opcode.CONT, data[half:]).serialize(mask=True)
    return Frame(Opcode.TEXT if kind == "text" else Opcode.BINARY, data).serialize(mask=True)


@settings(deadline=None)
@given(messages, st.lists(st.integers(1, 3000), max_size=30))
def test_messages_are_whole_and_in_order_however_they_are_cut(given_: list[tuple[str, bytes]], cuts: list[int]) -> None:
    async def scenario() -> None:
        connection, wire, server = open_connection()
        received: list[bytes] = []
        connection.receiver = lambda message: received.append(bytes(message))
        stream = b"".join(sent(kind, data) for kind, data in given_)
        at = 0
        for cut in [*cuts, len(stream)]:
            if stream[at : at + cut]:
                connection.data_received(stream[at : at + cut])
            at += cut
        assert received == [data for kind, data in given_ if kind != "ping"]
        pongs = [data[:125] for kind, data in given_ if kind == "ping"] + [
            b"between" for kind, _ in given_ if kind == "split"
        ]
        assert len(wire.written) == sum(2 + len(pong) for pong in pongs), (
            "each ping has its pong, and nothing else was said"
        )
        for task in server.handler_tasks:
            task.cancel()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "broken",
    [
        Frame(Opcode.TEXT, b"x" * 10).serialize(mask=False),
        b"\x81\xff" + (MAX_SIZE + 1).to_bytes(8, "big") + b"mask",
        b"\x83\x80mask",
        Frame(Opcode.CONT, b"x").serialize(mask=True),
    ],
    ids=["unmasked", "too long", "unknown opcode", "continuation of nothing"],
)
def test_what_breaks_the_protocol_is_refused_by_the_library(broken: bytes) -> None:
    async def scenario() -> None:
        connection, wire, server = open_connection()
        received: list[bytes] = []
        connection.receiver = lambda message: received.append(bytes(message))
        connection.data_received(sent("text", b"good") + broken + sent("text", b"never"))
        assert received == [b"good"]
        assert wire.written[:1] == b"\x88", "a close frame"
        for task in server.handler_tasks:
            task.cancel()

    asyncio.run(scenario())


def test_a_receiver_that_closes_the_connection_hears_nothing_more() -> None:
    async def scenario() -> None:
        connection, _, server = open_connection()
        received: list[bytes] = []

        def receive(message: bytes | bytearray | memoryview) -> None:
            received.append(bytes(message))
            connection.protocol.send_close(1000)
            connection.send_data()

        connection.receiver = receive
        connection.data_received(sent("text", b"one") + sent("text", b"two"))
        assert received == [b"one"]
        for task in server.handler_tasks:
            task.cancel()

    asyncio.run(scenario())


def test_what_calls_send_in_one_turn_is_written_after_it() -> None:
    async def scenario() -> None:
        outbox = Outbox()
        (one, one_wire, server), (other, other_wire, _) = open_connection(outbox), open_connection(outbox)
        one.send_frames([memoryview(b"a" * 320), memoryview(b"b" * 4)])
        other.send_frames([memoryview(b"c" * 320)])
        one.send_frames([memoryview(b"d" * 320)])
        assert not one_wire.written
        assert not other_wire.written
        await asyncio.sleep(0)
        frames = [Frame(Opcode.BINARY, data).serialize(mask=False) for data in (b"a" * 320, b"b" * 4, b"d" * 320)]
        assert one_wire.written == b"".join(frames)
        assert other_wire.written == Frame(Opcode.BINARY, b"c" * 320).serialize(mask=False)
        other.send_frames([memoryview(b"e" * 320)])
        await asyncio.sleep(0)
        assert other_wire.written.endswith(b"e" * 320)
        for task in server.handler_tasks:
            task.cancel()

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["closing", "lost", "aborted"])
def test_nothing_follows_a_close_frame_and_the_other_calls_go_on(how: str) -> None:
    async def scenario() -> None:
        outbox = Outbox()
        (closing, wire, _), (other, other_wire, _) = open_connection(outbox), open_connection(outbox)
        closing.send_frames([memoryview(b"late" * 80)])
        other.send_frames([memoryview(b"fine" * 80)])
        if how == "closing":
            closing.protocol.send_close(1000)
            closing.send_data()
        elif how == "lost":
            closing.connection_lost(ConnectionResetError())
        else:
            closing.transport.abort()
        assert closing.is_open == (how == "aborted"), "the loop has not told of it yet"
        closing.send_frames([memoryview(b"more" * 80)])
        await asyncio.sleep(0)
        assert wire.written == (Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=False) if how == "closing" else b"")
        assert other_wire.written.endswith(b"fine" * 80)

    asyncio.run(scenario())


def test_a_peer_that_does_not_read_is_given_up() -> None:
    async def scenario() -> None:
        connection, wire, _ = open_connection()
        assert wire.limit == MAX_UNSENT_BYTES
        connection.send_frames([memoryview(bytes(320))])
        connection.pause_writing()
        with pytest.raises(SlowPeerError):
            connection.send_frames([memoryview(bytes(320))])
        connection.resume_writing()
        connection.send_frames([memoryview(bytes(320))])

    asyncio.run(scenario())


def test_frames_that_came_on_the_heels_of_the_handshake_are_the_librarys() -> None:
    async def scenario() -> None:
        server = NoServer()
        connection = AudioConnection(ServerProtocol(), server, ping_interval=None)  # type: ignore[arg-type]
        connection.connection_made(Wire())
        connection.data_received(REQUEST + sent("text", b"early")[:3])
        assert connection._through
        for task in server.handler_tasks:
            task.cancel()

    asyncio.run(scenario())


def test_a_frame_in_two_pieces_over_a_real_socket(tmp_path: Path) -> None:
    async def scenario(here: Office) -> None:
        here.know(1)
        async with here.dial() as socket:
            session = await answer(here, socket, 1)
            raw = Frame(Opcode.TEXT, frame(1, b"\x05\x05" * 160).encode()).serialize(mask=True)
            for piece in (raw[:1], raw[1:3], raw[3:200], raw[200:]):
                socket.transport.write(piece)
                await asyncio.sleep(0.01)
            await here.until(lambda: session.listening.ears.ring.written == 320)

    async def run() -> None:
        async with asyncio.timeout(60), office(tmp_path) as here:
            await scenario(here)

    asyncio.run(run())


@pytest.mark.parametrize("size", [0, 1, 125, 126, 320, 640, 65535, 65536, 100_000])
def test_a_header_says_its_size(size: int) -> None:
    data = bytes(size)
    assert binary_header(size) + data == Frame(Opcode.BINARY, data).serialize(mask=False)
