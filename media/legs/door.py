"""Where the phone system's audio sockets arrive: which call is it, and whose leg does it become?"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request

from media.legs.phone import BadFrames, PhoneLeg
from media.legs.socket import AudioConnection, Outbox
from shared.errors import BriefingMissing, WaihuError
from shared.phone.wire import WireError, decode_audio

FIRST_FRAME_SECONDS = 10.0
"""How long a socket may say nothing before its call is known; audio flows from the answer on, 50 frames a second."""
MAX_WAITING_FRAMES = 300
"""Frames kept while a call is looked up: six seconds, one more than the look-up may take. Then the oldest go."""
MAX_WAITING_BYTES = 256 << 10
"""What those frames may take together: six seconds are 170 KiB in base64. What does not fit is no telephone's audio."""
MAX_CALL_ID = 128
"""Characters of a call_id; the phone system's are UUIDs."""

log = logging.getLogger(__name__)


class DoorClosedError(WaihuError):
    """No room for this call, or it is not to be carried on. ``close_code`` is what its socket is told."""

    code = "door.closed"

    def __init__(self, message: str, close_code: int) -> None:
        super().__init__(message)
        self.close_code = close_code


class PhoneCalls(Protocol):
    """Who opens calls: media.exchange.Exchange."""

    def leg_of(self, call_id: str) -> PhoneLeg | None:
        """The leg of a call that lives here."""

    async def open_phone_call(self, call_id: str, heard_at: float) -> PhoneLeg:
        """A session for a call whose audio began at ``heard_at``; its leg has no socket yet.

        Raises BriefingMissing if nobody knows the call, DoorClosedError if it cannot be taken.
        """


def secret_of(request: Request) -> str:
    """What a peer gave as the phone secret: ``?secret=`` or ``Authorization: Bearer``; "" if neither."""
    given = parse_qs(urlsplit(request.path).query).get("secret", [""])[0]
    if not given:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else ""
    return given


def secret_fits(request: Request, secret: str) -> bool:
    """Whether a peer may open an audio socket; compared in constant time. No secret set: anybody may."""
    return not secret or hmac.compare_digest(secret_of(request).encode(), secret.encode())


class PhoneDoor:
    """Handles every audio socket of this process."""

    def __init__(self, calls: PhoneCalls, clock: Callable[[], float]) -> None:
        self.bad_frames = 0
        """Refused before their call was known."""
        self._calls = calls
        self._clock = clock
        self._outbox = Outbox()
        self._opening: dict[str, asyncio.Task[PhoneLeg]] = {}

    async def handle(self, socket: ServerConnection) -> None:
        """One socket from its opening to its end. Raises nothing; a call that cannot be had closes the socket."""
        assert isinstance(socket, AudioConnection)
        socket.outbox = self._outbox
        waiting = _Waiting(socket, self._clock)
        try:
            call_id = await waiting.call_id()
        except TimeoutError:
            await _shut(socket, 1008, "expected an audio frame with a call_id (section 4.2)")
            return
        except ConnectionClosed:
            return
        finally:
            self.bad_frames += waiting.bad.count
        try:
            leg = self._calls.leg_of(call_id) or await self._open(call_id, waiting.heard_at)
        except BriefingMissing:
            log.warning("an audio socket for a call that nobody knows", extra={"call_id": call_id})
            await _shut(socket, 1008, "unknown call")
            return
        except DoorClosedError as error:
            log.warning("an audio socket was turned away", extra={"call_id": call_id, "why": str(error)})
            await _shut(socket, error.close_code, "not now")
            return
        leg.attach(socket)
        waiting.hand_over(leg)
        await socket.wait_closed()
        leg.detach(socket)

    async def _open(self, call_id: str, heard_at: float) -> PhoneLeg:
        """One opening a call, however many sockets ask for it; none of them cancels it for the others."""
        task = self._opening.get(call_id)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._calls.open_phone_call(call_id, heard_at))
            self._opening[call_id] = task
            task.add_done_callback(lambda _: self._opening.pop(call_id, None))
        return await asyncio.shield(task)


class _Waiting:
    """What a socket says before its call is known. Frames are kept with the time at which they came."""

    def __init__(self, socket: AudioConnection, clock: Callable[[], float]) -> None:
        self.heard_at = clock()
        self.bad = BadFrames(lambda: self._call_id)
        self._socket = socket
        self._clock = clock
        self._call_id = ""
        self._frames: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._known: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        socket.receiver = self._received
        assert socket.request is not None
        asked = parse_qs(urlsplit(socket.request.path).query).get("call_id", [""])[0]
        if _may_be_call_id(asked):
            self._know(asked)

    async def call_id(self) -> str:
        """Raises TimeoutError, and ConnectionClosed if the socket closes first."""
        closed = asyncio.get_running_loop().create_task(self._socket.wait_closed())
        either: list[asyncio.Future[str] | asyncio.Future[None]] = [self._known, closed]
        try:
            await asyncio.wait(either, timeout=FIRST_FRAME_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closed.cancel()
        if self._known.done():
            return self._known.result()
        if not self._socket.is_open:
            raise ConnectionClosed(None, None)
        raise TimeoutError

    def hand_over(self, leg: PhoneLeg) -> None:
        """The leg hears what came meanwhile."""
        if self._frames:
            leg.catch_up(self._frames)
            self._frames.clear()

    def _received(self, message: bytes | bytearray | memoryview) -> None:
        if self._known.done():
            self._keep(message, self._clock())
            return
        try:
            frame = decode_audio(message)  # type: ignore[arg-type]
        except WireError:
            if self.bad.bad("not_audio"):
                self._socket.ignore()
                self._socket.protocol.fail(1007, "too many frames that are none")
                self._socket.send_data()
            return
        if not _may_be_call_id(frame.call_id):
            self.bad.bad("no_call_id")
            return
        self.heard_at = self._clock()
        self._keep(message, self.heard_at)
        self._know(frame.call_id)

    def _keep(self, message: bytes | bytearray | memoryview, at: float) -> None:
        self._frames.append((at, bytes(message)))
        self._size += len(message)
        while len(self._frames) > MAX_WAITING_FRAMES or self._size > MAX_WAITING_BYTES:
            self._size -= len(self._frames.popleft()[1])

    def _know(self, call_id: str) -> None:
        self._call_id = call_id
        if not self._known.done():
            self._known.set_result(call_id)


def _may_be_call_id(text: str) -> bool:
    """No NUL either: PostgreSQL takes none, not even to look for."""
    return 0 < len(text) <= MAX_CALL_ID and "\0" not in text


async def _shut(socket: AudioConnection, code: int, reason: str) -> None:
    socket.ignore()
    try:
        await socket.close(code, reason)
    except ConnectionClosed:
        return
