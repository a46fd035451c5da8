"""Streaming change of sample rate, int16 in and out (soxr).

"QQ" holds back about one 20 ms frame, "LQ" three to four, better ones 80 to 160 ms: the live path takes one of the
first two (facts measured with soxr 1.1.0). A chunk may come out empty: the filter is still filling.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import soxr  # type: ignore[import-untyped]

from media.audio.errors import OddLengthError

Samples = npt.NDArray[np.int16]
Quality = Literal["QQ", "LQ", "MQ", "HQ", "VHQ"]

_EMPTY = np.zeros(0, np.int16)


class Resampler:
    """One stream from one rate to another. Never cleared between chunks, so nothing clicks at their joints."""

    def __init__(self, rate_in: int, rate_out: int, quality: Quality = "LQ") -> None:
        """Raises ValueError for a rate that is not positive. Equal rates pass through untouched."""
        if rate_in <= 0 or rate_out <= 0:
            raise ValueError(f"expected positive sample rates, got {rate_in} and {rate_out}")
        same = rate_in == rate_out
        self._stream = None if same else soxr.ResampleStream(rate_in, rate_out, 1, dtype="int16", quality=quality)

    def feed(self, pcm: bytes | bytearray | memoryview | Samples, *, last: bool = False) -> Samples:
        """The samples that are ready, possibly none. ``last`` empties the filter; the stream is over then.

        Raises OddLengthError for bytes that end in half a sample.
        """
        if isinstance(pcm, np.ndarray):
            samples = pcm
        elif len(pcm) & 1:
            raise OddLengthError(f"expected whole 16-bit samples, got {len(pcm)} bytes; keep the odd byte for the next")
        else:
            samples = np.frombuffer(pcm, np.int16)
        if self._stream is None:
            return samples
        if not len(samples) and not last:
            return _EMPTY
        out: Samples = self._stream.resample_chunk(samples, last=last)
        return out


def resample(samples: Samples, rate_in: int, rate_out: int, quality: Quality = "HQ") -> Samples:
    """A whole piece at once, for files and cached prompts."""
    return Resampler(rate_in, rate_out, quality).feed(samples, last=True)
