"""Keys in the audio, by the tolerances of ITU-T Q.24."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from media.audio.dtmf import HOP, KEYS, NO_KEY, DtmfDetector, classify

Floats = npt.NDArray[np.float64]

LOW = (697, 770, 852, 941)
HIGH = (1209, 1336, 1477, 1633)


def key_tone(
    key: str, ms: float, off: float = 1.0, low_db: float = -12.0, high_db: float = -12.0, phase: float = 0.0
) -> Floats:
    """A key's two tones; ``off`` multiplies both frequencies."""
    at = KEYS.index(key)
    t = np.arange(int(ms * 8)) / 8000
    low = 10 ** (low_db / 20) * np.sin(2 * np.pi * LOW[at // 4] * off * t + phase)
    high = 10 ** (high_db / 20) * np.sin(2 * np.pi * HIGH[at % 4] * off * t + 2 * phase)
    return 32767 * (low + high)


def keys_in(samples: Floats) -> str:
    """What the detector hears in a stretch of audio."""
    whole = len(samples) // HOP * HOP
    keys = classify(samples[None, :whole].astype(np.float32))[0]
    detector = DtmfDetector()
    return "".join(digit for digit, _ in detector.feed(keys.tolist(), 0))


def amid_silence(tone: Floats, offset: int, noise_db: float = -70.0) -> Floats:
    """The tone after 100 ms and ``offset`` samples, on a line with some noise."""
    line = np.concatenate([np.zeros(800 + offset), tone, np.zeros(1600)])
    return line + np.random.default_rng(offset).normal(0, 32767 * 10 ** (noise_db / 20), len(line))


@pytest.mark.parametrize("key", KEYS)
def test_hears_every_key_of_40_ms_wherever_it_begins(key: str) -> None:
    assert {keys_in(amid_silence(key_tone(key, 40), offset)) for offset in range(0, 128, 9)} == {key}


@pytest.mark.parametrize("off", [0.985, 1.015])
@pytest.mark.parametrize("key", KEYS)
def test_hears_tones_that_are_1_5_percent_off(key: str, off: float) -> None:
    assert {keys_in(amid_silence(key_tone(key, 40, off), offset)) for offset in range(0, 64, 9)} == {key}


@pytest.mark.parametrize("off", [0.965, 1.035])
@pytest.mark.parametrize("key", KEYS)
def test_does_not_hear_tones_that_are_3_5_percent_off(key: str, off: float) -> None:
    assert keys_in(amid_silence(key_tone(key, 100, off), 5)) == ""


@pytest.mark.parametrize(("low_db", "high_db"), [(-14.0, -10.0), (-10.0, -18.0), (-29.0, -29.0), (-6.0, -6.0)])
def test_hears_keys_within_the_limits_of_twist_and_level(low_db: float, high_db: float) -> None:
    for key in KEYS:
        assert keys_in(amid_silence(key_tone(key, 40, 1.0, low_db, high_db), 3)) == key


@pytest.mark.parametrize(("low_db", "high_db"), [(-18.0, -10.0), (-6.0, -18.0), (-50.0, -50.0)])
def test_does_not_hear_keys_beyond_them(low_db: float, high_db: float) -> None:
    for key in KEYS:
        assert keys_in(amid_silence(key_tone(key, 60, 1.0, low_db, high_db), 3)) == ""


def test_does_not_hear_16_ms() -> None:
    heard = [keys_in(amid_silence(key_tone(key, 16), offset)) for key in KEYS for offset in range(0, 64, 7)]
    assert set(heard) == {""}


def test_hears_keys_in_noise() -> None:
    assert keys_in(amid_silence(key_tone("5", 50), 11, noise_db=-30.0)) == "5"


@pytest.mark.parametrize("offset", range(0, 64, 8))
def test_a_gap_of_40_ms_parts_two_keys_and_one_of_10_ms_does_not(offset: int) -> None:
    def twice(gap_ms: int) -> Floats:
        tone = key_tone("7", 45)
        return amid_silence(np.concatenate([tone, np.zeros(gap_ms * 8), tone]), offset)

    assert keys_in(twice(40)) == "77"
    assert keys_in(twice(10)) == "7"


def test_a_number_is_heard_in_order() -> None:
    number = "0571*88001234#AD"
    tones = [np.concatenate([key_tone(key, 50), np.zeros(400)]) for key in number]
    assert keys_in(amid_silence(np.concatenate(tones), 17)) == number


def test_tells_where_a_key_began() -> None:
    keys = classify(amid_silence(key_tone("3", 60), 0)[None, :2560].astype(np.float32))[0]
    ((digit, sample),) = DtmfDetector().feed(keys.tolist(), 10_000)
    assert digit == "3"
    assert abs(sample - 10_800) <= HOP


def voice(pitch: float, formants: tuple[float, float, float], seed: int) -> Floats:
    """A second of a vowel: a gliding, slightly trembling series of harmonics under three formants."""
    random = np.random.default_rng(seed)
    t = np.arange(8000) / 8000
    glide = pitch * (1 + 0.15 * np.sin(2 * np.pi * 1.3 * t) + 0.01 * random.normal(0, 1, 8000).cumsum() / 90)
    phase = 2 * np.pi * np.cumsum(glide) / 8000
    out = np.zeros(8000)
    for order in range(1, int(3800 / pitch)):
        gain = sum(1 / (1 + ((order * pitch - formant) / 90) ** 2) for formant in formants)
        out += gain * np.sin(order * phase + random.uniform(0, 6))
    return 12_000 * out / np.abs(out).max()


def test_speech_presses_no_keys() -> None:
    vowels = [
        (730, 1090, 2440),
        (270, 2290, 3010),
        (300, 870, 2240),
        (530, 1840, 2480),
        (660, 1720, 2410),
        (700, 1220, 2600),
    ]
    for seed, formants in enumerate(vowels * 8):
        assert keys_in(voice(90.0 + 5 * seed, formants, seed)) == ""


def test_music_like_tones_of_one_group_press_no_keys() -> None:
    t = np.arange(8000) / 8000
    chord = 6000 * (np.sin(2 * np.pi * 697 * t) + np.sin(2 * np.pi * 852 * t))
    assert keys_in(chord) == ""
    assert keys_in(9000 * np.sin(2 * np.pi * 770 * t)) == ""


def test_an_idle_detector_needs_no_feeding() -> None:
    detector = DtmfDetector()
    assert detector.idle
    detector.feed([4], 0)
    assert not detector.idle
    detector.feed([4, 4], 64)
    detector.feed([NO_KEY] * 4, 192)
    assert detector.idle
