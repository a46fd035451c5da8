"""The playout ledger: what is queued, sent and heard of our side of a call, by sample. Pure.

Time is one number: samples of the call's timeline, computed from the ``now`` that every method takes (seconds of a
monotonic clock) and the ``epoch`` the ledger was made with. The far end plays each frame as soon as the one before
it is over; what was sent and whose time has not come is the *lead*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PcmFrame = memoryview


@dataclass(frozen=True, slots=True)
class PlayStarted:
    """The first frame of a play left. ``sample``: where it begins on the call's timeline."""

    play_id: str
    sample: int


@dataclass(frozen=True, slots=True)
class PlayEnded:
    """A play that had ended (``Play.end``) was heard to its last sample, or was cut (``interrupted``)."""

    play_id: str
    sample: int
    duration_ms: int
    text_heard: str
    interrupted: bool


@dataclass(frozen=True, slots=True)
class Starved:
    """A play that has begun and not ended has nothing to send, and the far end has run dry."""

    play_id: str
    sample: int


Fact = PlayStarted | PlayEnded | Starved


@dataclass(frozen=True, slots=True)
class Cut:
    """What an interruption found: the fields of Active Call's ``interruption`` event, and what became of the audio."""

    play_id: str
    subtitle: str
    text_heard: str
    position: int
    """Index of the word in ``subtitle`` at which the caller stopped hearing; a CJK character is a word."""
    current_ms: int
    total_ms: int
    heard_samples: int
    dropped: tuple[str, ...]
    """Plays behind it of which nothing was heard."""
    unheard: tuple[int, int]
    """Timeline samples (start, end) that were sent and then flushed: the recorder must write silence there."""


@dataclass(frozen=True, slots=True)
class WordOffset:
    """Where a provider says a piece of text sounds: characters of the text, samples from where its audio begins."""

    text_start: int
    text_end: int
    start: int
    end: int


class Play:
    """One play of a ledger: a handle that TTS writes to. Once cut it takes no more: ``append`` returns False."""

    play_id: str

    def append(self, pcm: bytes) -> bool:
        """Queues s16le audio of any even length. Raises OddLengthError, PlayoutFullError. False if the play is over."""
        raise NotImplementedError

    def mark(self, text: str, *, extend: bool = False) -> None:
        """The audio from here on speaks ``text``; with ``extend`` it is added to the text already being spoken."""
        raise NotImplementedError

    def offsets(self, words: Sequence[WordOffset]) -> None:
        """The provider's own word times for the current mark; they replace interpolation as far as they reach."""
        raise NotImplementedError

    def end(self) -> None:
        """No more audio will come."""
        raise NotImplementedError


class Playout:
    """One call's ledger."""

    paused: bool
    taken_at: int
    """Timeline sample of the first frame that the last ``take`` returned: where the recorder puts them."""
    starvations: int

    def __init__(self, epoch: float, rate: int = 8000, lead_ms: int = 60, longest_s: float = 120.0) -> None:
        raise NotImplementedError

    def open(self, play_id: str) -> Play:
        """A new play behind all others."""
        raise NotImplementedError

    def find(self, play_id: str) -> Play | None:
        """The play of that name that still takes audio, if any: the one to append to."""
        raise NotImplementedError

    @property
    def playing(self) -> Play | None:
        """The play that is heard now or next; None when all is silent."""
        raise NotImplementedError

    def take(self, now: float) -> list[PcmFrame]:
        """The frames that must leave now: what keeps the far end ``lead_ms`` ahead. Empty when paused or idle."""
        raise NotImplementedError

    def next_frames(self, count: int, now: float) -> list[PcmFrame]:
        """Up to ``count`` frames of 20 ms regardless of what is due; the last of a play is padded with zeros."""
        raise NotImplementedError

    def facts(self, now: float) -> list[Fact]:
        """What came to pass since the last time, in order."""
        raise NotImplementedError

    def pause(self, now: float, *, flushed: bool = False) -> None:
        """Nothing leaves until ``resume``. ``flushed``: the far end was told to drop what it holds."""
        raise NotImplementedError

    def resume(self, now: float, repeat_ms: int = 40) -> None:
        """Goes on, repeating at most ``repeat_ms`` (never over 40) of what was already sent."""
        raise NotImplementedError

    def cut(self, now: float, *, flushed: bool = True) -> Cut | None:
        """Interrupts: everything queued is dropped. None if nothing was playing."""
        raise NotImplementedError

    def cut_gracefully(self, now: float) -> Cut | None:
        """Lets the current sentence end, drops the rest; tells what will have been heard by then."""
        raise NotImplementedError
