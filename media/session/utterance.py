"""A piece of speech on its way from its source to the ledger."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from media.speech.ports import SpeechFailure, SpokenWord

MAX_AHEAD_BYTES = 360 * 16_000
"""Six minutes of audio that wait for their turn: a notice of the greatest length, slowly read, which providers make faster
than it is spoken. The ledger takes them bit by bit."""


class Source(Protocol):
    """Where audio comes from: a synthesis stream (media.speech.ports.SynthesisStream), or a clip that is fetched."""

    def send(self, text: str) -> None:
        """More text."""

    def finish(self) -> None:
        """No more text."""

    def cancel(self) -> None:
        """Nothing more is wanted."""


class UtteranceOwner(Protocol):
    """Who is told; never from within a call into the utterance or its source."""

    def utterance_changed(self, utterance: Utterance) -> None:
        """Audio, words or the end have come."""

    def utterance_failed(self, utterance: Utterance, failure: SpeechFailure) -> None:
        """No more audio will come of it."""


class Utterance:
    """One text (or clip) and its audio: a media.speech.ports.SynthesisListener that keeps what comes until it is taken."""

    def __init__(
        self,
        owner: UtteranceOwner,
        text: str,
        opener: Callable[[Utterance], Source],
        *,
        complete: bool = True,
        fallback: bool = False,
    ) -> None:
        """``opener`` starts the source, and may raise SpeechFailure; it must not report from within."""
        self.text = text
        self.complete = complete
        """Whether the text is complete: only then does silence of the source mean failure."""
        self.fallback = fallback
        """Spoken because speech failed: its own failure must not lead here again."""
        self.done = False
        self.begun = False
        """Whether its text was marked in the ledger."""
        self.sounded = False
        """Whether any audio came."""
        self.opened_at: float | None = None
        self._owner = owner
        self._opener = opener
        self._source: Source | None = None
        self._audio: deque[memoryview] = deque()
        """Views: the audio of a prompt out of the cache is the same memory in every call that plays it."""
        self._words: list[SpokenWord] = []
        self.waiting = 0
        """Bytes of audio that have come and were not taken."""
        self._over = False

    def open(self, now: float) -> None:
        """Starts the source with the text so far, once. Raises SpeechFailure."""
        if self.opened_at is None:
            self.opened_at = now
            self._source = self._opener(self)
            if self.text:
                self._source.send(self.text)
            if self.complete:
                self._source.finish()

    def extend(self, text: str, *, complete: bool) -> None:
        """More text, and whether it is the last."""
        self.text += text
        self.complete = complete
        if self._source is not None:
            if text:
                self._source.send(text)
            if complete:
                self._source.finish()

    def take(self, most: int) -> tuple[list[memoryview], list[SpokenWord]]:
        """Up to ``most`` bytes of the audio that waits, and all word times that have come since the last time."""
        audio: list[memoryview] = []
        while self._audio and most > 0:
            chunk = self._audio.popleft()
            if len(chunk) > most:
                self._audio.appendleft(chunk[most:])
                chunk = chunk[:most]
            audio.append(chunk)
            self.waiting -= len(chunk)
            most -= len(chunk)
        words, self._words = self._words, []
        return audio, words

    def cancel(self) -> None:
        """Takes nothing more and tells nobody."""
        self._over = True
        self._audio.clear()
        self.waiting = 0
        if self._source is not None:
            self._source.cancel()
            self._source = None

    # --- media.speech.ports.SynthesisListener ---

    def on_audio(self, pcm: bytes) -> None:
        """Keeps the audio and says so."""
        if self._over or self.done or not pcm:
            return
        if self.waiting + len(pcm) > MAX_AHEAD_BYTES:
            self.on_failure(SpeechFailure("session", "overflow", "expected at most six minutes of audio for one text"))
            return
        self._audio.append(memoryview(pcm))
        self.waiting += len(pcm)
        self.sounded = True
        self._owner.utterance_changed(self)

    def on_words(self, words: Sequence[SpokenWord]) -> None:
        """Keeps the provider's word times."""
        if not self._over and not self.done:
            self._words.extend(words)
            self._owner.utterance_changed(self)

    def on_done(self) -> None:
        """All audio is there. A text with words and no sound is a failure."""
        if self._over or self.done:
            return
        if not self.sounded and any(character.isalnum() for character in self.text):
            self.on_failure(SpeechFailure("session", "first_audio", "the text was answered without audio"))
            return
        self.done = True
        self._owner.utterance_changed(self)

    def on_failure(self, failure: SpeechFailure) -> None:
        """What came so far is all."""
        if not self._over and not self.done:
            self.done = True
            self._owner.utterance_failed(self, failure)
