"""A synthesiser in front of another one: what it has said before comes from memory, at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from media.speech.ports import (
    SpeechFailure,
    SpokenWord,
    SynthesisListener,
    SynthesisOptions,
    SynthesisStream,
    Synthesizer,
)
from media.speech.prompts import PromptCache, prompt_key
from media.speech.text import places, spoken


class CachingSynthesizer:
    """Implements Synthesizer. Utterances whose text is complete in the same turn of the loop are looked up;
    complete syntheses are remembered, cut or failed ones never."""

    def __init__(self, inner: Synthesizer, cache: PromptCache) -> None:
        self._inner = inner
        self._cache = cache

    def open(self, options: SynthesisOptions, listener: SynthesisListener) -> SynthesisStream:
        """See Synthesizer."""
        return _CachingStream(self._inner, self._cache, options, listener, keep=False)

    def prepare(self, options: SynthesisOptions) -> None:
        """See Synthesizer."""
        self._inner.prepare(options)

    async def warm(self, text: str, options: SynthesisOptions) -> None:
        """Makes sure that the text is in the cache and in its file. Raises SpeechFailure if it cannot be synthesised."""
        if prompt_key(options, spoken(text)) in self._cache:
            return
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        stream = _CachingStream(self._inner, self._cache, options, _Waiter(ended), keep=True)
        stream.send(text)
        stream.finish()
        try:
            await ended
        finally:
            stream.cancel()

    async def close(self) -> None:
        """See Synthesizer."""
        await self._inner.close()
        self._cache.close()


class _CachingStream:
    """Both the stream and the inner stream's listener."""

    def __init__(
        self,
        inner: Synthesizer,
        cache: PromptCache,
        options: SynthesisOptions,
        listener: SynthesisListener,
        *,
        keep: bool,
    ) -> None:
        self._synthesizer = inner
        self._cache = cache
        self._options = options
        self._listener = listener
        self._keep = keep
        self._texts: list[str] = []
        self._places: list[int] = []
        """Where each character that is spoken stands in what was given to be said."""
        self._given = 0
        self._audio = bytearray()
        self._inner: SynthesisStream | None = None
        self._finished = False
        self._over = False
        self._deciding: asyncio.Handle | asyncio.Task[None] | None = None

    def send(self, text: str) -> None:
        if self._over or self._finished:
            return
        given, text = text, spoken(text)
        if self._options.subtitle:
            self._places += [self._given + place for place in places(given, text)]
            self._given += len(given)
        self._texts.append(text)
        if self._inner is not None:
            self._inner.send(text)
        else:
            self._decide_soon()

    def finish(self) -> None:
        if self._over or self._finished:
            return
        self._finished = True
        if self._inner is not None:
            self._inner.finish()
        else:
            self._decide_soon()

    def cancel(self) -> None:
        self._over = True
        if self._deciding is not None:
            self._deciding.cancel()
        if self._inner is not None:
            self._inner.cancel()

    def on_audio(self, pcm: bytes) -> None:
        if not self._over:
            self._audio += pcm
            self._listener.on_audio(pcm)

    def on_words(self, words: Sequence[SpokenWord]) -> None:
        if not self._over:
            self._listener.on_words([self._in_what_was_given(word) for word in words])

    def on_done(self) -> None:
        if self._over:
            return
        self._over = True
        self._cache.put(self._key(), bytes(self._audio), keep=self._keep)
        self._listener.on_done()

    def on_failure(self, failure: SpeechFailure) -> None:
        if not self._over:
            self._over = True
            self._listener.on_failure(failure)

    def _in_what_was_given(self, word: SpokenWord) -> SpokenWord:
        """The listener knows its own text, not what was left out of it for the voice."""
        if not 0 <= word.text_start < word.text_end <= len(self._places):
            return word
        start, end = self._places[word.text_start], self._places[word.text_end - 1] + 1
        return SpokenWord(start, end, word.start_ms, word.end_ms)

    def _key(self) -> str:
        return prompt_key(self._options, "".join(self._texts))

    def _decide_soon(self) -> None:
        if self._deciding is None:
            self._deciding = asyncio.get_running_loop().call_soon(self._decide)

    def _decide(self) -> None:
        """Whoever has all the text sends and finishes in one go, so that it is complete by now."""
        if not self._finished or self._options.subtitle:
            self._forward()
            return
        if not "".join(self._texts).strip():
            self._over = True
            self._listener.on_done()
            return
        key = self._key()
        audio = self._cache.recall(key)
        if audio is not None:
            self._deliver(audio)
        elif key in self._cache:
            self._deciding = asyncio.get_running_loop().create_task(self._load(key), name="prompt")
        else:
            self._forward()

    async def _load(self, key: str) -> None:
        audio = await self._cache.load(key)
        if audio is None:
            self._forward()
        else:
            self._deliver(audio)

    def _deliver(self, audio: bytes) -> None:
        self._over = True
        self._listener.on_audio(audio)
        self._listener.on_done()

    def _forward(self) -> None:
        self._inner = self._synthesizer.open(self._options, self)
        for text in self._texts:
            self._inner.send(text)
        if self._finished:
            self._inner.finish()


class _Waiter:
    """Listens for the end only."""

    def __init__(self, ended: asyncio.Future[None]) -> None:
        self._ended = ended

    def on_audio(self, pcm: bytes) -> None:
        pass

    def on_words(self, words: Sequence[SpokenWord]) -> None:
        pass

    def on_done(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def on_failure(self, failure: SpeechFailure) -> None:
        if not self._ended.done():
            self._ended.set_exception(failure)
