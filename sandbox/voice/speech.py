"""An utterance: a voice with its own words inside, as tones in step with the speech.

The voice is limited to below 2 kHz, as through an old handset, and the tones sound above it.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import soxr  # type: ignore[import-untyped]

from sandbox.voice.espeak import speak_timed
from sandbox.voice.modem import mix
from sandbox.voice.schedule import schedule

Pcm = npt.NDArray[np.int16]

VOICE_DBFS = -20.0
TONES_DBFS = -28.0
_VOICE_RATE = 8000  # the voice ends below 2 kHz, so nothing more is ever needed
_PASS, _STOP = 1850.0, 2120.0  # Hz; the lowest tone is 2,200 Hz, and 40 Hz around it belong to it
_SLOWEST = 80  # espeak's words a minute
_PEAK = 0.7 * 32768  # leaves room for the tones


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
    pcm: Pcm
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


ROBOT = Speaker("f2", 60, 240)
"""The voice of the stand-in TTS."""

CALLEES: tuple[Speaker, ...] = (
    Speaker("m1", 40, 230),
    Speaker("m3", 35, 220),
    Speaker("m7", 45, 250),
    Speaker("f1", 50, 230),
    Speaker("f3", 65, 245),
    Speaker("f4", 55, 220),
)
"""Voices of people who answer; choose one by the number called."""


def utterance(text: str, rate: int, voice: Speaker = ROBOT, seconds: float | None = None) -> Utterance:
    """`text` spoken by `voice`, int16 mono at `rate`, its words inside as tones.

    `seconds` is the shortest length wanted: the speech is slowed to it, and silence fills what is left. It is longer when
    the text needs longer, be it to say or for the tones. Text without anything to say is tones alone.
    Raises ValueError for a text that is too long or a rate below 7,000 Hz.
    """
    language = "en-us" if text.isascii() and any(char.isalpha() for char in text) else "cmn"
    name, speed = f"{language}+{voice.variant}", voice.speed
    spoken = speak_timed(text, _VOICE_RATE, name, speed, voice.pitch)
    wanted = round((seconds or 0) * _VOICE_RATE)
    if 0 < len(spoken.pcm) < wanted:
        speed = max(_SLOWEST, speed * len(spoken.pcm) // wanted)
        spoken = speak_timed(text, _VOICE_RATE, name, speed, voice.pitch)
    scale = rate / _VOICE_RATE
    length = round(max(wanted, len(spoken.pcm)) * scale)
    plan = schedule(text, rate, length, ends=[round(end * scale) for end in spoken.ends])
    pcm = mix(_muffled(spoken.pcm, rate), plan.render(TONES_DBFS))[: plan.samples]
    words = tuple(Word(char, end) for char, end in zip(text, plan.character_ends(), strict=True))
    return Utterance(text, rate, pcm, words)


def _muffled(voice: Pcm, rate: int) -> Pcm:
    """`voice` (at 8 kHz) below 2 kHz and at VOICE_DBFS, brought to `rate`."""
    if not len(voice):
        return np.zeros(0, np.int16)
    loud = voice[np.abs(voice) > 0.05 * np.abs(voice).max()].astype(np.float64)
    level = np.sqrt(np.mean(np.square(loud))) if len(loud) else 0.0
    if not level:
        return np.zeros(0, np.int16)
    wanted = voice * (10 ** (VOICE_DBFS / 20) * 32768 / level)
    limited = (_PEAK * np.tanh(wanted / _PEAK)).astype(np.float32)  # before the low-pass: limiting makes overtones
    low = np.convolve(limited, _low_pass(), "same")
    wave: Pcm = np.rint(np.clip(low, -_PEAK, _PEAK)).astype(np.int16)
    if rate == _VOICE_RATE:
        return wave
    resampled: Pcm = soxr.resample(wave, _VOICE_RATE, rate)
    return resampled


@lru_cache(maxsize=1)
def _low_pass() -> npt.NDArray[np.float32]:
    """A Kaiser-windowed sinc: 60 dB down from _STOP on (Oppenheim and Schafer, Discrete-Time Signal Processing, 7.5)."""
    attenuation = 60.0
    width = 2 * np.pi * (_STOP - _PASS) / _VOICE_RATE
    taps = int(np.ceil((attenuation - 8) / (2.285 * width))) | 1
    place = np.arange(taps) - taps // 2
    cutoff = (_PASS + _STOP) / _VOICE_RATE
    window = np.kaiser(taps, 0.1102 * (attenuation - 8.7))
    response: npt.NDArray[np.float32] = (cutoff * np.sinc(cutoff * place) * window).astype(np.float32)
    return response
