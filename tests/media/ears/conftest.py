"""A voice without a recording: vowels with gliding pitch and breath between them, which the neural VAD takes for speech."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

Samples = npt.NDArray[np.int16]

_VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480))
_SYLLABLE = 1400


def _vowel(pitch: float, formants: tuple[int, int, int], random: np.random.Generator) -> npt.NDArray[np.float64]:
    t = np.arange(_SYLLABLE) / 8000
    glide = pitch * (1 + 0.15 * np.sin(2 * np.pi * 1.3 * t))
    phase = 2 * np.pi * np.cumsum(glide) / 8000
    out = np.zeros(_SYLLABLE)
    for order in range(1, int(3800 / pitch)):
        gain = sum(1 / (1 + ((order * pitch - formant) / 90) ** 2) for formant in formants)
        out += gain * np.sin(order * phase + random.uniform(0, 6))
    return out / np.abs(out).max() * np.sin(np.linspace(0, np.pi, _SYLLABLE)) ** 0.6


def _babble(seconds: float, seed: int = 1) -> Samples:
    random = np.random.default_rng(seed)
    out = np.zeros(0)
    syllable = 0
    while len(out) < seconds * 8000:
        vowel = _vowel(110.0 + 10 * (syllable % 3) + seed, _VOWELS[syllable % 4], random)
        out = np.concatenate([out, 12_000 * vowel, random.normal(0, 800, 300)])
        syllable += 1
    return out[: int(seconds * 8000)].astype(np.int16)


@pytest.fixture(scope="session")
def babble() -> Callable[..., Samples]:
    """babble(seconds, seed=1): int16 at 8 kHz."""
    return _babble


@pytest.fixture(scope="session")
def line() -> Callable[..., Samples]:
    """line(piece, piece, ...): numbers are seconds of quiet line noise, arrays are audio."""

    def join(*pieces: float | Samples) -> Samples:
        random = np.random.default_rng(7)
        parts = [np.zeros(int(p * 8000)) if isinstance(p, int | float) else p.astype(np.float64) for p in pieces]
        out = np.concatenate(parts)
        return (out + random.normal(0, 20, len(out))).clip(-32768, 32767).astype(np.int16)

    return join
