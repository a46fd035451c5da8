"""What all sessions of a process share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from media.ears.hearing import Hearing
from media.session.clips import Clips
from media.session.ports import SpeechPort
from shared.clock import Clock


@dataclass(frozen=True, kw_only=True)
class Equipment:
    """Made once, and handed to each session."""

    clock: Clock
    soon: Callable[[Callable[[], None]], object]
    """``loop.call_soon``: runs something after what runs now."""
    hearing: Hearing
    speech: SpeechPort
    clips: Clips
