"""Sounds of a phone line that are no speech: comfort noise, a cough, the beep of a mailbox, DTMF. Pure: numpy only.

All are int16 mono at `RATE`; levels are RMS in dB below full scale.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

RATE = 8000
"""Samples a second on the phone line."""

BEEP_HZ = 1000.0
"""The tone after which a mailbox records."""

DTMF_ROWS = (697, 770, 852, 941)
DTMF_COLUMNS = (1209, 1336, 1477, 1633)
DTMF_KEYS = ("123A", "456B", "789C", "*0#D")
"""ITU-T Q.23: one tone of a row and one of a column for each key."""

TONE_SECONDS = 0.1
"""A key pressed by a finger lasts about this long; detectors ask for 40 ms."""

NOISE_SECONDS = 8
"""Length of the noise that is played round and round: too long for an ear to notice."""

Pcm = npt.NDArray[np.int16]


@lru_cache(maxsize=16)  # the levels in use at once: one for each kind of line
def noise(dbfs: float) -> Pcm:
    """NOISE_SECONDS of white noise at this level; read-only, shared by all calls."""
    generator = np.random.default_rng(8000)
    wave = generator.standard_normal(NOISE_SECONDS * RATE) * (32768.0 * 10 ** (dbfs / 20))
    pcm = np.clip(np.round(wave), -32768, 32767).astype(np.int16)
    pcm.setflags(write=False)
    return pcm


@lru_cache(maxsize=1)
def cough() -> Pcm:
    """A cough: two bursts of shaped noise, 0.35 s, peaking near -12 dBFS."""
    generator = np.random.default_rng(21)
    time = np.arange(int(0.35 * RATE)) / RATE
    burst = np.exp(-time / 0.05) + 0.6 * np.exp(-np.clip(time - 0.16, 0, None) / 0.06) * (time >= 0.16)
    rough = generator.standard_normal(len(time)) + 0.5 * np.sin(2 * np.pi * 180 * time)
    return _scaled(rough * burst, peak_dbfs=-12)


def beep(seconds: float, dbfs: float = -12.0) -> Pcm:
    """The tone of BEEP_HZ for `seconds`, peaking at `dbfs`, without clicks at its ends."""
    return _scaled(_tone(seconds, BEEP_HZ), dbfs)


def digits(keys: str, dbfs: float = -9.0) -> Pcm:
    """The DTMF tones of `keys`, each TONE_SECONDS long with as much silence after it, peaking at `dbfs`.

    Raises ValueError for a key that no phone has.
    """
    pause = np.zeros(int(TONE_SECONDS * RATE), np.int16)
    return np.concatenate([part for key in keys for part in (_scaled(_key(key), dbfs), pause)] or [pause])


def _key(key: str) -> npt.NDArray[np.float64]:
    for row, keys in zip(DTMF_ROWS, DTMF_KEYS, strict=True):
        if key in keys:
            return _tone(TONE_SECONDS, row, DTMF_COLUMNS[keys.index(key)])
    raise ValueError(f"expected keys of a phone (0-9, *, #, A-D), got {key!r}")


def _tone(seconds: float, *frequencies: float) -> npt.NDArray[np.float64]:
    time = np.arange(int(seconds * RATE)) / RATE
    wave = np.sum([np.sin(2 * np.pi * frequency * time) for frequency in frequencies], axis=0)
    ramp = np.clip(np.minimum(time, seconds - time) / 0.005, 0, 1)
    return np.asarray(wave * ramp, np.float64)


def _scaled(wave: npt.NDArray[np.float64], peak_dbfs: float) -> Pcm:
    peak = float(np.max(np.abs(wave))) or 1.0
    return np.asarray(np.round(wave * (32767 * 10 ** (peak_dbfs / 20) / peak)), np.int16)
