"""What a person makes of the sound in the receiver: when the robot's sentences begin and end."""

from __future__ import annotations

SENTENCE_GAP = 0.3
"""Seconds of quiet that part one of the robot's sentences from the next: longer than the stops inside a word
(p, t, k: under 0.15 s), shorter than a breath between sentences."""

ONSET = 0.06
"""Seconds of sound before it counts as a sentence: a click of a frame or two is no speech."""


class Ear:
    """Follows one voice. `listen` is called with rising times, a step apart of at most SENTENCE_GAP."""

    def __init__(self) -> None:
        self.sentences = 0
        """Sentences that have begun so far."""
        self.speaking = False
        """Whether a sentence has begun and not ended."""
        self.began = 0.0
        """When the latest sentence began."""
        self.ended = 0.0
        """When the latest sound ended."""
        self._sound_since: float | None = None

    def listen(self, at: float, loud: bool) -> None:
        """Takes note of one step: whether there is sound at `at` seconds."""
        if not loud:
            self._fall_quiet(at)
            return
        if self._sound_since is None:
            self._sound_since = at
        self.ended = at
        if not self.speaking and at - self._sound_since >= ONSET:
            self.speaking = True
            self.sentences += 1
            self.began = self._sound_since

    def _fall_quiet(self, at: float) -> None:
        if at - self.ended < SENTENCE_GAP:
            return
        self.speaking = False
        self._sound_since = None
