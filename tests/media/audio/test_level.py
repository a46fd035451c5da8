"""The gate in front of the neural VAD."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from media.audio.level import FULL_SCALE, NoiseGate, power_of, powers

Floats = npt.NDArray[np.float32]


def noise(rows: int, decibels: float, seed: int = 1) -> Floats:
    """Windows of white noise at a level below full scale."""
    scale = power_of(decibels) ** 0.5
    return (np.random.default_rng(seed).normal(0, scale, (rows, 256))).astype(np.float32)


def test_power_is_the_mean_square_of_the_loudest_part() -> None:
    window = np.zeros((1, 256), np.float32)
    window[0, 128:] = 1000.0
    assert powers(window).tolist() == [1_000_000.0]


def test_full_scale_is_zero_decibels() -> None:
    assert power_of(0.0) == FULL_SCALE
    assert abs(power_of(-20.0) / FULL_SCALE - 0.01) < 1e-9


def test_steady_noise_becomes_the_floor_and_speech_stands_out() -> None:
    gate = NoiseGate(1)
    row = np.zeros(1, np.intp)
    for seed in range(400):
        hiss = gate.loud(row, powers(noise(1, -48.0, seed)))[0]
    assert not hiss
    assert -52.0 < gate.floor_db(0) < -45.0
    assert gate.loud(row, powers(noise(1, -35.0)))[0]


def test_a_floor_raised_by_loud_sound_falls_at_once_in_quiet() -> None:
    gate = NoiseGate(1)
    row = np.zeros(1, np.intp)
    for seed in range(300):
        gate.loud(row, powers(noise(1, -30.0, seed)))
    raised = gate.floor_db(0)
    for seed in range(10):
        gate.loud(row, powers(noise(1, -58.0, seed)))
    assert raised > -45.0
    assert gate.floor_db(0) < -54.0


def test_a_sentence_does_not_lift_the_floor_to_its_own_level() -> None:
    gate = NoiseGate(1)
    row = np.zeros(1, np.intp)
    loud = [gate.loud(row, powers(noise(1, -25.0, seed)))[0] for seed in range(250)]
    assert all(loud)


def test_a_very_loud_background_is_never_taken_for_silence() -> None:
    gate = NoiseGate(1)
    row = np.zeros(1, np.intp)
    loud = [gate.loud(row, powers(noise(1, -20.0, seed)))[0] for seed in range(3000)]
    assert all(loud)


def test_digital_silence_is_never_loud() -> None:
    gate = NoiseGate(1)
    assert not gate.loud(np.zeros(1, np.intp), powers(np.zeros((1, 256), np.float32)))[0]


def test_rows_do_not_touch_each_other() -> None:
    gate = NoiseGate(3)
    before = gate.floor_db(1)
    for seed in range(50):
        gate.loud(np.array([0, 2]), powers(noise(2, -40.0, seed)))
    assert gate.floor_db(1) == before
    assert gate.floor_db(0) > before
    gate.reset(0)
    assert gate.floor_db(0) == before
