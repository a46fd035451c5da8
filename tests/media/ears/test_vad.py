"""The model, in batches and alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from media.audio.ring import WINDOW
from media.ears.vad import CONTEXT, MAX_BATCH, SpeechModel

Samples = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float32]


def windows_of(samples: Samples) -> npt.NDArray[np.float32]:
    """Every window with its context."""
    padded = np.concatenate([np.zeros(CONTEXT, np.int16), samples]).astype(np.float32)
    count = len(samples) // WINDOW
    return np.stack([padded[k * WINDOW : k * WINDOW + CONTEXT + WINDOW] for k in range(count)])


def probabilities(model: SpeechModel, rows: npt.NDArray[np.intp], windows: Floats) -> Floats:
    """Of speech in one window of each of ``rows``."""
    return model.step(rows, model.encode(windows))


def alone(samples: Samples) -> list[float]:
    """The probabilities of one call that has the model to itself."""
    model = SpeechModel(1)
    row = np.zeros(1, np.intp)
    return [float(probabilities(model, row, window[None])[0]) for window in windows_of(samples)]


@pytest.fixture(scope="module")
def calls(babble: Callable[..., Samples], line: Callable[..., Samples]) -> list[Samples]:
    """Calls of two seconds, each different: more than one batch holds."""
    return [
        line(0.1 * (k % 7), babble(0.8, seed=k), 1.6)[:16_000] if k % 3 else line(2.0, babble(0.1))[:16_000]
        for k in range(MAX_BATCH + 6)
    ]


def test_knows_speech_from_silence_and_noise(babble: Callable[..., Samples], line: Callable[..., Samples]) -> None:
    heard = alone(line(0.5, babble(1.0), 0.5))
    assert max(heard[:14]) < 0.2
    assert min(heard[20:44]) > 0.6
    noise = np.random.default_rng(1).normal(0, 1500, 16_000).astype(np.int16)
    assert max(alone(noise)) < 0.5


def test_a_batch_says_what_each_call_alone_would(calls: list[Samples]) -> None:
    """Every call is in batches of changing size and order, some windows missing; the state must follow its row."""
    model = SpeechModel(MAX_BATCH + 30)
    windows = [windows_of(call) for call in calls]
    heard: list[list[float]] = [[] for _ in calls]
    random = np.random.default_rng(3)
    todo = [len(each) for each in windows]
    while any(todo):
        present = [k for k, left in enumerate(todo) if left]
        chosen = random.permutation(present)[: random.integers(1, len(present) + 1)]
        rows = np.array([k + 20 for k in chosen], np.intp)
        batch = np.stack([windows[k][len(heard[k])] for k in chosen])
        for k, probability in zip(chosen, probabilities(model, rows, batch), strict=True):
            heard[k].append(float(probability))
            todo[k] -= 1
    for call, batched in zip(calls, heard, strict=True):
        np.testing.assert_allclose(batched, alone(call), atol=1e-4)


def test_more_rows_than_a_batch_are_taken_in_several(calls: list[Samples]) -> None:
    assert len(calls) > MAX_BATCH
    rows = np.arange(len(calls))
    batch = np.stack([windows_of(call)[10] for call in calls])
    together = probabilities(SpeechModel(len(calls)), rows, batch)
    single = SpeechModel(len(calls))
    apart = [float(probabilities(single, rows[k : k + 1], batch[k : k + 1])[0]) for k in rows]
    np.testing.assert_allclose(together, apart, atol=1e-4)


def test_forgetting_a_row_leaves_the_others(calls: list[Samples]) -> None:
    model = SpeechModel(2)
    both = np.arange(2)
    windows = windows_of(calls[1])
    for window in windows[:20]:
        probabilities(model, both, np.stack([window, window]))
    model.forget(both[:1])
    after = probabilities(model, both, np.stack([windows[20], windows[20]]))
    fresh = probabilities(SpeechModel(1), both[:1], windows[20][None])
    np.testing.assert_allclose(after[0], fresh[0], atol=1e-4)
    np.testing.assert_allclose(after[1], alone(calls[1])[20], atol=1e-4)
