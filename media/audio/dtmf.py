"""In-band DTMF by Goertzel's sums, for many calls at once (ITU-T Q.23 and Q.24).

Blocks of 128 samples (16 ms at 8 kHz), one every 64. A tone of 40 ms fills at least three blocks in a row wherever
it begins, one of 20 ms at most two: three equal blocks make a key. A gap of 40 ms holds six blocks without tone, one
of 10 ms at most three: four end it. A block is a key when

* its two tones hold most of its energy (speech spreads over more; so does a tone more than 3.5 % off its place, while
  1.5 % off still passes),
* neither is much louder than the other (twist: the high one at most 4 dB up or 8 dB down, Q.24 annex A),
* no third tone of either group, nor the high one's second harmonic, comes near them (talk-off).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

BLOCK = 128
HOP = 64
KEYS = "123A456B789C*0#D"
NO_KEY = -1

_RATE = 8000
_GROUPS = (697, 770, 852, 941, 1209, 1336, 1477, 1633)
_PURITY = 0.60
"""Share of a block's energy within its two tones. A clean pair has 0.95 to 1.05, one 1.5 % off about 0.7."""
_TWIST_UP = 10**0.55
"""5.5 dB: Q.24 allows the high tone 4 dB more than the low one, a block adds up to 1.5 dB of error off the centre."""
_TWIST_DOWN = 10**0.95
"""9.5 dB: 8 dB less, and the same margin."""
_ALONE = 10**0.6
"""6 dB above the second loudest tone of its own group."""
_HARMONIC = 10**0.8
"""8 dB above the high tone's second harmonic: what vowels have and keys do not."""
_QUIETEST = 32768.0**2 * 10**-4.2
"""Mean square: -42 dB below full scale, 10 dB under the weakest pair that Q.24 wants heard (-29 dBm0 a tone)."""
_NEED = 3
_RELEASE = 4


def _basis() -> npt.NDArray[np.float32]:
    """[BLOCK, 24]: cosines and sines of the eight tones and of the high ones' doubles.

    The low tones' doubles fall among the high tones (2 x 697 = 1394), so they tell nothing.
    """
    tones = np.array(_GROUPS + tuple(2 * tone for tone in _GROUPS[4:]))
    angle = 2 * np.pi * np.outer(np.arange(BLOCK), tones) / _RATE
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


_BASIS = _basis()


def classify(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """The key of each block of each row as an index into KEYS, or NO_KEY: [rows, n * HOP] to [rows, n - 1].

    ``samples``: int16 values as float32. What two blocks have in common is the second half of the one and the first of
    the other, so each half is summed on both and nothing is copied.
    """
    rows, hops = len(samples), samples.shape[1] // HOP
    halves = samples.reshape(-1, HOP)
    first = (halves @ _BASIS[:HOP]).reshape(rows, hops, -1)[:, :-1]
    sums = (first + (halves @ _BASIS[HOP:]).reshape(rows, hops, -1)[:, 1:]).reshape(rows * (hops - 1), -1)
    power = (sums[:, :12] ** 2 + sums[:, 12:] ** 2) * np.float32(2.0 / BLOCK**2)
    energy = np.einsum("ij,ij->i", halves, halves).reshape(rows, hops)
    mean = (energy[:, :-1] + energy[:, 1:]).reshape(-1) / np.float32(BLOCK)
    tonal = (mean > _QUIETEST) & (power[:, :4].max(axis=1) + power[:, 4:8].max(axis=1) > _PURITY * mean)
    keys = np.full(len(sums), NO_KEY, np.intp)
    at = np.flatnonzero(tonal)
    if len(at):  # speech has hardly any such block
        keys[at] = _key(power[at])
    return keys.reshape(rows, hops - 1)


def _key(power: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """The key of each block whose energy lies in two tones. ``power``: [n, 12], of the eight tones and four doubles."""
    low, high = power[:, :4], power[:, 4:8]
    at_low, at_high = low.argmax(axis=1), high.argmax(axis=1)
    each = np.arange(len(power))
    best_low, best_high = low[each, at_low], high[each, at_high]
    good = (
        (best_high < _TWIST_UP * best_low)
        & (best_low < _TWIST_DOWN * best_high)
        & (best_low > _ALONE * np.partition(low, 2, axis=1)[:, 2])
        & (best_high > _ALONE * np.partition(high, 2, axis=1)[:, 2])
        & (best_high > _HARMONIC * power[each, 8 + at_high])
    )
    return np.where(good, at_low * 4 + at_high, NO_KEY)


class DtmfDetector:
    """One call's keys, from its blocks' classes in order."""

    __slots__ = ("_begun", "_candidate", "_misses", "_pressed", "_seen")

    def __init__(self) -> None:
        self._candidate = NO_KEY
        self._seen = 0
        self._begun = 0
        self._pressed = NO_KEY
        self._misses = 0

    @property
    def idle(self) -> bool:
        """No key is down or coming: blocks without a tone need not be fed."""
        return self._pressed == NO_KEY and self._candidate == NO_KEY

    def feed(self, keys: Sequence[int], sample: int) -> list[tuple[str, int]]:
        """Keys newly pressed, with the sample where each began. ``sample``: where the first block begins."""
        found: list[tuple[str, int]] = []
        for key in keys:
            if self._step(key, sample):
                found.append((KEYS[key], self._begun))
            sample += HOP
        return found

    def _step(self, key: int, sample: int) -> bool:
        """Takes one block; True when it makes its key certain."""
        if key == self._pressed:
            self._misses = 0
            self._candidate = NO_KEY
            return False
        self._misses += 1
        if self._misses >= _RELEASE:
            self._pressed = NO_KEY
        if key != self._candidate:
            self._candidate, self._seen, self._begun = key, 0, sample
        self._seen += 1
        if key == NO_KEY or self._seen < _NEED:
            return False
        self._pressed, self._candidate, self._misses = key, NO_KEY, 0
        return True
