from __future__ import annotations

import random

import numpy as np
import pytest

from sandbox.people.manner import Departure, Manner
from sandbox.people.mouth import Mouth
from sandbox.people.person import HangUp, callee
from sandbox.people.sounds import Pcm
from sandbox.phone.talk import FRAME_SAMPLES, MAX_FRAMES_AT_ONCE, Talk
from tests.sandbox.people.rehearsal import InstantSpeech, robot_speech

BEGAN = 1000.0


def make(manner: Manner) -> tuple[Talk, list[Pcm]]:
    frames: list[Pcm] = []
    mouth = Mouth(manner.noise_dbfs)
    return Talk(callee(manner, random.Random(1)), mouth, InstantSpeech(), 0, frames.append, BEGAN), frames


def test_a_frame_goes_out_every_twenty_milliseconds_however_often_it_is_asked() -> None:
    talk, frames = make(Manner(silent=True))
    for step in range(1001):
        talk.advance(BEGAN + step * 0.001)
    assert len(frames) == 51  # the first at once, the last after a second
    assert {len(frame) for frame in frames} == {FRAME_SAMPLES}


def test_a_stall_is_made_up_for_in_bounded_pieces() -> None:
    talk, frames = make(Manner(silent=True))
    talk.advance(BEGAN + 1.0)
    assert len(frames) == MAX_FRAMES_AT_ONCE
    talk.advance(BEGAN + 1.0)
    talk.advance(BEGAN + 1.0)
    assert len(frames) == 51


def test_the_stream_plays_in_real_time_whatever_came_at_once() -> None:
    talk, _ = make(Manner(silent=True))
    talk.stream.start()
    talk.stream.play()
    talk.receive(bytes(16_000), BEGAN)
    for step in range(1, 13):
        talk.advance(BEGAN + step * 0.02)
    assert talk.stream.buffered == 16_000 - 13 * 320
    assert talk.hearing.played_samples == 13 * 160


def test_earliness_is_measured_against_the_time_of_play() -> None:
    talk, _ = make(Manner(silent=True))
    talk.stream.start()
    talk.stream.play()
    talk.advance(BEGAN)
    talk.receive(bytes(3200), BEGAN + 0.005)
    talk.receive(bytes(320), BEGAN + 0.005)
    assert list(talk.hearing.lateness) == [pytest.approx(-0.215, abs=1e-4)]


def test_what_was_played_last_is_still_decoded_when_the_call_ends() -> None:
    talk, _ = make(Manner(silent=True))
    talk.stream.start()
    talk.stream.play()
    speech = robot_speech("再见")
    talk.receive(speech.tobytes(), BEGAN)
    for step in range(len(speech) // 160 + 1):
        talk.advance(BEGAN + step * 0.02)
    talk.finish()
    assert "".join(word.text for word in talk.hearing.words) == "再见"


def test_a_callee_who_hangs_up_says_why() -> None:
    talk, frames = make(Manner(departure=Departure(after=0.1)))
    assert talk.advance(BEGAN + 0.05) is None
    assert talk.advance(BEGAN + 0.2) == HangUp("left")
    assert len(frames) == 5


def test_the_callees_words_are_on_the_line_from_the_sample_that_is_told() -> None:
    talk, frames = make(Manner(greeting_after=0.2, noise_dbfs=-90))
    for step in range(100):
        talk.advance(BEGAN + step * 0.02)
    (greeting,) = talk.mouth.said
    line = np.concatenate(frames).astype(int)
    assert greeting.start is not None
    assert abs(line[: greeting.start]).max() < 10
    assert abs(line[greeting.start : greeting.end]).max() > 1000
