"""Symbols as sound, and the energies of their tones."""

import numpy as np
import pytest

from sandbox.voice.tones import CHORDS, HISTORY, HOPS, Frames, waveforms


@pytest.mark.parametrize("rate", [8000, 16000, 22050])
def test_each_byte_sounds_one_tone_of_each_group(rate: int) -> None:
    table = waveforms(rate)
    for byte in (0x00, 0x1B, 0xE4, 0xFF):
        frames = Frames(rate)
        frames.feed((table[byte] * 1500).astype(np.int16))
        frames.feed(np.zeros(rate // 100, np.int16))
        groups = frames.energy[0].reshape(4, 4)
        assert groups.argmax(axis=1).tolist() == [byte >> 6, byte >> 4 & 3, byte >> 2 & 3, byte & 3]
        assert groups.max(axis=1) == pytest.approx(groups.sum(axis=1), rel=0.05)


def test_no_byte_comes_near_the_chord_of_a_mark() -> None:
    bytes_as_tones = np.zeros((256, 16), np.float32)
    for byte in range(256):
        for group in range(4):
            bytes_as_tones[byte, 4 * group + (byte >> (6 - 2 * group) & 3)] = 0.25
    assert (bytes_as_tones @ CHORDS).max() == 0.5


def test_energy_is_mean_power_re_full_scale() -> None:
    frames = Frames(8000)
    time = np.arange(8000) / 8000
    frames.feed((32768 * 0.1 * np.cos(2 * np.pi * 2600 * time)).astype(np.int16)[: frames.longest_feed])
    assert frames.energy[-1].sum() == pytest.approx(0.1**2 / 2, rel=0.05)


def test_a_loud_voice_below_2_khz_does_not_leak_into_the_tones() -> None:
    frames = Frames(8000)
    time = np.arange(2000) / 8000
    voice = sum(8000 * np.sin(2 * np.pi * pitch * time) for pitch in (200, 500, 1100))
    frames.feed(np.asarray(voice).astype(np.int16))
    tone_dbfs = 10 * np.log10(frames.energy[20:].max())
    assert tone_dbfs < -60


def test_the_history_is_bounded_and_its_newest_frames_stay() -> None:
    frames = Frames(8000)
    for _ in range(50):
        frames.feed(np.ones(frames.longest_feed, np.int16))
    assert len(frames.energy) <= HISTORY * 2
    assert frames.end == frames.first + len(frames.energy)
    assert len(frames.at(range(frames.end - HISTORY, frames.end, HOPS))) == HISTORY // HOPS + 1


def test_feeding_sample_by_sample_gives_the_same_frames_as_at_once() -> None:
    pcm = np.random.default_rng(1).integers(-9000, 9000, 900, np.int16)
    at_once, slowly = Frames(11025), Frames(11025)
    at_once.feed(pcm)
    for sample in pcm:
        slowly.feed(np.array([sample], np.int16))
    np.testing.assert_allclose(at_once.energy, slowly.energy, rtol=1e-4, atol=1e-12)


def test_a_rate_too_low_is_refused() -> None:
    with pytest.raises(ValueError, match="7000"):
        Frames(6000)
