"""Silero's VAD at 8 kHz, many calls in one run, each with its own state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from media.audio.ring import WINDOW
from media.ears.silero import FEATURES, SAMPLES, STATE, Silero
from media.ears.weights import Floats, model_path, read_weights

CONTEXT = SAMPLES - WINDOW
"""Samples of the window before that go in front of each window at 8 kHz (64 at 16 kHz)."""
MAX_BATCH = 48
"""Windows in one run: nearly half a millisecond, of which a batch of 128 would save a tenth."""


class SpeechModel:
    """The model and one recurrent state for each of ``rows`` calls. For one thread."""

    def __init__(self, rows: int, path: Path | None = None) -> None:
        """Raises media.ears.weights.ModelMissingError."""
        self._network = Silero(read_weights(path or model_path()), MAX_BATCH)
        self._hidden = np.zeros((rows, STATE), np.float32)
        self._cell = np.zeros((rows, STATE), np.float32)

    def forget(self, rows: npt.NDArray[np.intp]) -> None:
        """Zeroes the state of ``rows``, as before a first window."""
        self._hidden[rows] = 0.0
        self._cell[rows] = 0.0

    def encode(self, windows: Floats, between: Callable[[], None] = lambda: None) -> Floats:
        """The features [n, FEATURES] of ``windows`` [n, CONTEXT + WINDOW], whoever's they are.

        Each window is int16 values as float32, with the end of the one before it in front. ``between`` is called before
        each batch.
        """
        features = np.empty((len(windows), FEATURES), np.float32)
        for at in range(0, len(windows), MAX_BATCH):
            between()
            features[at : at + MAX_BATCH] = self._network.encode(windows[at : at + MAX_BATCH])
        return features

    def step(self, rows: npt.NDArray[np.intp], features: Floats) -> Floats:
        """The probability of speech in the next window of each of ``rows`` (no row twice), by its ``features``."""
        out = np.empty(len(rows), np.float32)
        for at in range(0, len(rows), MAX_BATCH):
            some = rows[at : at + MAX_BATCH]
            out[at : at + MAX_BATCH], self._hidden[some], self._cell[some] = self._network.step(
                features[at : at + MAX_BATCH], self._hidden[some], self._cell[some]
            )
        return out
