"""Where incoming audio belongs in time."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from media.ears.timeline import Timeline

FRAME = 160


def test_even_frames_follow_one_another() -> None:
    timeline = Timeline(100.0)
    assert [timeline.place(FRAME, 100.02 + k * 0.02) for k in range(5)] == [k * FRAME for k in range(5)]


def test_the_first_audio_ends_when_it_arrives() -> None:
    timeline = Timeline(100.0)
    assert timeline.place(FRAME, 100.5) == 4000 - FRAME


def test_audio_that_arrives_with_the_timeline_itself_begins_at_zero_and_stays_joined() -> None:
    timeline = Timeline(100.0)
    assert [timeline.place(FRAME, 100.0 + k * 0.02) for k in range(600)] == [k * FRAME for k in range(600)]


@given(st.lists(st.floats(0, 0.08), min_size=300, max_size=300))
def test_jitter_moves_nothing(jitter: list[float]) -> None:
    timeline = Timeline(0.0)
    timeline.place(FRAME, 0.02)
    arrivals = [0.04 + k * 0.02 + late for k, late in enumerate(jitter)]
    ordered = [max(arrivals[: k + 1]) for k in range(len(arrivals))]
    places = [timeline.place(FRAME, now) for now in ordered]
    steps = [after - before for before, after in itertools.pairwise(places)]
    # Only the drift rule, once every 5 s, may move a joint, and by no more than the least jitter of that span.
    assert sum(step != FRAME for step in steps) <= 1
    assert all(abs(step - FRAME) <= 640 for step in steps)


def test_a_burst_behind_a_stall_is_joined_to_what_came_before() -> None:
    timeline = Timeline(0.0)
    for k in range(50):
        timeline.place(FRAME, 0.02 + k * 0.02)
    assert [timeline.place(FRAME, 1.8) for _ in range(40)] == [(50 + k) * FRAME for k in range(40)]


def test_a_pause_of_the_sender_is_a_gap() -> None:
    timeline = Timeline(0.0)
    timeline.place(FRAME, 0.02)
    assert timeline.place(FRAME, 5.04) == int(5.04 * 8000) - FRAME


def test_a_long_stall_that_looked_like_a_pause_is_put_right() -> None:
    timeline = Timeline(0.0)
    for k in range(50):
        timeline.place(FRAME, 0.02 + k * 0.02)
    places = [timeline.place(FRAME, 4.0) for _ in range(150)]
    assert places[10:] == [places[10] + k * FRAME for k in range(140)]
    assert places[10] == 50 * FRAME + 10 * FRAME
    # The burst caught up with the clock, and what follows in time follows in place.
    assert timeline.place(FRAME, 4.02) == 200 * FRAME


def test_silence_that_was_assumed_is_taken_back_by_a_burst() -> None:
    timeline = Timeline(0.0)
    for k in range(50):
        timeline.place(FRAME, 0.02 + k * 0.02)
    timeline.skip(8000)
    timeline.skip(1600)
    places = [timeline.place(FRAME, 2.2) for _ in range(60)]
    assert places[8:] == [(50 + k) * FRAME for k in range(8, 60)]


def test_assumed_silence_before_even_frames_stays() -> None:
    timeline = Timeline(0.0)
    for k in range(50):
        timeline.place(FRAME, 0.02 + k * 0.02)
    timeline.skip(8000)
    places = [timeline.place(FRAME, 2.02 + k * 0.02) for k in range(100)]
    assert places == [16_000 + k * FRAME for k in range(100)]


def test_a_slow_or_fast_sender_stays_within_two_frames_of_the_clock_for_an_hour() -> None:
    for drift in (0.9995, 1.0005):
        timeline = Timeline(0.0)
        worst = 0
        for k in range(180_000):
            now = 0.02 + k * 0.02 * drift
            worst = max(worst, abs(timeline.place(FRAME, now) + FRAME - timeline.clock(now)))
        assert worst <= 2 * FRAME


@given(st.lists(st.tuples(st.integers(1, 2000), st.floats(0, 3)), max_size=80))
def test_nothing_is_placed_before_the_beginning(frames: list[tuple[int, float]]) -> None:
    timeline = Timeline(0.0)
    now = 0.0
    for samples, wait in frames:
        now += wait
        assert timeline.place(samples, now) >= 0
