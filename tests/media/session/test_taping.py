"""The recording gets every sample once and at its place, whatever pieces it comes in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.audio.ring import Ring
from media.session.taping import PIECE, Taping
from media.stage import Late, Stage
from tests.media.twins import RecordingTwin


def laid_out(pieces: list[tuple[int, bytes]], length: int) -> np.ndarray:  # type: ignore[type-arg]
    """One channel as it was recorded."""
    channel = np.zeros(length, np.int16)
    for start, pcm in pieces:
        samples = np.frombuffer(pcm, np.int16)
        channel[start : start + len(samples)] = samples
    return channel


@given(st.lists(st.tuples(st.integers(1, 700), st.sampled_from([0, 0, 0, 1, 160, 9000]), st.booleans()), max_size=40))
def test_the_customer_is_recorded_sample_by_sample(frames: list[tuple[int, int, bool]]) -> None:
    ring, recording = Ring(), RecordingTwin()
    taping = Taping(recording, ring)
    expected: list[tuple[int, bytes]] = []
    place = 0
    for number, (samples, gap, apart) in enumerate(frames, 1):
        place += gap
        if gap == 9000:
            ring.silence(9000)  # as the ears do for audio that does not come
        pcm = number.to_bytes(2, "little") * samples
        ring.write(bytes(len(pcm)) if apart else pcm)
        if apart:
            taping.heard_apart(place, pcm)
        else:
            taping.heard(place, samples)
        expected.append((place, pcm))
        place += samples
    taping.flush()
    assert (laid_out(recording.heard, place) == laid_out(expected, place)).all()
    assert sum(len(pcm) for _, pcm in recording.heard) == sum(len(pcm) for _, pcm in expected)


@given(st.lists(st.tuples(st.integers(1, 8), st.sampled_from([0, 0, 160, 5000])), max_size=40))
def test_our_frames_are_recorded_in_pieces(bursts: list[tuple[int, int]]) -> None:
    recording = RecordingTwin()
    taping = Taping(recording, Ring())
    expected: list[tuple[int, bytes]] = []
    place = 0
    for number, (count, gap) in enumerate(bursts, 1):
        place += gap
        frame = number.to_bytes(2, "little") * 160
        taping.said(place, [memoryview(frame)] * count)
        expected.append((place, frame * count))
        place += 160 * count
    taping.flush()
    assert (laid_out(recording.said, place) == laid_out(expected, place)).all()


def test_no_more_than_a_piece_waits() -> None:
    ring, recording = Ring(), RecordingTwin()
    taping = Taping(recording, ring)
    for number in range(50):
        ring.write(bytes(320))
        taping.heard(number * 160, 160)
        taping.said(number * 160, [memoryview(bytes(320))])
        held = (number + 1) * 160
        assert held - sum(len(pcm) // 2 for _, pcm in recording.heard) < PIECE
        assert held - sum(len(pcm) // 2 for _, pcm in recording.said) < PIECE


@given(st.integers(0, 1700), st.integers(0, 1700), st.lists(st.integers(0, 5), min_size=10, max_size=40), st.booleans())
def test_both_sides_come_before_their_block_leaves(heard: int, said: int, waits: list[int], pauses: bool) -> None:
    """Ours leads by 60 ms, the customer's comes in bursts of up to 120 ms: nothing is written over its place later.

    The sides begin anywhere, so that their pieces and the blocks stand to each other in any way.
    """
    ring, recording, stage = Ring(), RecordingTwin(), Stage(8000)
    taping = Taping(recording, ring)
    late: list[Late] = []
    told = {0: 0, 1: 0}
    wait = 0
    for number in range(len(waits) * 5):
        now = number * 160
        if not (pauses and number % 37 > 25):
            said = max(said, now)
            if (count := (now + 480 - said) // 160) > 0:
                taping.said(said, [memoryview(bytes(320))] * count)
                said += 160 * count
        wait = wait - 1 if wait else waits[number // 5]
        while not wait and heard + 160 <= now:
            ring.write(bytes(320))
            taping.heard(heard, 160)
            heard += 160
        for channel, pieces in ((0, recording.heard), (1, recording.said)):
            for start, pcm in pieces[told[channel] :]:
                late += [piece for piece in stage.put(channel, start, pcm) if isinstance(piece, Late)]
            told[channel] = len(pieces)
    assert late == []


def test_while_the_caller_is_muted_our_last_words_do_not_wait_for_more() -> None:
    recording = RecordingTwin()
    taping = Taping(recording, Ring())
    taping.said(0, [memoryview(bytes(320))])
    taping.heard_apart(0, bytes(320))
    assert recording.said == [(0, bytes(320))]


def test_what_is_erased_was_handed_over_before() -> None:
    recording = RecordingTwin()
    taping = Taping(recording, Ring())
    taping.said(0, [memoryview(bytes(320))])
    taping.erase(80, 160)
    assert recording.said == [(0, bytes(320))]
    assert recording.erased == [(80, 160)]


@pytest.mark.parametrize(("filled", "kept"), [(0, 700), (1, 699), (400, 300), (700, 0), (10**6, 0)])
def test_what_the_ring_has_forgotten_is_lost_and_ends_nothing(filled: int, kept: int) -> None:
    """``filled``: silence beyond what the ring holds beside what waits, all at once."""
    ring, recording = Ring(), RecordingTwin()
    taping = Taping(recording, ring)
    ring.write(bytes(700 * 2))
    taping.heard(0, 700)
    ring.silence(ring.capacity - 700)
    for _ in range(filled):
        if ring.oldest >= 700:
            break
        ring.silence(1)
    taping.flush()
    assert [(start, len(pcm) // 2) for start, pcm in recording.heard] == ([(700 - kept, kept)] if kept else [])
    ring.write(bytes(160 * 2))
    taping.heard(700, 160)
    taping.flush()
    assert recording.heard[-1] == (700, bytes(320))
