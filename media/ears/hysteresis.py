"""From probabilities to speech: when it began, when it ended. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SpeechRule:
    """Thresholds in probability, spans in windows of 32 ms."""

    on: float = 0.5
    off: float = 0.35
    onset_windows: int = 4
    stop_windows: int = 6
