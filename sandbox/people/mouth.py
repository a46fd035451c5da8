"""The person's end of the line as samples: what is spoken, one after another, over a bed of noise. Pure: no clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from sandbox.people.sounds import Pcm, noise

WAITING_SOUNDS = 32
"""Sounds that may wait to be spoken: a person decides on a few at a time, so more means that something runs away."""


@dataclass(slots=True)
class Sounding:
    """Something to be spoken. `pcm` is None until it has been synthesised; the line is quiet until then.

    `start` and `end` are samples since the answer; None until the sound has begun, and ended or been cut short.
    """

    kind: str
    text: str
    pcm: Pcm | None = None
    start: int | None = None
    end: int | None = None


class Mouth:
    """Plays soundings in order. Every call of `speak` moves its time on by as many samples as it returns."""

    def __init__(self, noise_dbfs: float, phase: int = 0) -> None:
        """`phase`: where in the noise to begin, so that two lines don't hiss alike."""
        self._noise = noise(noise_dbfs)
        self._phase = phase % len(self._noise)
        self._waiting: deque[Sounding] = deque()
        self._played = 0
        self.now = 0
        """Samples spoken so far."""
        self.said: list[Sounding] = []
        """Everything that has begun, in order."""

    @property
    def talking(self) -> bool:
        """Whether a sound is on its way or waiting."""
        return bool(self._waiting)

    def queue(self, sounding: Sounding) -> None:
        """Speak this after what waits already. Raises OverflowError above WAITING_SOUNDS."""
        if len(self._waiting) >= WAITING_SOUNDS:
            raise OverflowError(f"expected at most {WAITING_SOUNDS} sounds to wait, got one more; the person runs away")
        self._waiting.append(sounding)

    def speak(self, samples: int) -> Pcm:
        """The next `samples` samples of the line; read-only while nothing but its noise is heard."""
        bed = self._bed(samples)
        if not self._waiting or self._waiting[0].pcm is None:  # most of the time: nothing to mix
            self.now += samples
            return bed
        out = bed.astype(np.int32)
        filled = 0
        while filled < samples and self._waiting:
            sounding = self._waiting[0]
            if sounding.pcm is None:
                break
            if sounding.start is None:
                sounding.start = self.now + filled
                self.said.append(sounding)
            piece = sounding.pcm[self._played : self._played + samples - filled]
            out[filled : filled + len(piece)] += piece
            filled += len(piece)
            self._played += len(piece)
            if self._played >= len(sounding.pcm):
                sounding.end = self.now + filled
                self._waiting.popleft()
                self._played = 0
        self.now += samples
        return np.clip(out, -32768, 32767).astype(np.int16)

    def stop(self) -> None:
        """The receiver is down: what sounds now ends here, what waits is never said."""
        if self._waiting and self._waiting[0].start is not None:
            self._waiting[0].end = self.now
        self._waiting.clear()

    def _bed(self, samples: int) -> Pcm:
        start, size = self._phase, len(self._noise)
        self._phase = (start + samples) % size
        if start + samples <= size:
            return self._noise[start : start + samples]
        return self._noise[np.arange(start, start + samples) % size]
