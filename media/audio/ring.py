"""The customer's last seconds of audio, by absolute sample index: the only timestamp there is.

One writer (the loop) and any number of readers, each with its own index. Bytes go straight into place: a write is
one slice assignment, without numpy.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from media.audio.errors import FrameTooLongError, OddLengthError, OverwrittenError

WINDOW = 256
"""Samples of one VAD window at 8 kHz (silero); a ring holds a whole number of them, so that none ever wraps."""
RING_SAMPLES = 320 * WINDOW
"""10.24 s at 8 kHz, 160 KiB a call: longer than any consumer may fall behind (the VAD gives up after 1 s, an ASR
provider that reconnects after 5 s still gets every word)."""
LONGEST_WRITE = 16_000
"""2 s at 8 kHz in one piece. Peers send 20 to 200 ms; a burst after a stalled network comes as many frames."""

Samples = npt.NDArray[np.int16]


class Ring:
    """An int16 ring. ``memory`` lets many calls share one matrix; by default the ring has its own."""

    __slots__ = ("_bytes", "_longest", "_position", "_samples", "_size", "written")

    def __init__(
        self, samples: int = RING_SAMPLES, memory: Samples | None = None, longest: int = LONGEST_WRITE
    ) -> None:
        """Raises ValueError if ``memory`` is not one contiguous int16 row of ``samples``, or ``longest`` exceeds it."""
        own = np.zeros(samples, np.int16) if memory is None else memory
        if own.shape != (samples,) or own.dtype != np.int16 or not own.flags.c_contiguous:
            raise ValueError(f"expected a contiguous int16 row of {samples} samples, got {own.dtype} {own.shape}")
        if not 0 < longest <= samples:
            raise ValueError(f"expected a longest write of 1..{samples} samples, got {longest}")
        self._samples = own
        self._bytes = own.data.cast("B")
        self._size = samples * 2
        self._longest = longest * 2
        self._position = 0
        self.written = 0
        """Absolute index of the next sample to be written: how many came so far."""

    @property
    def capacity(self) -> int:
        """Samples the ring holds."""
        return self._size // 2

    @property
    def oldest(self) -> int:
        """Absolute index of the oldest sample still held."""
        return max(0, self.written - self.capacity)

    def write(self, pcm: bytes | bytearray | memoryview) -> int:
        """Appends s16le audio and returns the absolute index of its first sample.

        Raises OddLengthError and FrameTooLongError; the ring is unchanged then.
        """
        length = len(pcm)
        if length & 1:
            raise OddLengthError(f"expected whole 16-bit samples, got {length} bytes; send an even number of bytes")
        if length > self._longest:
            raise FrameTooLongError(
                f"expected at most {self._longest} bytes in one frame, got {length}; send frames of 20 to 200 ms"
            )
        position = self._position
        end = position + length
        if end < self._size:
            self._bytes[position:end] = pcm
            self._position = end
        else:
            head = self._size - position
            view = memoryview(pcm)
            self._bytes[position:] = view[:head]
            self._bytes[: length - head] = view[head:]
            self._position = end - self._size
        start = self.written
        self.written = start + (length >> 1)
        return start

    def silence(self, samples: int) -> int:
        """Appends ``samples`` zeros, at most what the ring holds, and returns the index of the first."""
        start = self.written
        left = min(samples, self.capacity) * 2
        while left > 0:
            piece = min(left, self._longest)
            self.write(bytes(piece))
            left -= piece
        return start

    def read(self, start: int, samples: int) -> bytes:
        """A copy of ``samples`` from absolute index ``start``. Raises OverwrittenError if not all of them are held."""
        written = self.written
        if start < 0 or start < written - (self._size >> 1) or start + samples > written or samples < 0:
            raise OverwrittenError(
                f"expected samples within {self.oldest}..{self.written}, got {start}..{start + samples}; "
                "read from `oldest` on and count the rest as lost"
            )
        position = start * 2 % self._size
        end = position + samples * 2
        if end <= self._size:
            return self._bytes[position:end].tobytes()
        return bytes(self._bytes[position:]) + bytes(self._bytes[: end - self._size])
