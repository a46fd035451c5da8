"""The network as matrices, beside the runtime that its authors made it for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnxruntime  # type: ignore[import-untyped]
import pytest

from media.ears.silero import SAMPLES, STATE, Silero
from media.ears.weights import model_path, read_weights

Samples = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float32]
RATE = np.array(8000, np.int64)


@pytest.fixture(scope="module")
def network() -> Silero:
    return Silero(read_weights(model_path()), 64)


@pytest.fixture(scope="module")
def runtime() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(model_path()), options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("calls", [1, 7, 64])
def test_says_what_the_runtime_says(
    calls: int,
    network: Silero,
    runtime: onnxruntime.InferenceSession,
    babble: Callable[..., Samples],
    line: Callable[..., Samples],
) -> None:
    """Speech, quiet line, loud noise and clipping, for two seconds, both states carried on."""
    random = np.random.default_rng(calls)
    audio = np.stack([line(0.1 * (k % 9), babble(0.9, seed=k), 1.5)[:16_000] for k in range(calls)]).astype(np.float32)
    audio[::5] = random.normal(0, 3000, audio[::5].shape)
    audio[3::5] *= 9
    audio = audio.clip(-32768, 32767).round()
    hidden, cell, state = _zeros(calls), _zeros(calls), np.zeros((2, calls, STATE), np.float32)
    loudest = 0.0
    for at in range(0, 16_000 - SAMPLES, 256):
        windows = np.ascontiguousarray(audio[:, at : at + SAMPLES])
        heard, hidden, cell = run(network, windows, hidden, cell)
        expected, state = runtime.run(None, {"input": windows / 32768, "state": state, "sr": RATE})
        np.testing.assert_allclose(heard, expected[:, 0], atol=1e-4)
        np.testing.assert_allclose(hidden, state[0], atol=1e-3)
        np.testing.assert_allclose(cell, state[1], atol=1e-2)
        loudest = max(loudest, float(heard.max()))
    assert calls == 1 or loudest > 0.6, "speech was among it"


def test_windows_may_lie_apart_in_memory(network: Silero) -> None:
    """As the bank hands them over: the end of wider rows."""
    rows = np.random.default_rng(1).normal(0, 2000, (9, 320)).astype(np.float32)
    apart = run(network, rows[:, 320 - SAMPLES :], _zeros(9), _zeros(9))
    together = run(network, np.ascontiguousarray(rows[:, 320 - SAMPLES :]), _zeros(9), _zeros(9))
    for one, other in zip(apart, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_what_it_returns_is_not_overwritten_by_the_next_run(network: Silero) -> None:
    random = np.random.default_rng(2)
    first = run(network, random.normal(0, 2000, (5, SAMPLES)).astype(np.float32), _zeros(5), _zeros(5))
    kept = [each.copy() for each in first]
    run(network, random.normal(0, 9000, (5, SAMPLES)).astype(np.float32), *first[1:])
    for one, other in zip(first, kept, strict=True):
        np.testing.assert_array_equal(one, other)


def run(network: Silero, windows: Floats, hidden: Floats, cell: Floats) -> tuple[Floats, Floats, Floats]:
    return network.step(network.encode(windows), hidden, cell)


def _zeros(calls: int) -> Floats:
    return np.zeros((calls, STATE), np.float32)
