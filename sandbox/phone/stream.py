"""Playback towards the callee: the order of the stream actions, and the buffer behind them. Pure: no clock, no socket.

What the document leaves open is settled here so: audio that comes when nothing plays is kept for the next stream, up to
MAX_BUFFER_BYTES; `clean_stream` drops what is buffered and leaves the stream as it is; `stop_stream` drops it and ends
the stream, after which `start_stream` comes first again; a preset file plays only while no stream is started.
"""

from __future__ import annotations

from enum import Enum

from sandbox.phone.refusals import Code, Refusal

BYTES_PER_SECOND = 16_000
"""8 kHz, 16 bit, mono (section 4.2)."""

MAX_BUFFER_BYTES = 60 * BYTES_PER_SECOND
"""A minute of speech: a robot may send a long sentence at once, but what comes beyond that is dropped and counted."""


class Stage(Enum):
    """Where a stream stands."""

    STOPPED = "stopped"
    STARTED = "started"
    PLAYING = "playing"


class Stream:
    """The audio that is on its way to the callee."""

    def __init__(self) -> None:
        self.stage = Stage.STOPPED
        self.dropped_bytes = 0
        """Bytes that found the buffer full."""
        self._buffer = bytearray()
        self._file = b""

    @property
    def buffered(self) -> int:
        """Bytes that wait to be played."""
        return len(self._buffer)

    def start(self) -> None:
        """start_stream (2.3). Raises Refusal WRONG_ORDER unless the stream is stopped."""
        self._expect(self.stage is Stage.STOPPED, "start_stream", "a stopped stream: call stop_stream first")
        self.stage = Stage.STARTED

    def play(self) -> None:
        """stream_playback (2.4): the buffer drains from now on. Raises Refusal WRONG_ORDER unless just started."""
        self._expect(self.stage is Stage.STARTED, "stream_playback", "a started stream: call start_stream first, once")
        self.stage = Stage.PLAYING
        self._file = b""

    def clean(self) -> None:
        """clean_stream (2.5). Raises Refusal WRONG_ORDER if no stream is started."""
        self._expect(self.stage is not Stage.STOPPED, "clean_stream", "a started stream: call start_stream first")
        self._buffer.clear()

    def stop(self) -> None:
        """stop_stream (2.6). Raises Refusal WRONG_ORDER if no stream is started."""
        self._expect(self.stage is not Stage.STOPPED, "stop_stream", "a started stream: call start_stream first")
        self._buffer.clear()
        self.stage = Stage.STOPPED

    def play_file(self, pcm: bytes) -> None:
        """file_playback (2.2), from its beginning. Raises Refusal WRONG_ORDER while a stream is started."""
        self._expect(self.stage is Stage.STOPPED, "file_playback", "a stopped stream: call stop_stream first")
        self._file = pcm

    def receive(self, pcm: bytes) -> None:
        """Audio from the robot: s16le bytes, kept until they are played."""
        room = MAX_BUFFER_BYTES - len(self._buffer)
        self._buffer += pcm[:room] if len(pcm) > room else pcm
        self.dropped_bytes += max(0, len(pcm) - room)

    def take(self, size: int) -> bytes:
        """Up to `size` bytes (even) to play now: of the stream, or of the file; fewer if there are no more.

        Half a sample stays until its other half comes: to the receiver the stream is bytes, not frames.
        """
        if self._file:
            piece, self._file = self._file[:size], self._file[size:]
            return piece
        if self.stage is not Stage.PLAYING:
            return b""
        whole = min(size, len(self._buffer) & ~1)
        piece = bytes(self._buffer[:whole])
        del self._buffer[:whole]
        return piece

    def _expect(self, right: bool, action: str, what: str) -> None:
        if not right:
            raise Refusal(Code.WRONG_ORDER, f"{action} expects {what}; the stream is {self.stage.value} (section 6, 2)")
