"""What a session needs of the rest of its process: media.recorder.Recording, media.speech.providers.Speech."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from media.recorder import Closed
from media.speech.ports import RecognitionOptions, Recognizers, SynthesisOptions, Synthesizer


class RecordingPort(Protocol):
    """One owner's part of one call. All methods are for the event loop, and none of them blocks."""

    part: int

    def customer(self, start: int, pcm: bytes | bytearray | memoryview) -> None:
        """Customer audio from timeline sample ``start`` on."""

    def ours(self, start: int, frames: Sequence[memoryview]) -> None:
        """Consecutive frames of ours from ``start`` on."""

    def erase_ours(self, start: int, end: int) -> None:
        """What was sent and flushed before it was heard."""

    def line(self, encoded: bytes, *, hurry: bool = True) -> None:
        """One transcript line, with its newline. Without ``hurry`` it may wait for the recorder's next look."""

    async def close(self) -> Closed:
        """Returns when all of it is on the disk."""


class SpeechPort(Protocol):
    """The configured providers."""

    @property
    def recognizers(self) -> Recognizers:
        """Opens recognitions."""

    @property
    def synthesizer(self) -> Synthesizer:
        """Opens utterances."""

    @property
    def recognition(self) -> RecognitionOptions:
        """What a call leaves open."""

    @property
    def synthesis(self) -> SynthesisOptions:
        """What a call leaves open."""
