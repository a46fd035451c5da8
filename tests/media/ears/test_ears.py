"""One call's ears: the ring, its place in time, missing input, the uplink."""

from __future__ import annotations

import numpy as np
import pytest

from media.audio.errors import FrameTooLongError, OddLengthError
from media.audio.ring import RING_SAMPLES, Ring
from media.ears.bank import EarBank
from media.ears.ears import Ears, Uplink
from media.ears.hysteresis import SpeechRule
from media.ears.vad import SpeechModel


class Nobody:
    """A listener to whom nothing is expected to happen."""

    def speech_started(self, sample: int) -> None:
        raise AssertionError(f"speech at {sample}")

    def speech_ended(self, sample: int) -> None:
        raise AssertionError(f"silence at {sample}")

    def dtmf(self, digit: str, sample: int) -> None:
        raise AssertionError(f"{digit} at {sample}")


@pytest.fixture(scope="module")
def bank() -> EarBank:
    return EarBank(64, SpeechModel(64))


def ears_of(bank: EarBank, now: float = 50.0) -> Ears:
    return Ears(bank, Nobody(), now, SpeechRule(), True)


def ramp(start: int, samples: int) -> bytes:
    return np.arange(start, start + samples, dtype=np.int16).tobytes()


def test_tells_where_audio_belongs_and_keeps_it(bank: EarBank) -> None:
    ears = ears_of(bank)
    assert ears.hear(ramp(0, 160), 50.52) == 4000
    assert ears.hear(ramp(160, 160), 50.54) == 4160
    assert ears.ring.read(100, 100) == ramp(100, 100)
    assert ears.timeline(200) == 4200


def test_refuses_broken_frames_and_goes_on(bank: EarBank) -> None:
    ears = ears_of(bank)
    ears.hear(ramp(0, 160), 50.02)
    with pytest.raises(OddLengthError):
        ears.hear(bytes(319), 50.04)
    with pytest.raises(FrameTooLongError):
        ears.hear(bytes(160_000), 50.04)
    assert ears.hear(ramp(160, 160), 50.04) == 160
    assert ears.ring.written == 320


def test_missing_audio_becomes_silence_after_a_second(bank: EarBank) -> None:
    ears = ears_of(bank)
    ears.hear(ramp(1, 160), 50.02)
    assert ears.check(50.9) == 0
    assert ears.check(51.02) == 8000
    assert ears.check(51.12) == 800
    assert ears.ring.written == 160 + 8800
    assert ears.ring.read(160, 8800) == bytes(17_600)
    assert ears.timeline(ears.ring.written) == int(1.12 * 8000)


def test_a_call_that_never_sends_hears_silence_too(bank: EarBank) -> None:
    ears = ears_of(bank)
    assert ears.check(50.5) == 0
    assert ears.check(51.5) == 12_000


def test_audio_after_missing_audio_lies_where_the_clock_says(bank: EarBank) -> None:
    ears = ears_of(bank)
    ears.hear(ramp(0, 160), 50.02)
    ears.check(52.02)
    assert ears.hear(ramp(0, 160), 52.04) == 16_160
    assert ears.check(52.1) == 0


def test_silence_longer_than_the_ring_is_placed_right(bank: EarBank) -> None:
    ears = ears_of(bank)
    ears.hear(ramp(0, 160), 50.02)
    missing = ears.check(80.02)
    assert missing == 30 * 8000
    assert ears.ring.written == 160 + RING_SAMPLES
    assert ears.timeline(ears.ring.written) == 160 + missing


def test_closing_twice_gives_one_row_back() -> None:
    small = EarBank(1, SpeechModel(1))
    ears = ears_of(small)
    ears.close()
    ears.close()
    small.look()
    ears_of(small)
    with pytest.raises(Exception, match="at most 1 calls"):
        ears_of(small)


def test_the_uplink_reads_whole_blocks_and_the_rest() -> None:
    ring = Ring()
    uplink = Uplink(ring, 0, 800)
    taken = []
    for k in range(11):
        ring.write(ramp(k * 160, 160))
        if (block := uplink.take()) is not None:
            taken.append(block)
    assert taken == [ramp(0, 800), ramp(800, 800)]
    assert uplink.rest() == ramp(1600, 160)
    assert uplink.rest() == b""
    assert uplink.take() is None
    assert uplink.position == ring.written


def test_an_uplink_that_fell_behind_skips_what_was_overwritten_and_counts_it() -> None:
    ring = Ring(samples=2000, longest=1000)
    uplink = Uplink(ring, 0, 800)
    for k in range(5):
        ring.write(ramp(k * 1000, 1000))
    assert uplink.take() == ramp(3000, 800)
    assert uplink.lost == 3000
    assert uplink.take() == ramp(3800, 800)
    assert uplink.take() is None


def test_an_uplink_may_begin_in_the_past(bank: EarBank) -> None:
    ears = ears_of(bank)
    ears.hear(ramp(0, 1600), 50.2)
    assert ears.uplink(start=400).take() == ramp(400, 800)
    assert ears.uplink().take() is None


def test_an_uplink_block_must_fit_into_the_ring() -> None:
    with pytest.raises(ValueError, match="expected a block"):
        Uplink(Ring(samples=100, longest=100), 0, 101)
