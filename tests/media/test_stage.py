"""The end of a recording in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.stage import Block, Late, Stage

RATE = 8000


def ramp(start: int, samples: int) -> bytes:
    return (np.arange(start, start + samples) % 30_000 + 1).astype(np.int16).tobytes()


class File:
    """What a file would hold after these pieces."""

    def __init__(self) -> None:
        self.rows: npt.NDArray[np.int16] = np.zeros((2, 400_000), np.int16)
        self.end = 0

    def write(self, pieces: Sequence[Block | Late]) -> None:
        for piece in pieces:
            rows = [piece.customer, piece.ours] if isinstance(piece, Block) else [b"", b""]
            if isinstance(piece, Late):
                rows[piece.channel] = piece.pcm
            for channel, pcm in enumerate(rows):
                samples = np.frombuffer(pcm, np.int16)
                self.rows[channel, piece.start : piece.start + len(samples)] = samples
                self.end = max(self.end, piece.start + len(samples))


def test_a_block_leaves_when_both_channels_have_had_time_to_settle() -> None:
    stage = Stage(RATE)
    left: list[Block | Late] = []
    for start in range(0, 5040, 160):
        left += stage.put(0, start, ramp(start, 160))
    assert not left
    left = stage.put(0, 5040, ramp(5040, 160))
    assert left == [Block(0, ramp(0, 3200), bytes(6400))]
    assert stage.base == 3200


def test_both_channels_leave_together() -> None:
    stage, file = Stage(RATE), File()
    for start in range(0, 16_000, 160):
        file.write(stage.put(1, start + 480, ramp(start + 480, 160)))
        file.write(stage.put(0, start, ramp(start, 160)))
    file.write(stage.rest())
    assert file.end == 16_480
    assert file.rows[0, :16_000].tobytes() == ramp(0, 16_000)
    assert file.rows[1, 480:16_480].tobytes() == ramp(480, 16_000)
    assert not file.rows[1, :480].any()


def test_audio_for_a_block_that_left_comes_out_by_itself() -> None:
    stage = Stage(RATE)
    for start in range(0, 8000, 160):
        stage.put(0, start, ramp(start, 160))
    assert stage.put(1, 1000, ramp(1000, 160)) == [Late(1000, 1, ramp(1000, 160))]


def test_audio_across_the_border_is_parted() -> None:
    stage, file = Stage(RATE), File()
    for start in range(0, 8000, 160):
        file.write(stage.put(0, start, ramp(start, 160)))
    start = stage.base - 80
    file.write(stage.put(1, start, ramp(start, 160)))
    file.write(stage.rest())
    assert file.rows[1, start : start + 160].tobytes() == ramp(start, 160)


def test_a_jump_in_time_is_a_hole_that_nobody_writes() -> None:
    stage = Stage(RATE)
    stage.put(0, 0, ramp(0, 160))
    left = [*stage.put(0, 80_000, ramp(80_000, 160)), *stage.rest()]
    assert sum(len(piece.customer) // 2 for piece in left if isinstance(piece, Block)) <= 160 + 160 + 2000
    file = File()
    file.write(left)
    assert file.rows[0, 80_000:80_160].tobytes() == ramp(80_000, 160)
    assert not file.rows[0, 160:80_000].any()


def test_what_left_does_not_come_back_a_round_later() -> None:
    stage, file = Stage(RATE), File()
    stage.put(1, 0, ramp(0, 3000))
    for start in range(0, 100_000, 800):
        file.write(stage.put(0, start, ramp(start, 800)))
    file.write(stage.rest())
    assert not file.rows[1, 3000:].any()


def test_one_piece_longer_than_the_stage_is_taken_whole() -> None:
    stage, file = Stage(RATE), File()
    file.write(stage.put(0, 100, ramp(100, 50_000)))
    file.write(stage.rest())
    assert file.rows[0, 100:50_100].tobytes() == ramp(100, 50_000)


@pytest.mark.parametrize("start", [-1, 12 * 3600 * RATE])
def test_an_impossible_place_is_refused(start: int) -> None:
    stage = Stage(RATE)
    with pytest.raises(ValueError, match="expected samples within"):
        stage.put(0, start, ramp(0, 160))
    assert stage.rest() == []


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(-3000, 20_000), st.integers(1, 20_000)), min_size=1, max_size=40)
)
def test_any_order_of_writes_gives_what_was_written_last(writes: list[tuple[int, int, int]]) -> None:
    stage, file = Stage(RATE), File()
    expected = np.zeros((2, 400_000), np.int16)
    at = [0, 0]
    for channel, gap, samples in writes:
        start = max(0, at[channel] + gap)
        if start + samples > 390_000:
            break
        pcm = ramp(start + channel * 7, samples)
        file.write(stage.put(channel, start, pcm))
        expected[channel, start : start + samples] = np.frombuffer(pcm, np.int16)
        at[channel] = start + samples
    end = stage.end
    file.write(stage.rest())
    assert (file.rows == expected).all()
    assert end >= max(at)
    assert stage.rest() == []
