"""The customer's last seconds, by sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.audio.errors import FrameTooLongError, OddLengthError, OverwrittenError
from media.audio.ring import RING_SAMPLES, WINDOW, Ring


def ramp(start: int, samples: int) -> bytes:
    """Samples whose values are their own indexes, so that a misplaced one shows."""
    return (np.arange(start, start + samples) % 32768).astype(np.int16).tobytes()


def test_reads_back_what_was_written_by_absolute_index() -> None:
    ring = Ring(samples=1000, longest=500)
    assert ring.write(ramp(0, 160)) == 0
    assert ring.write(ramp(160, 160)) == 160
    assert ring.read(100, 120) == ramp(100, 120)
    assert ring.written == 320


@given(st.lists(st.integers(0, 90), max_size=60))
def test_holds_the_last_samples_whatever_the_frame_sizes(sizes: list[int]) -> None:
    ring = Ring(samples=100, longest=90)
    for size in sizes:
        start = ring.written
        assert ring.write(ramp(start, size)) == start
    held = ring.written - ring.oldest
    assert held == min(100, sum(sizes))
    assert ring.read(ring.oldest, held) == ramp(ring.oldest, held)


def test_says_what_was_overwritten() -> None:
    ring = Ring(samples=100, longest=100)
    ring.write(ramp(0, 100))
    ring.write(ramp(100, 50))
    assert ring.oldest == 50
    with pytest.raises(OverwrittenError, match=r"expected samples within 50\.\.150, got 49\.\.59"):
        ring.read(49, 10)


def test_does_not_give_what_has_not_come() -> None:
    ring = Ring(samples=100, longest=100)
    ring.write(ramp(0, 10))
    with pytest.raises(OverwrittenError):
        ring.read(5, 6)


def test_refuses_half_a_sample_and_stays_as_it_was() -> None:
    ring = Ring(samples=100, longest=100)
    ring.write(ramp(0, 10))
    with pytest.raises(OddLengthError, match="got 321 bytes"):
        ring.write(bytes(321))
    assert ring.written == 10
    assert ring.read(0, 10) == ramp(0, 10)


def test_refuses_ten_seconds_in_one_frame() -> None:
    ring = Ring()
    with pytest.raises(FrameTooLongError, match="send frames of 20 to 200 ms"):
        ring.write(bytes(160_000))
    assert ring.written == 0


def test_silence_longer_than_the_ring_clears_it() -> None:
    ring = Ring(samples=100, longest=30)
    ring.write(ramp(1, 30))
    assert ring.silence(1000) == 30
    assert ring.written == 130
    assert ring.read(30, 100) == bytes(200)


def test_lies_in_a_row_of_a_shared_matrix() -> None:
    matrix = np.zeros((3, 256), np.int16)
    ring = Ring(samples=256, memory=matrix[1], longest=256)
    ring.write(ramp(0, 256))
    assert matrix[1].tobytes() == ramp(0, 256)
    assert not matrix[0].any()
    assert not matrix[2].any()


def test_refuses_memory_that_is_no_row() -> None:
    with pytest.raises(ValueError, match="contiguous int16 row"):
        Ring(samples=100, memory=np.zeros((200,), np.int16)[::2])


def test_no_window_wraps_in_a_default_ring() -> None:
    assert RING_SAMPLES % WINDOW == 0
