"""Streaming rate changes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from media.audio.errors import OddLengthError
from media.audio.resample import Resampler, resample


def tone(hertz: float, rate: int, seconds: float) -> npt.NDArray[np.int16]:
    """A sine at a third of full scale."""
    return (10_000 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(np.int16)


def loudest(samples: npt.NDArray[np.int16], rate: int) -> float:
    """The strongest frequency."""
    spectrum = np.abs(np.fft.rfft(samples.astype(np.float64) * np.hanning(len(samples))))
    return float(spectrum.argmax()) * rate / len(samples)


@pytest.mark.parametrize("quality", ["QQ", "LQ"])
@pytest.mark.parametrize(("rate_in", "rate_out"), [(16000, 8000), (24000, 8000), (8000, 16000), (48000, 8000)])
def test_keeps_the_tone_and_the_duration_in_chunks(rate_in: int, rate_out: int, quality: str) -> None:
    stream = Resampler(rate_in, rate_out, quality)  # type: ignore[arg-type]
    source = tone(440.0, rate_in, 1.0)
    step = rate_in // 50
    out = [stream.feed(source[at : at + step].tobytes()) for at in range(0, len(source), step)]
    out.append(stream.feed(b"", last=True))
    joined = np.concatenate(out)
    assert abs(len(joined) - rate_out) <= 2
    assert abs(loudest(joined, rate_out) - 440.0) < 3.0


def test_a_first_chunk_may_be_empty_and_nothing_is_lost() -> None:
    stream = Resampler(16000, 8000, "LQ")
    assert len(stream.feed(bytes(4))) == 0
    assert len(stream.feed(b"")) == 0
    assert len(stream.feed(bytes(636))) + len(stream.feed(b"", last=True)) == 160


def test_chunk_borders_do_not_click() -> None:
    source = tone(300.0, 16000, 1.0)
    whole = resample(source, 16000, 8000, "LQ")
    stream = Resampler(16000, 8000, "LQ")
    parts = [stream.feed(source[at : at + 333]) for at in range(0, len(source), 333)]
    chunked = np.concatenate([*parts, stream.feed(b"", last=True)])
    assert np.abs(chunked.astype(np.int32) - whole.astype(np.int32)).max() <= 2


def test_equal_rates_pass_through() -> None:
    source = tone(440.0, 8000, 0.1)
    assert Resampler(8000, 8000).feed(source.tobytes()).tobytes() == source.tobytes()


def test_refuses_half_a_sample_and_impossible_rates() -> None:
    with pytest.raises(OddLengthError):
        Resampler(16000, 8000).feed(bytes(3))
    with pytest.raises(ValueError, match="positive sample rates"):
        Resampler(0, 8000)
