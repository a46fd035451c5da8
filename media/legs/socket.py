"""A WebSocket that carries audio: each message handed over as it is read, frames written without waiting.

The seam behind which the WebSocket library lies. Its usual interface wakes a task for every message, parses with
generators and awaits every write; at 50 messages a second and call that would be most of the work of this process.
So whole, unfragmented data frames are taken before the library sees them, and frames are written as its own
``broadcast`` would write them. Everything else (handshake, pings, closing, fragments, violations) stays the library's,
which is handed nothing but whole frames and thus always stands at the beginning of one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, cast

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State
from websockets.speedups import apply_mask

MAX_MESSAGE_BYTES = 1 << 20
"""Half a minute of audio in base64: what is longer is refused by the library (1009) before it is read to its end.
What is above two seconds is refused by the ears, which says so and harms nothing."""
MAX_UNSENT_BYTES = 16_000
"""One second of our audio that a peer has not taken: the call cannot be held together any more, and is dropped."""
_SHORT, _LONG = 126, 1 << 16
_MASKED_16 = 0x80 | _SHORT
"""Second byte of a masked frame whose length stands in the next two."""
_MESSAGES = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
_DATA = (0x81, 0x82)
"""First bytes of final, unfragmented text and binary frames."""

Receiver = Callable[[bytes | bytearray | memoryview], None]

log = logging.getLogger(__name__)


def binary_header(size: int) -> bytes:
    """The head of an unmasked, final binary frame of ``size`` bytes (RFC 6455, section 5.2)."""
    if size < _SHORT:
        return bytes((0x82, size))
    if size < _LONG:
        return b"\x82\x7e" + size.to_bytes(2, "big")
    return b"\x82\x7f" + size.to_bytes(8, "big")


_HEADER_320 = binary_header(320)


class SlowPeerError(ConnectionError):
    """The peer does not read what it is sent."""


class Outbox:
    """What calls send within one turn of the event loop, written together at its end.

    A write wakes its reader and leaves the processor's caches full of the kernel's affairs: twenty writes in a row cost
    much less than one after the work on each of twenty calls. Holds at most what one turn sends.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[AudioConnection, Sequence[memoryview]]] = []

    def put(self, connection: AudioConnection, frames: Sequence[memoryview]) -> None:
        """Each becomes a message that is written when the loop has done what it is at."""
        if not self._waiting:
            connection.loop.call_soon(self._write)
        self._waiting.append((connection, frames))

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection, frames in waiting:
            wire = connection.wire
            if connection.is_open and not wire.is_closing():
                for frame in frames:
                    size = len(frame)
                    wire.write((_HEADER_320 if size == 320 else binary_header(size)) + frame)


class AudioConnection(ServerConnection):
    """A connection whose messages go to ``receiver``, synchronously, once that is set."""

    # What each frame asks for lies together: the library's own dictionary is large, and of many calls in no cache.
    __slots__ = ("_fragments", "_rest", "_slow", "_through", "is_open", "outbox", "receiver", "wire")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """As the library makes its own."""
        super().__init__(*arguments, **options)
        self.outbox: Outbox
        """Where what it sends waits for the end of the loop's turn; set by its handler before anything is sent."""
        self.wire: asyncio.Transport
        """Its transport, once it is connected."""
        self.receiver: Receiver | None = None
        self.is_open = False
        """Whether audio can still be sent."""
        self._fragments: list[bytes] | None = None
        self._rest = b""
        """The beginning of a frame that has not come to its end."""
        self._through = False
        """The library reads for itself from now on: what came is not for us to cut into frames."""
        self._slow = False
        """Whether more than MAX_UNSENT_BYTES wait for the peer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop, once."""
        super().connection_made(transport)
        self.wire = cast(asyncio.Transport, transport)
        self.wire.set_write_buffer_limits(high=MAX_UNSENT_BYTES)

    def pause_writing(self) -> None:
        """Called by the loop when more than MAX_UNSENT_BYTES wait."""
        super().pause_writing()
        self._slow = True

    def resume_writing(self) -> None:
        """Called by the loop when most of it has gone."""
        super().resume_writing()
        self._slow = False

    def send_data(self) -> None:
        """Called by the library after whatever may have changed the connection's state."""
        super().send_data()
        self.is_open = self.protocol.state is State.OPEN

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop, once."""
        self.is_open = False
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Called by the loop with what the peer sent."""
        receiver, size = self.receiver, len(data)
        if (  # what comes all day, and `_cut` would find: one whole message of up to 64 KiB, and nothing before it
            receiver is not None
            and size > _SHORT
            and data[1] == _MASKED_16
            and size == (data[2] << 8 | data[3]) + 8
            and data[0] in _DATA
            and self.is_open
            and not (self._rest or self._through or self._fragments)
        ):
            receiver(apply_mask(data[8:], data[4:8]))
        elif self._through:
            super().data_received(data)
        elif self.request is None:
            super().data_received(data)
            self._through = bool(
                self.protocol.reader.buffer
            )  # frames sent on the heels of the handshake, or half of one
        else:
            self._cut(self._rest + data if self._rest else data)

    def _cut(self, data: bytes) -> None:
        """Takes the whole frames of ``data`` (RFC 6455, section 5.2) and keeps the rest. Audio goes to the receiver."""
        at, end = 0, len(data)
        while end - at >= 2:
            size, mask = data[at + 1] ^ 0x80, at + 2
            if size == _SHORT and end - at >= 4:
                size, mask = data[at + 2] << 8 | data[at + 3], at + 4
            elif size >= _SHORT:  # its length is not all there, or it is very long, or it is not masked
                if size == _SHORT:
                    break
                self._through = True
                super().data_received(data[at:])
                return
            body = mask + 4
            stop = body + size
            if stop > end:
                break
            receiver = self.receiver
            if not self.is_open or data[at] not in _DATA or receiver is None or self._fragments:
                super().data_received(data[at:stop])
            else:
                receiver(apply_mask(data[body:stop], data[mask:body]))
            at = stop
        self._rest = data[at:] if at < end else b""

    def process_event(self, event: Event) -> None:
        """Called by the library with each frame that it has read: here, those of fragmented messages."""
        receiver = self.receiver
        if receiver is None or not isinstance(event, Frame) or event.opcode not in _MESSAGES:
            super().process_event(event)
        elif self.protocol.state is not State.OPEN:
            return  # nobody listens to a connection that is being closed
        elif event.opcode is Opcode.TEXT or event.opcode is Opcode.BINARY:
            if event.fin:
                receiver(event.data)
            else:
                self._fragments = [bytes(event.data)]
        elif self._fragments is not None:
            self._fragments.append(bytes(event.data))  # the library bounds their sum by max_size
            if event.fin:
                message, self._fragments = b"".join(self._fragments), None
                receiver(message)

    def ignore(self) -> None:
        """Nobody hears what comes from now on: not the receiver, and not the library's queue, which would fill."""
        self.receiver = _ignored

    def send_frames(self, frames: Sequence[memoryview]) -> None:
        """Sends one binary message a frame. Ignored on a closing socket. Raises SlowPeerError."""
        if not self.is_open:
            return
        if self._slow:
            raise SlowPeerError("expected the peer to read what it is sent, got a second of audio unread")
        self.outbox.put(self, frames)


def _ignored(message: bytes | bytearray | memoryview) -> None:
    """For a socket that carries no call (any more)."""
