"""Silero's VAD at 8 kHz, many calls in one run.

The ONNX model comes inside PyPI's ``silero-vad`` (MIT). It is found through the package's metadata; the package is
never imported, because its code wants torch.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime  # type: ignore[import-untyped]

from media.audio.ring import WINDOW

CONTEXT = 32
"""Samples of the window before that go in front of each window at 8 kHz (64 at 16 kHz)."""
STATE = 128
"""Width of the model's recurrent state: [2, batch, STATE]."""
MAX_BATCH = 64
"""A larger batch gains nothing more per window (facts: 16.4 us in 64, 16.0 in 256) and takes longer to answer."""
PAD = 8
"""Above it batches grow in steps of it: doubling them would have the model judge a third more windows than there are."""

Floats = npt.NDArray[np.float32]

_DISTRIBUTION = "silero-vad"
_MODEL = "silero_vad.onnx"
_RATE = np.array(8000, np.int64)


class ModelMissingError(RuntimeError):
    """The installed packages hold no VAD model."""


def model_path() -> Path:
    """Where the model lies. Raises ModelMissingError if the package or its file is not installed."""
    try:
        files = metadata.files(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError as error:
        raise ModelMissingError(f"expected the package {_DISTRIBUTION}; install the lock file") from error
    for file in files:
        if file.name == _MODEL:
            return Path(str(file.locate()))
    raise ModelMissingError(f"expected {_MODEL} in the package {_DISTRIBUTION}; install the version of the lock file")


def _session(path: Path) -> Any:
    """One thread, and no spinning: this thread shares a core with the event loop."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class SpeechModel:
    """The model and one recurrent state for each of ``rows`` calls. For one thread."""

    def __init__(self, rows: int, path: Path | None = None) -> None:
        self._session = _session(path or model_path())
        self._state = np.zeros((2, rows, STATE), np.float32)
        self._input = np.zeros((MAX_BATCH, CONTEXT + WINDOW), np.float32)

    def forget(self, rows: npt.NDArray[np.intp]) -> None:
        """Zeroes the state of ``rows``, as before a first window."""
        self._state[:, rows] = 0.0

    def probabilities(self, rows: npt.NDArray[np.intp], windows: Floats) -> Floats:
        """The probability of speech in one window of each of ``rows`` (no row twice).

        ``windows``: [len(rows), CONTEXT + WINDOW], int16 values as float32, each with the end of the one before it.
        """
        out = np.empty(len(rows), np.float32)
        for at in range(0, len(rows), MAX_BATCH):
            piece = slice(at, at + MAX_BATCH)
            out[piece] = self._run(rows[piece], windows[piece])
        return out

    def _run(self, rows: npt.NDArray[np.intp], windows: Floats) -> Floats:
        """One batch, padded so that the runtime meets a dozen shapes only. Padding costs as much as calls: little of it."""
        count = len(rows)
        size = 1 << (count - 1).bit_length() if count <= PAD else -(-count // PAD) * PAD
        batch = self._input[:size]
        np.multiply(windows, np.float32(1 / 32768), out=batch[:count])
        batch[count:] = 0.0
        state = np.zeros((2, size, STATE), np.float32)
        state[:, :count] = self._state[:, rows]
        speech, after = self._session.run(None, {"input": batch, "state": state, "sr": _RATE})
        self._state[:, rows] = after[:, :count]
        probabilities: Floats = speech[:count, 0]
        return probabilities
