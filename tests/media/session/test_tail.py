"""The end of speech by its level."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.session.tail import BLOCK, LONGEST, quiet_tail


def voiced(ms: int, level: float = 8000.0) -> bytes:
    return (np.sin(np.arange(ms * 8) * 0.3) * level).astype("<i2").tobytes()


@pytest.mark.parametrize("silent_ms", [0, 20, 100, 150])
def test_silence_after_speech_is_no_speech(silent_ms: int) -> None:
    tail = quiet_tail(voiced(300) + bytes(silent_ms * 16))
    assert abs(tail - silent_ms * 8) <= BLOCK


def test_a_soft_ending_is_speech() -> None:
    assert quiet_tail(voiced(300) + voiced(100, 800.0)) == 0


def test_noise_leaves_the_detectors_word() -> None:
    noise = np.random.default_rng(1).normal(0, 1500, 4000)
    noise[:2000] += np.frombuffer(voiced(250), np.int16)
    assert quiet_tail(noise.astype("<i2").tobytes()) <= BLOCK


def test_it_is_never_more_than_the_detector_can_be_late() -> None:
    assert quiet_tail(voiced(100) + bytes(16 * 400)) == LONGEST


@given(st.binary(max_size=2000).map(lambda data: data[: len(data) // 2 * 2]))
def test_any_audio_has_a_tail_within_bounds(pcm: bytes) -> None:
    assert 0 <= quiet_tail(pcm) <= min(LONGEST, len(pcm) // 2)
