"""Barge-in that can be taken back: pause at once, decide within 500 ms. Pure."""

from __future__ import annotations

from enum import Enum


class BargeInState(Enum):
    """What our voice is doing."""

    IDLE = "idle"
    PLAY = "play"
    PAUSED = "paused"
    DROPPED = "dropped"


class Action(Enum):
    """What the session must do now."""

    PAUSE = "pause"
    RESUME = "resume"
    INTERRUPT = "interrupt"


class BargeIn:
    """One call's. Every method returns what to do, or None."""

    state: BargeInState

    def play_started(self, now: float, *, interruptible: bool = True) -> Action | None:
        """Our voice begins (or goes on with another play)."""
        raise NotImplementedError

    def play_ended(self, now: float) -> None:
        """Our voice has been heard to its end."""
        raise NotImplementedError

    def speech_started(self, now: float) -> Action | None:
        """VAD onset."""
        raise NotImplementedError

    def speech_ended(self, now: float) -> Action | None:
        """VAD stop."""
        raise NotImplementedError

    def text(self, text: str, now: float, *, final: bool = False) -> Action | None:
        """What ASR makes of the current utterance so far (the whole of it, not the new part)."""
        raise NotImplementedError

    @property
    def deadline(self) -> float | None:
        """When ``poll`` decides, if paused."""
        raise NotImplementedError

    def poll(self, now: float) -> Action | None:
        """The verdict when the deadline has passed."""
        raise NotImplementedError
