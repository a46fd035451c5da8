"""The audio socket of one call, from the phone system to the robot's server (phone-system.txt, section 4)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import broadcast
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.frames import CloseCode
from websockets.protocol import State

from sandbox.people.sounds import Pcm
from sandbox.phone.settings import PhoneSettings
from shared.phone.wire import AudioFrame, encode

log = logging.getLogger(__name__)

MAX_UNSENT_BYTES = 64 << 10
"""Bytes that may wait in a socket whose peer reads too slowly: 2.5 s of frames. Frames beyond that are dropped, as on a
real line; one slow peer must not hold up the others."""

MAX_MESSAGE_BYTES = 1 << 20
"""The largest message taken from the robot: half a minute of audio at once is no stream."""

MAX_UNREAD_MESSAGES = 256
"""Five seconds of 20 ms frames: after a stall of this process all that came in time must be readable in one go, or it would
count as late."""

OPEN_TIMEOUT = 5.0
CLOSE_TIMEOUT = 1.0


@dataclass(slots=True)
class LineNotes:
    """What the report says about the sockets of a call."""

    opened: int = 0
    failed: int = 0
    sent_frames: int = 0
    dropped_frames: int = 0
    texts: int = 0
    """Text messages from the robot, of which the document knows none."""
    frames: int = 0
    """Frames of the callee's voice, sent or not: the place in the talk, as one comes every 20 ms from the answer on."""
    carried: list[list[int]] = field(default_factory=list)
    """Stretches in which one socket took every frame: the first frame and the one after the last. As many as there are
    sockets, and congestions of them, both bounded by the talk's length."""
    last_close: int | None = None

    def begun(self) -> None:
        """A socket is open."""
        self.opened += 1
        self.carried.append([self.frames, self.frames])

    def sent(self) -> None:
        """The frame that was counted last has gone out."""
        self.sent_frames += 1
        if self.carried[-1][1] == self.frames - 1:
            self.carried[-1][1] = self.frames
        else:
            self.carried.append([self.frames - 1, self.frames])


class Line:
    """Opens the socket, opens it again when it is lost, and carries frames both ways until `close`."""

    def __init__(
        self,
        url: str | None,
        headers: dict[str, str],
        settings: PhoneSettings,
        call_id: str,
        receive: Callable[[bytes], None],
        first_sent: Callable[[], None],
    ) -> None:
        """`receive` takes the robot's audio; `first_sent` is called once, when the first frame has gone out."""
        self.notes = LineNotes()
        self._url = url
        self._headers = headers
        self._settings = settings
        self._call_id = call_id
        self._receive = receive
        self._first_sent = first_sent
        self._socket: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._reopen_after: float | None = settings.audio_retry
        self._closing = False

    def open(self) -> None:
        """Begin to connect; returns at once."""
        if self._url is not None:
            self._task = asyncio.get_running_loop().create_task(self._run(self._url))

    def send(self, pcm: Pcm) -> None:
        """One frame of the callee's voice. It is dropped while there is no socket, or a congested one."""
        self.notes.frames += 1
        socket = self._socket
        if socket is None or socket.protocol.state is not State.OPEN:
            return
        if socket.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self.notes.dropped_frames += 1
            return
        broadcast((socket,), encode(AudioFrame(type="audio", call_id=self._call_id, data=pcm.tobytes())), text=True)
        self.notes.sent()
        if self.notes.sent_frames == 1:
            self._first_sent()

    def cut(self, reopen_after: float | None) -> None:
        """Break the socket as a dead network would, without a closing handshake; None: for good."""
        self._reopen_after = reopen_after
        if self._socket is not None:
            self._socket.transport.abort()

    async def close(self) -> None:
        """The call has ended: close the socket."""
        self._closing = True
        if self._task is None:
            return
        if self._socket is not None:
            await self._socket.close(CloseCode.NORMAL_CLOSURE)
        else:
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, url: str) -> None:
        tries = 0
        while tries < self._settings.audio_tries and not self._closing:
            tries = 0 if await self._carry(url) else tries + 1
            if self._reopen_after is None or self.notes.last_close == CloseCode.POLICY_VIOLATION:
                return
            await asyncio.sleep(0 if self._closing else self._reopen_after)
            self._reopen_after = self._settings.audio_retry

    async def _carry(self, url: str) -> bool:
        """One socket from its opening to its end. Returns False if it could not be opened."""
        try:
            socket = await connect(
                url,
                additional_headers=self._headers,
                compression=None,
                proxy=None,
                open_timeout=OPEN_TIMEOUT,
                close_timeout=CLOSE_TIMEOUT,
                max_size=MAX_MESSAGE_BYTES,
                max_queue=MAX_UNREAD_MESSAGES,
            )
        except (OSError, TimeoutError, WebSocketException) as error:
            self.notes.failed += 1
            log.warning("audio socket not opened", extra={"call_id": self._call_id, "error": type(error).__name__})
            return False
        self.notes.begun()
        self._socket = socket
        try:
            await self._read(socket)
        finally:
            self._socket = None
            self.notes.last_close = socket.close_code
        return True

    async def _read(self, socket: ClientConnection) -> None:
        try:
            if self._closing:
                await socket.close(CloseCode.NORMAL_CLOSURE)
            async for message in socket:
                if isinstance(message, bytes):
                    self._receive(message)
                else:
                    self.notes.texts += 1
        except ConnectionClosed:
            return
