"""An utterance: a voice with its own words inside, as tones in step with the speech."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Word:
    """One character of the text and the sample (exclusive) at which it has been spoken and its tones have ended."""

    text: str
    end_sample: int


@dataclass(frozen=True, slots=True)
class Utterance:
    """`pcm` is int16 mono at `rate`; `words` has one entry for each character of `text`."""

    text: str
    rate: int
    pcm: npt.NDArray[np.int16]
    words: tuple[Word, ...]

    @property
    def seconds(self) -> float:
        return len(self.pcm) / self.rate


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who speaks: an espeak variant (`f2`, `m3`), pitch 0-99, speed in espeak's words a minute."""

    variant: str = "f2"
    pitch: int = 50
    speed: int = 200


ROBOT = Speaker("f2", 60, 220)
"""The voice of the stand-in TTS."""

CALLEES: tuple[Speaker, ...] = (
    Speaker("m1", 40, 210),
    Speaker("m3", 35, 200),
    Speaker("m7", 45, 230),
    Speaker("f1", 50, 210),
    Speaker("f3", 65, 225),
    Speaker("f4", 55, 200),
)
"""Voices of people who answer; choose one by the number called."""


def utterance(text: str, rate: int, voice: Speaker = ROBOT, seconds: float | None = None) -> Utterance:
    """`text` spoken by `voice`, int16 mono at `rate`, its words inside as tones.

    `seconds` is the shortest length wanted: the speech is slowed to it. It is longer when the text needs longer.
    """
    raise NotImplementedError
