"""Audio on its way to a recogniser: what is not sent yet, and what was sent and may have to be sent again. Pure."""

from __future__ import annotations

BYTES_PER_SAMPLE = 2


class Backlog:
    """The tail of a call's audio, at most ``seconds`` long; what is pushed out at the front is lost for recognition.

    Positions are milliseconds of the call's timeline, whose zero lies ``origin_ms`` before the first pushed sample.
    """

    def __init__(self, rate: int, origin_ms: int, seconds: float) -> None:
        self._bytes_per_ms = rate * BYTES_PER_SAMPLE / 1000
        self._limit = int(seconds * rate) * BYTES_PER_SAMPLE
        self._origin_ms = origin_ms
        self._audio = bytearray()
        self._start = 0
        self._next = 0

    def push(self, pcm: bytes | bytearray | memoryview) -> None:
        """Takes audio; whole samples."""
        self._audio += pcm
        if len(self._audio) > self._limit:
            self._forget(len(self._audio) - self._limit)

    def take(self, longest: int) -> bytes:
        """The next audio to send, at most ``longest`` bytes; empty if all was sent."""
        begin = max(self._next, self._start) - self._start
        piece = bytes(self._audio[begin : begin + longest])
        self._next = self._start + begin + len(piece)
        return piece

    @property
    def waiting(self) -> int:
        """Bytes that were not sent yet."""
        return self._start + len(self._audio) - max(self._next, self._start)

    def settle(self, until_ms: int) -> None:
        """All before ``until_ms`` has its final result and will not be wanted again; what is not sent yet stays."""
        position = int((until_ms - self._origin_ms) * self._bytes_per_ms)
        position -= position % BYTES_PER_SAMPLE
        self._forget(min(position, self._next) - self._start)

    def rewind(self) -> int:
        """Everything kept is to be sent again (to a new connection). Returns where it begins, in ms."""
        self._next = self._start
        return self._origin_ms + round(self._start / self._bytes_per_ms)

    def _forget(self, count: int) -> None:
        if count > 0:
            del self._audio[:count]
            self._start += count
