"""The contract between a session and its transport. Nothing else about a call differs between transports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

RATE = 8000
"""Samples a second inside a session, both ways; a leg whose wire has another rate converts."""


class Leg(Protocol):
    """One call's transport. Every method is for the event loop and returns at once; failures reach the LegHost."""

    ready: bool
    """Whether frames may be sent now. The session holds its playout while not, so a leg that is never ready must
    tell its host that it is gone."""

    delay_ms: int
    """What the way from here to the far end's loudspeaker takes: "heard" is so much later than what was due."""

    def send(self, frames: Sequence[memoryview]) -> None:
        """Frames of 20 ms, s16le mono at RATE, in order. What the views show never changes: they may be read later."""

    def clear(self) -> None:
        """The far end drops what it was sent and has not played. ``ready`` may be False until it has."""

    def play_file(self, name: str) -> bool:
        """Plays a file that lies at the far end, instead of frames. False if this leg cannot."""

    def end_file(self) -> None:
        """Frames will follow again; ends the file if it still plays."""

    def hangup(self) -> None:
        """Ends the call at the far end, and then the transport."""

    async def close(self) -> None:
        """Gives everything back, without ending the call if ``hangup`` was not called. Bounded in time."""


class LegHost(Protocol):
    """What a leg tells its session."""

    def audio(self, pcm: bytes, now: float) -> None:
        """Caller audio, s16le mono at RATE, arrived at ``now``. Raises media.audio.errors.AudioError for what is none."""

    def audio_waited(self) -> None:
        """What came until now had been kept, and was handed over all at once: nobody has looked at it yet."""

    def leg_ended(self, reason: str) -> None:
        """The far end ended the call."""

    def leg_failed(self, reason: str) -> None:
        """The transport broke and will not come back."""
