"""What reached the callee's ear, written down as it happens: when, how loud, with which holes, and which words.

Pure: the caller tells the time. Places in the audio are samples since the answer; arrivals are seconds since the answer.
Everything kept grows with the talk only, whose length the phone system bounds; lateness has its own bound.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sandbox.voice.modem import Heard

RATE = 8000
"""Samples a second."""

LOUD_DBFS = -48.0
"""A frame above this is sound, below it silence: 12 dB over a comfort noise of -60 dBFS, 20 dB under quiet speech."""

SPOKEN_RUN_GAP = int(0.3 * RATE)
"""Shorter silences belong to the speech around them: stops and pauses inside a sentence."""

MAX_LATENESS_VALUES = 60_000
"""Chunks whose lateness is kept: twenty minutes of 20 ms frames, twice the longest talk."""

LOUD_POWER = (32768.0 * 10 ** (LOUD_DBFS / 20)) ** 2


@dataclass(slots=True)
class Run:
    """A stretch of sound, in samples, end exclusive."""

    start: int
    end: int


class Runs:
    """Stretches of sound in order; silences shorter than `gap` samples are bridged."""

    def __init__(self, gap: int) -> None:
        self._gap = gap
        self.runs: list[Run] = []

    def add(self, start: int, end: int) -> None:
        """Sound from `start` to `end`, not before any that was added earlier."""
        if self.runs and start - self.runs[-1].end <= self._gap:
            self.runs[-1].end = max(self.runs[-1].end, end)
        else:
            self.runs.append(Run(start, end))

    def at(self, place: int) -> Run | None:
        """The stretch that holds this sample, or ended no more than a bridged silence before it."""
        for run in reversed(self.runs):
            if run.start <= place:
                return run if place <= run.end + self._gap else None
        return None

    def after(self, place: int) -> Run | None:
        """The first stretch that goes on beyond this sample."""
        return next((run for run in self.runs if run.end > place), None)


@dataclass(slots=True)
class Underrun:
    """The buffer was empty while a stream played: from `start` to `end` in samples; `end` is None if audio never came.

    `abrupt`: there was sound up to the hole. `resumed_loud`: and again right after it.
    """

    start: int
    abrupt: bool
    end: int | None = None
    resumed_loud: bool = False
    arrived: float | None = None
    """When the audio that ended it arrived, in seconds since the answer."""


@dataclass(slots=True)
class Loudness:
    """Sound adds up here, silence doesn't."""

    power: float = 0.0
    samples: int = 0
    peak: int = 0

    def add(self, power: float, samples: npt.NDArray[np.int16]) -> None:
        self.power += power * len(samples)
        self.samples += len(samples)
        self.peak = max(self.peak, int(samples.max()), -int(samples.min()))


@dataclass(slots=True)
class Hearing:
    """The notes on one call."""

    received_bytes: int = 0
    received_chunks: int = 0
    odd_chunks: int = 0
    """Chunks that ended in the middle of a sample."""
    played_samples: int = 0
    played: Runs = field(default_factory=lambda: Runs(SPOKEN_RUN_GAP))
    received: Runs = field(default_factory=lambda: Runs(SPOKEN_RUN_GAP))
    """Arrivals of sound, placed at the sample of the moment in which they came."""
    loudness: Loudness = field(default_factory=Loudness)
    underruns: list[Underrun] = field(default_factory=list)
    lateness: array[float] = field(default_factory=lambda: array("f"))
    """For each chunk that came before its play time: seconds (negative) by which it was early."""
    cleared: list[int] = field(default_factory=list)
    """Samples at which clean_stream or stop_stream dropped what was left."""
    words: list[Heard] = field(default_factory=list)
    _open: Underrun | None = None
    _loud_end: int = -RATE

    def arrive(self, pcm: bytes, at: float, ahead: float, *, playing: bool) -> None:
        """A chunk came in at `at`; `ahead` seconds of audio and time lie before its first sample is played."""
        self.received_bytes += len(pcm)
        self.received_chunks += 1
        self.odd_chunks += len(pcm) % 2
        samples = np.frombuffer(pcm, "<i2", count=len(pcm) // 2)
        if len(samples) and _power(samples) >= LOUD_POWER:
            place = int(at * RATE)
            self.received.add(place, place)
        if not playing:
            return
        if self._open is not None and self._open.arrived is None:
            self._open.arrived = at
        elif len(self.lateness) < MAX_LATENESS_VALUES:
            self.lateness.append(-ahead)

    def play(self, samples: npt.NDArray[np.int16], place: int, size: int, *, playing: bool) -> bool:
        """A frame of `size` samples went to the ear at `place`, filled as far as `samples` go. Returns whether it is loud."""
        filled = len(samples)
        power = _power(samples) if filled else 0.0
        loud = power >= LOUD_POWER
        self.played_samples += filled
        if loud:
            self.loudness.add(power, samples)
            self.played.add(place, place + filled)
        if filled and self._open is not None:
            self._close(place, loud)
        if loud:
            self._loud_end = place + filled
        if playing and filled < size and self._open is None:
            start = place + filled
            self._open = Underrun(start, abrupt=start - self._loud_end == 0)
        return loud

    def clear(self, place: int) -> None:
        """What was buffered is dropped: the silence that follows is meant."""
        self.cleared.append(place)
        self._open = None

    def _close(self, place: int, loud: bool) -> None:
        assert self._open is not None
        self._open.end = place
        self._open.resumed_loud = loud
        if self._loud_end >= 0:  # before the first sound there is nothing to interrupt
            self.underruns.append(self._open)
        self._open = None


def _power(samples: npt.NDArray[np.int16]) -> float:
    """Mean square."""
    wave = samples.astype(np.float32)
    return float(wave @ wave) / len(wave)
