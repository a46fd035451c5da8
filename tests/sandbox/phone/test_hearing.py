from __future__ import annotations

import numpy as np
import pytest

from sandbox.people.sounds import Pcm
from sandbox.phone.hearing import RATE, Hearing, Runs

FRAME = 160


def loud(samples: int = FRAME) -> Pcm:
    return np.asarray(3000 * np.sin(np.arange(samples) * 0.5), np.int16)


QUIET = np.zeros(FRAME, np.int16)
NOTHING = np.zeros(0, np.int16)


def play(hearing: Hearing, *frames: Pcm, start: int = 0) -> int:
    """Play frames one after another; returns the sample after them."""
    for frame in frames:
        hearing.play(frame, start, FRAME, playing=True)
        start += FRAME
    return start


def test_runs_bridge_short_silences_only() -> None:
    runs = Runs(gap=100)
    for start, end in [(0, 50), (100, 200), (301, 400)]:
        runs.add(start, end)
    assert [(run.start, run.end) for run in runs.runs] == [(0, 200), (301, 400)]
    assert runs.at(250) is runs.runs[0]
    assert runs.at(300) is runs.runs[0]
    assert runs.at(301) is runs.runs[1]
    assert runs.at(501) is None
    assert runs.after(200) is runs.runs[1]
    assert runs.after(400) is None


def test_a_hole_between_loud_frames_is_an_abrupt_underrun() -> None:
    hearing = Hearing()
    play(hearing, loud(), NOTHING, NOTHING, loud())
    (hole,) = hearing.underruns
    assert (hole.start, hole.end, hole.abrupt, hole.resumed_loud) == (FRAME, 3 * FRAME, True, True)


def test_a_hole_inside_a_frame_begins_where_the_samples_end() -> None:
    hearing = Hearing()
    play(hearing, loud(100), loud())
    (hole,) = hearing.underruns
    assert (hole.start, hole.end, hole.abrupt) == (100, FRAME, True)


def test_silence_that_was_sent_is_no_hole() -> None:
    hearing = Hearing()
    play(hearing, loud(), *[QUIET] * 10, loud())
    assert hearing.underruns == []


def test_a_hole_after_a_sent_silence_is_not_abrupt() -> None:
    hearing = Hearing()
    play(hearing, loud(), QUIET, NOTHING, loud())
    assert not hearing.underruns[0].abrupt


def test_silence_before_the_first_sound_and_after_the_last_is_no_hole() -> None:
    hearing = Hearing()
    play(hearing, NOTHING, loud(), NOTHING)
    assert hearing.underruns == []


def test_a_cleared_buffer_makes_no_hole() -> None:
    hearing = Hearing()
    at = play(hearing, loud(), NOTHING)
    hearing.clear(at)
    play(hearing, loud(), start=at)
    assert (hearing.underruns, hearing.cleared) == ([], [at])


def test_nothing_is_missing_while_no_stream_plays() -> None:
    hearing = Hearing()
    for number, frame in enumerate([loud(), NOTHING, loud()]):
        hearing.play(frame, number * FRAME, FRAME, playing=False)
    assert hearing.underruns == []


def test_lateness_is_negative_for_what_comes_in_time_and_noted_on_the_hole_for_what_does_not() -> None:
    hearing = Hearing()
    hearing.arrive(loud().tobytes(), 0.0, 0.06, playing=True)
    at = play(hearing, loud(), NOTHING)
    hearing.arrive(loud().tobytes(), 0.07, 0.0, playing=True)
    hearing.arrive(loud().tobytes(), 0.08, 0.02, playing=True)
    play(hearing, loud(), start=at)
    assert list(hearing.lateness) == pytest.approx([-0.06, -0.02])
    assert hearing.underruns[0].arrived == 0.07


def test_level_and_peak_come_from_loud_frames_alone() -> None:
    hearing = Hearing()
    play(hearing, loud(), QUIET, QUIET)
    assert hearing.loudness.samples == FRAME
    assert hearing.loudness.peak == pytest.approx(3000, abs=10)
    assert hearing.played_samples == 3 * FRAME


def test_the_loudest_negative_sample_is_measured_right() -> None:
    hearing = Hearing()
    play(hearing, np.full(FRAME, -32768, np.int16))
    assert hearing.loudness.peak == 32768


def test_arrivals_of_sound_are_placed_in_time() -> None:
    hearing = Hearing()
    hearing.arrive(loud().tobytes(), 1.0, 0.0, playing=True)
    hearing.arrive(QUIET.tobytes(), 1.1, 0.0, playing=True)
    hearing.arrive(bytes(3), 1.2, 0.0, playing=True)
    assert [(run.start, run.end) for run in hearing.received.runs] == [(RATE, RATE)]
    assert (hearing.received_chunks, hearing.odd_chunks, hearing.received_bytes) == (3, 1, 643)
