from __future__ import annotations

import numpy as np
import pytest

from sandbox.people.mouth import WAITING_SOUNDS, Mouth, Sounding
from sandbox.people.sounds import noise


def tone(samples: int, value: int = 5000) -> Sounding:
    return Sounding("reply", "好", np.full(samples, value, np.int16))


def test_silence_is_comfort_noise_of_the_line() -> None:
    line = np.concatenate([Mouth(-60.0).speak(160) for _ in range(1)] + [Mouth(-60.0, phase=160).speak(8000)])
    level = 20 * np.log10(np.sqrt(np.mean(line.astype(float) ** 2)) / 32768)
    assert -61 < level < -59


def test_the_noise_goes_round_and_round_in_frames_of_any_length() -> None:
    bed = noise(-60.0)
    mouth = Mouth(-60.0, phase=len(bed) - 100)
    line = np.concatenate([mouth.speak(samples) for samples in (160, 40, len(bed), 160)])
    assert np.array_equal(line, np.roll(np.tile(bed, 2), 100)[: len(line)])
    assert mouth.now == len(line)


def test_sounds_follow_one_another_without_a_hole() -> None:
    mouth = Mouth(-90.0)
    mouth.queue(tone(100))
    mouth.queue(tone(100, -5000))
    out = mouth.speak(320)
    assert out[:100].min() > 4000
    assert out[100:200].max() < -4000
    assert abs(out[200:]).max() < 100
    assert [(sound.start, sound.end) for sound in mouth.said] == [(0, 100), (100, 200)]


def test_a_sound_spans_frames() -> None:
    mouth = Mouth(-90.0)
    mouth.speak(160)
    mouth.queue(tone(200))
    talking = []
    for _ in range(2):
        mouth.speak(160)
        talking.append(mouth.talking)
    assert talking == [True, False]
    assert (mouth.said[0].start, mouth.said[0].end) == (160, 360)


def test_a_line_that_is_not_synthesised_yet_is_waited_for() -> None:
    mouth = Mouth(-90.0)
    waiting = Sounding("reply", "好")
    mouth.queue(waiting)
    assert abs(mouth.speak(160)).max() < 100
    assert mouth.talking
    waiting.pcm = np.full(160, 5000, np.int16)
    assert mouth.speak(160).min() > 4000
    assert waiting.start == 160


def test_an_empty_sound_is_over_at_once() -> None:
    mouth = Mouth(-90.0)
    mouth.queue(tone(0))
    mouth.speak(160)
    assert not mouth.talking


def test_stopping_ends_what_sounds_and_forgets_what_waits() -> None:
    mouth = Mouth(-90.0)
    mouth.queue(tone(1000))
    mouth.queue(tone(1000))
    mouth.speak(160)
    mouth.stop()
    assert not mouth.talking
    assert [(sound.start, sound.end) for sound in mouth.said] == [(0, 160)]


def test_loud_sounds_over_noise_do_not_wrap_around() -> None:
    mouth = Mouth(-20.0)
    mouth.queue(tone(160, 32767))
    assert mouth.speak(160).min() > 0


def test_too_many_waiting_sounds_are_an_error() -> None:
    mouth = Mouth(-60.0)
    for _ in range(WAITING_SOUNDS):
        mouth.queue(tone(10))
    with pytest.raises(OverflowError, match="runs away"):
        mouth.queue(tone(10))
