"""Watches over a synthesiser: the first audio, and each one after, must come in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from media.speech.ports import (
    SpeechFailure,
    SpokenWord,
    SynthesisListener,
    SynthesisOptions,
    SynthesisStream,
    Synthesizer,
)


@dataclass(frozen=True, slots=True)
class SpeechLimits:
    """Seconds."""

    first_audio: float = 2.0
    """From the first text to the first audio: a cold connection and a first chunk take up to one; at two the customer
    has begun to ask whether anyone is there."""
    chunk_gap: float = 1.5
    """Between chunks once all text is known. Audio comes faster than it is spoken, so that what is queued by then
    covers most of it."""


SUSPECT_SECONDS = 1.0
"""Who is cancelled after so long without audio has probably been given up by a session, whose own patience is shorter."""


class WatchedSynthesizer:
    """Implements Synthesizer around another one, whose utterances it ends with a failure when they hang."""

    def __init__(
        self, inner: Synthesizer, limits: SpeechLimits, on_failure: Callable[[SynthesisOptions], None]
    ) -> None:
        """``on_failure`` hears with which options an utterance failed or probably did, whoever wanted it."""
        self._inner = inner
        self._limits = limits
        self._on_failure = on_failure

    def open(self, options: SynthesisOptions, listener: SynthesisListener) -> SynthesisStream:
        """See Synthesizer."""
        return _WatchedStream(self._inner, options, listener, self._limits, self._on_failure)

    def prepare(self, options: SynthesisOptions) -> None:
        """See Synthesizer."""
        self._inner.prepare(options)

    async def close(self) -> None:
        """See Synthesizer."""
        await self._inner.close()


class _WatchedStream:
    """Both the stream and the inner stream's listener."""

    def __init__(
        self,
        inner: Synthesizer,
        options: SynthesisOptions,
        listener: SynthesisListener,
        limits: SpeechLimits,
        on_failure: Callable[[SynthesisOptions], None],
    ) -> None:
        self._options = options
        self._on_failure = on_failure
        self._listener = listener
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None
        self._armed_at = 0.0
        self._heard = False
        self._finished = False
        self._over = False
        self._inner = inner.open(options, self)

    def send(self, text: str) -> None:
        if self._over or self._finished:
            return
        if self._timer is None and not self._heard:
            self._arm(self._limits.first_audio, "first_audio")
        self._inner.send(text)

    def finish(self) -> None:
        if self._over or self._finished:
            return
        self._finished = True
        if self._heard:
            self._arm(self._limits.chunk_gap, "chunk_gap")
        self._inner.finish()

    def cancel(self) -> None:
        if self._timer is not None and asyncio.get_running_loop().time() >= self._armed_at + SUSPECT_SECONDS:
            self._on_failure(self._options)
        self._end()
        self._inner.cancel()

    def on_audio(self, pcm: bytes) -> None:
        if self._over:
            return
        self._heard = True
        self._disarm()
        if self._finished:
            self._arm(self._limits.chunk_gap, "chunk_gap")
        self._listener.on_audio(pcm)

    def on_words(self, words: Sequence[SpokenWord]) -> None:
        if not self._over:
            self._listener.on_words(words)

    def on_done(self) -> None:
        if not self._over:
            self._end()
            self._listener.on_done()

    def on_failure(self, failure: SpeechFailure) -> None:
        if not self._over:
            self._fail(failure)

    def _arm(self, seconds: float, code: str) -> None:
        self._disarm()
        loop = asyncio.get_running_loop()
        self._armed_at = loop.time()
        self._timer = loop.call_later(seconds, self._expire, seconds, code)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        self._over = True
        self._disarm()

    def _expire(self, seconds: float, code: str) -> None:
        self._inner.cancel()
        message = f"no audio within {seconds:g} s"
        self._fail(SpeechFailure(self._options.provider, code, message, retryable=True))

    def _fail(self, failure: SpeechFailure) -> None:
        self._end()
        self._on_failure(self._options)
        self._listener.on_failure(failure)
