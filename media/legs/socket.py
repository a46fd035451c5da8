"""A WebSocket that carries audio: each message handed over as it is read, frames written without waiting.

The seam behind which the WebSocket library lies. Its usual interface wakes a task for every message and awaits every
write; at 50 messages a second and call that would be most of the work of this process. So the reading side is taken
over where the library hands its frames to its queue, and the writing side is what its own ``broadcast`` does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Event, State

MAX_MESSAGE_BYTES = 1 << 20
"""Half a minute of audio in base64: what is longer is refused by the library (1009) before it is read to its end.
What is above two seconds is refused by the ears, which says so and harms nothing."""
MAX_UNSENT_BYTES = 16_000
"""One second of our audio that a peer has not taken: the call cannot be held together any more, and is dropped."""
_SHORT, _LONG = 126, 1 << 16

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


class AudioConnection(ServerConnection):
    """A connection whose messages go to ``receiver``, synchronously, once that is set."""

    receiver: Callable[[bytes | bytearray | memoryview], None] | None = None
    _fragments: list[bytes] | None = None
    _fragmented = 0

    def process_event(self, event: Event) -> None:
        """Called by the library with each frame that was read."""
        receiver = self.receiver
        if receiver is None or isinstance(event, Request) or not isinstance(event, Frame):
            super().process_event(event)
        elif event.opcode is Opcode.TEXT or event.opcode is Opcode.BINARY:
            if event.fin:
                receiver(event.data)
            else:
                self._fragments = [bytes(event.data)]
        elif event.opcode is Opcode.CONT and self._fragments is not None:
            self._fragments.append(bytes(event.data))  # the library bounds their sum by max_size
            if event.fin:
                message, self._fragments = b"".join(self._fragments), None
                receiver(message)
        else:
            super().process_event(event)

    @property
    def is_open(self) -> bool:
        """Whether audio can still be sent."""
        return self.protocol.state is State.OPEN

    def send_frames(self, frames: Sequence[memoryview]) -> None:
        """Writes one binary message a frame, at once. Ignored on a closing socket. Raises SlowPeerError."""
        if self.protocol.state is not State.OPEN:
            return
        transport = self.transport
        if transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            raise SlowPeerError("expected the peer to read what it is sent, got a second of audio unread")
        for frame in frames:
            size = len(frame)
            transport.write((_HEADER_320 if size == 320 else binary_header(size)) + frame)
