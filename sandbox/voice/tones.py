"""The modem's symbols as sound: their waves, and the energy of each tone on a fine grid of time (pure; numpy only).

A symbol lasts 15 ms: sixteen tones, 80 Hz apart from 2,200 to 3,400 Hz, in four groups of four. A byte sounds one tone in each
group, its place there being two bits; a mark sounds two tones in each of two groups, a chord that no byte can make.
The analysis window is 12.5 ms, in which neighbouring tones are orthogonal; the other 2.5 ms absorb the phase of the grid.
Such a window leaks: a loud voice at 500 Hz would still be heard at 2,200. So a high-pass is folded into the analysis.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Pcm = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float32]

SYMBOL_SECONDS = 0.015
HOPS = 6  # frames of the grid in one symbol
HISTORY = 256  # frames kept for looking back: 0.64 s; the longest packet is 15 symbols, 90 frames
FULL_SCALE = 32768.0
LOWEST_RATE = 7000  # Hz: the highest tone is 3,400 Hz

_TONES = 16
_LOWEST_TONE = 2200.0
_SPACING = 80.0
_HOP_SECONDS = SYMBOL_SECONDS / HOPS
_MARK_CHORDS = ((0, 2, 8, 10), (5, 7, 13, 15), (1, 3, 9, 11))

CHORDS: Floats = np.zeros((_TONES, len(_MARK_CHORDS)), np.float32)
"""(tone, mark): 1 where the tone belongs to the mark X, Y or Z."""
for _column, _chord in enumerate(_MARK_CHORDS):
    CHORDS[list(_chord), _column] = 1


def check_rate(rate: int) -> None:
    """Raise ValueError if `rate` (Hz) can't carry the tones."""
    if rate < LOWEST_RATE:
        raise ValueError(f"expected a rate of at least {LOWEST_RATE} Hz to carry tones up to 3400 Hz, got {rate}")


def symbol_samples(symbols: int, rate: int) -> int:
    """How long `symbols` last at `rate`."""
    return round(symbols * SYMBOL_SECONDS * rate)


@lru_cache(maxsize=8)  # one table for each rate in use, 120 KiB at 8 kHz
def waveforms(rate: int) -> Floats:
    """The 256 bytes and the marks X, Y, Z as waves of RMS 1: (259, samples of a symbol)."""
    width = int(rate * SYMBOL_SECONDS)
    place = np.arange(_TONES)
    phases = np.pi * place**2 / _TONES  # Newman's phases keep the peaks of chords low
    angle = 2 * np.pi * np.outer(_LOWEST_TONE + _SPACING * place, np.arange(width) / rate)
    waves = np.cos(angle + phases[:, None])
    ramp = max(1, round(rate * 0.001))
    edge = np.sin(np.pi / 2 * (np.arange(ramp) + 0.5) / ramp) ** 2
    waves[:, :ramp] *= edge
    waves[:, -ramp:] *= edge[::-1]
    chords = [tuple(4 * group + (byte >> (6 - 2 * group) & 3) for group in range(4)) for byte in range(256)]
    table: Floats = np.stack([waves[list(chord)].sum(axis=0) for chord in (*chords, *_MARK_CHORDS)]).astype(np.float32)
    return table / np.float32(np.sqrt(2.0))  # four tones of amplitude 1 have the RMS sqrt(2)


@lru_cache(maxsize=8)  # one for each rate in use
def _basis(rate: int) -> Floats:
    """(taps, 32): cosines, then sines, each through the high-pass of `_high_pass`.

    Scaled so that a sum of two squares is a tone's mean power re full scale.
    """
    width = round(rate / _SPACING)
    angle = 2 * np.pi * np.outer(np.arange(width) / rate, _LOWEST_TONE + _SPACING * np.arange(_TONES))
    bare = np.hstack((np.cos(angle), np.sin(angle))) * (np.sqrt(2.0) / (width * FULL_SCALE))
    taps = _high_pass(rate)
    return np.stack([np.convolve(wave, taps) for wave in bare.T], axis=1).astype(np.float32)


def _high_pass(rate: int) -> npt.NDArray[np.float64]:
    """A symmetric high-pass, a Kaiser-windowed sinc of about 5.6 ms: 45 dB down below 1,600 Hz, flat above 2,120."""
    attenuation, stop, edge = 45.0, 1600.0, 2120.0
    width = 2 * np.pi * (edge - stop) / rate
    taps = int(np.ceil((attenuation - 8) / (2.285 * width))) | 1
    place = np.arange(taps) - taps // 2
    cutoff = (stop + edge) / rate
    window = np.kaiser(taps, 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21))
    response: npt.NDArray[np.float64] = -cutoff * np.sinc(cutoff * place) * window
    response[taps // 2] += 1.0
    return response


class Frames:
    """The mean power of each tone, re full scale, on a grid of 2.5 ms; row `frame - first` of `energy` is `frame`.

    Keeps at least the newest HISTORY frames.
    """

    def __init__(self, rate: int) -> None:
        check_rate(rate)
        self.first = 0
        self.energy: Floats = np.zeros((0, _TONES), np.float32)
        self.longest_feed = round(rate * _HOP_SECONDS * HISTORY / 2)  # samples; more would run past the history
        self._hop = rate * _HOP_SECONDS
        self._basis = _basis(rate)
        self._width = len(self._basis)
        self._lead = len(_high_pass(rate)) // 2
        self._base = -self._lead  # the index of the first sample in _left; before the stream there was silence
        self._left: Pcm = np.zeros(self._lead, np.int16)

    @property
    def end(self) -> int:
        """One past the newest frame."""
        return self.first + len(self.energy)

    def sample_at(self, frame: int) -> int:
        """The first sample of a symbol that `frame` fits."""
        return round(frame * self._hop)

    def at(self, frames: range) -> Floats:
        """The energies of `frames`, all of which must be kept still: (frames, tone)."""
        return self.energy[frames.start - self.first : frames.stop - self.first : frames.step]

    def feed(self, pcm: Pcm) -> None:
        """Take at most `longest_feed` samples."""
        samples = np.concatenate((self._left, pcm))
        oldest = self.end
        # The grid is rounded to samples, so half a sample is the surest bound of the last window that fits.
        newest = self._base + len(samples) - self._width + self._lead
        count = int((newest - 0.5) // self._hop) + 1 - oldest
        if count > 0:
            keep = max(0, len(self.energy) - HISTORY)
            self.energy = np.concatenate((self.energy[keep:], self._analyse(samples, oldest, count)))
            self.first += keep
            gone = self.sample_at(oldest + count) - self._lead - self._base
            samples = samples[gone:]
            self._base += gone
        self._left = samples

    def _analyse(self, samples: Pcm, oldest: int, count: int) -> Floats:
        if not samples.any():  # most of a call's audio, on either side, is silence
            return np.zeros((count, _TONES), np.float32)
        starts = np.rint(np.arange(oldest, oldest + count) * self._hop).astype(np.intp) - self._lead - self._base
        windows = np.lib.stride_tricks.sliding_window_view(samples, self._width)[starts]
        spectrum = windows.astype(np.float32) @ self._basis
        spectrum *= spectrum
        energy: Floats = spectrum[:, :_TONES] + spectrum[:, _TONES:]
        return energy
