"""When the customer's turn is over. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TurnRule:
    """Delays in seconds from the end of speech."""

    complete_s: float = 0.3
    default_s: float = 0.6
    cap_s: float = 1.2


@dataclass(frozen=True, slots=True)
class Turn:
    """What the customer said. ``text`` is empty if there was speech and no words."""

    text: str
    started: float
    ended: float


class TurnDetector:
    """One call's. Feed it, then ask ``poll`` at (or after) ``deadline``."""

    def __init__(self, rule: TurnRule | None = None) -> None:
        raise NotImplementedError

    def speech_started(self, now: float) -> None:
        """VAD onset."""
        raise NotImplementedError

    def speech_ended(self, now: float) -> None:
        """VAD stop; ``now`` may be the moment the speech really ended, which lies a little back."""
        raise NotImplementedError

    def partial(self, text: str, now: float) -> None:
        """An interim ASR result: replaces the one before it."""
        raise NotImplementedError

    def final(self, text: str, now: float) -> None:
        """A stable ASR result: joins the turn."""
        raise NotImplementedError

    @property
    def deadline(self) -> float | None:
        """When ``poll`` may have something to say next, or None."""
        raise NotImplementedError

    def poll(self, now: float) -> Turn | None:
        """The turn, once, when it is over."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forgets what was said."""
        raise NotImplementedError
