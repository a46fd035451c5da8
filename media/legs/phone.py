"""The phone system's leg: its audio socket (phone-system.txt, section 4) and its stream actions.

The order of a call is start_stream → stream_playback → our PCM. After ``clean_stream`` the stream stays open (assumed
with reading.md, "Phone system"); our frames wait until it is answered, so that it cannot flush what comes after it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from websockets.exceptions import ConnectionClosed

from media.audio.errors import AudioError
from media.legs.actions import ActionChain, StreamActions
from media.legs.leg import LegHost
from media.legs.socket import AudioConnection, SlowPeerError
from shared.phone.wire import WireError, decode_audio

RETURN_SECONDS = 3.0
"""How long a call whose socket broke waits for it to come back; then it has no ears and no voice, and is hung up."""
GOODBYE_SECONDS = 2.0
"""From hangup to the phone system closing the socket itself; then we close it."""
ACTIONS_SECONDS = 5.0
"""How long the actions of a call that is over may still take."""
DELAY_MS = 60
"""From our socket to the customer's ear, as far as we can know: what counts as heard is so much later."""
MAX_BAD_RUN = 25
"""Bad frames in a row, half a second of them: this peer does not speak the protocol, or not about this call."""

log = logging.getLogger(__name__)


class BadFrames:
    """Counts the frames of one socket that are none. One is logged, many in a row close it."""

    __slots__ = ("_call_id", "count", "run")

    def __init__(self, call_id: Callable[[], str]) -> None:
        self.count = 0
        self.run = 0
        """How many came in a row; a frame that was used ends it: set this to 0 then."""
        self._call_id = call_id

    def bad(self, what: str) -> bool:
        """A frame was not used. True if there were too many in a row."""
        self.count += 1
        self.run += 1
        if self.count == 1:
            log.warning("an audio frame was refused", extra={"call_id": self._call_id(), "what": what})
        return self.run >= MAX_BAD_RUN


class PhoneLeg:
    """One call's leg. A media.legs.leg.Leg; its socket may be replaced, its stream belongs to the call."""

    __slots__ = (
        "_actions", "_bad", "_cleaning", "_clock", "_host", "_over", "_playing", "_return", "_socket", "bad_frames",
        "call_id", "delay_ms", "ready",
    )  # fmt: skip

    def __init__(self, call_id: str, phone: StreamActions, clock: Callable[[], float]) -> None:
        self.call_id = call_id
        self.delay_ms = DELAY_MS
        self.ready = False
        self.bad_frames = 0
        """Refused frames of all its sockets."""
        self._clock = clock
        self._host: LegHost | None = None
        self._socket: AudioConnection | None = None
        self._bad: BadFrames | None = None
        self._actions = ActionChain(call_id, phone, self._stuck)
        self._playing = False
        self._cleaning = 0
        self._over = False
        self._return: asyncio.TimerHandle | None = None

    # --- for the phone's socket server ---

    def start(self, host: LegHost) -> None:
        """The session is there: audio may flow both ways."""
        self._host = host
        self._start_stream()

    def attach(self, socket: AudioConnection) -> None:
        """This socket carries the call from now on, if only with what it brought before it closed (``catch_up``); the one
        before it, if any, is closed. ``detach`` is to follow when it has closed."""
        former, self._socket = self._socket, socket
        self._bad = BadFrames(lambda: self.call_id)
        if self._return is not None:
            self._return.cancel()
            self._return = None
        socket.receiver = self._received
        if former is not None and former is not socket:
            former.ignore()
            _close_later(former, 1000, "replaced by a newer socket")
        self._update_ready()

    def detach(self, socket: AudioConnection) -> None:
        """This socket has closed. If it carried the call, the call ends: at once if it was closed in good order."""
        if socket is not self._socket:
            return
        self._socket = None
        self._update_ready()
        if self._over or self._host is None:
            return
        if socket.close_code in (1000, 1001, 1005):
            self._host.leg_ended("hangup")
        elif self._return is None:
            loop = asyncio.get_running_loop()
            self._return = loop.call_later(RETURN_SECONDS, self._host.leg_failed, "audio_socket_lost")

    # --- media.legs.leg.Leg ---

    def send(self, frames: Sequence[memoryview]) -> None:
        """See Leg."""
        socket = self._socket
        if socket is None:
            return
        try:
            socket.send_frames(frames)
        except SlowPeerError:
            self._socket = None
            socket.transport.abort()
            if self._host is not None:
                self._host.leg_failed("slow_peer")

    def clear(self) -> None:
        """See Leg."""
        if self._playing:
            self._cleaning += 1
            self._update_ready()
            self._actions.clean_stream(self._cleaned)

    def play_file(self, name: str) -> bool:
        """See Leg."""
        self._playing = False
        self._update_ready()
        self._actions.play_file(name)
        return True

    def end_file(self) -> None:
        """See Leg."""
        self._start_stream()

    def hangup(self) -> None:
        """See Leg."""
        if not self._over:
            self._over = True
            self._actions.hangup()

    async def close(self) -> None:
        """See Leg."""
        hung_up = self._over
        self._over = True
        self.ready = False
        if self._return is not None:
            self._return.cancel()
        await self._actions.finished(ACTIONS_SECONDS)
        socket, self._socket = self._socket, None
        if socket is not None:
            if hung_up:
                await asyncio.wait([asyncio.ensure_future(socket.wait_closed())], timeout=GOODBYE_SECONDS)
            await _close(socket, 1000, "the call is over")

    # --- audio in ---

    def _received(self, message: bytes | bytearray | memoryview) -> None:
        self.hear(message, self._clock())

    def hear(self, message: bytes | bytearray | memoryview, at: float) -> None:
        """The hot path: one message of the socket, which came ``at`` that moment, straight to the ears."""
        host, bad = self._host, self._bad
        if host is None or bad is None:
            return
        try:
            frame = decode_audio(message)  # type: ignore[arg-type]
            if frame.call_id != self.call_id:
                self._refuse("other_call", 1008)
                return
            host.audio(frame.data, at)
        except WireError:
            self._refuse("not_audio", 1007)
        except AudioError as error:
            self._refuse(error.code, 1009)
        else:
            bad.run = 0

    def catch_up(self, frames: Iterable[tuple[float, bytes]]) -> None:
        """What a socket brought while its call was looked up, as of when it came: all at once it would reach into the future."""
        for at, message in frames:
            self.hear(message, at)
        if self._host is not None:
            self._host.audio_waited()

    def _refuse(self, what: str, code: int) -> None:
        self.bad_frames += 1
        if self._bad is not None and self._bad.bad(what) and self._socket is not None:
            self._socket.ignore()
            _close_later(self._socket, code, f"too many frames that are none: {what}")

    # --- the stream ---

    def _start_stream(self) -> None:
        self._actions.start_stream(self._started)

    def _started(self) -> None:
        self._playing = True
        self._update_ready()

    def _cleaned(self) -> None:
        self._cleaning -= 1
        self._update_ready()

    def _stuck(self) -> None:
        if self._host is not None and not self._over:
            self._host.leg_failed("stream_not_started")

    def _update_ready(self) -> None:
        self.ready = self._playing and not self._cleaning and self._socket is not None and not self._over


def _close_later(socket: AudioConnection, code: int, reason: str) -> None:
    task = asyncio.get_running_loop().create_task(_close(socket, code, reason), name="close-audio-socket")
    _closing.add(task)
    task.add_done_callback(_closing.discard)


_closing: set[asyncio.Task[None]] = set()
"""The loop itself holds tasks weakly."""


async def _close(socket: AudioConnection, code: int, reason: str) -> None:
    """Bounded by the server's close_timeout."""
    try:
        await socket.close(code, reason)
    except ConnectionClosed:
        return
