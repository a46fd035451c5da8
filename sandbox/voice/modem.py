"""Text as quiet tones inside speech: encode, mix, and decode as a stream (pure; numpy only)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pcm = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Heard:
    """A piece of text that was heard to its end.

    `start_sample` and `end_sample` count from the first sample that the decoder was fed.
    `final` marks the last piece of its utterance. `utterance_id` is the decoder's own running number (0, 1, 2, ...).
    `lost` counts the packets of this utterance that are missing just before this piece.
    """

    text: str
    start_sample: int
    end_sample: int
    final: bool
    utterance_id: int
    lost: int = 0


def encode(
    text: str, rate: int, samples: int | None = None, *, ends: Sequence[int] | None = None, dbfs: float = -27.0
) -> Pcm:
    """Tones that carry `text`: int16 mono at `rate`.

    `ends`, one sample index for each character of `text`, is when the character has been spoken: its tones end then, or
    as soon after as the tones allow. Without it the characters are spread evenly over `samples`, or packed tightly.
    The result has at least `samples` samples, and more if the tones need more.
    """
    raise NotImplementedError


def mix(voice: Pcm, tones: Pcm) -> Pcm:
    """Voice and tones added, clipped at full scale; the shorter one is padded with silence."""
    raise NotImplementedError


class Decoder:
    """Decodes one stream of int16 mono PCM at `rate`, joined at any sample."""

    def __init__(self, rate: int) -> None:
        raise NotImplementedError

    def feed(self, pcm: Pcm) -> list[Heard]:
        """Take the next samples (any number) and return the pieces that they completed, in order."""
        raise NotImplementedError
