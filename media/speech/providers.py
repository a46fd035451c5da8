"""Which providers there are, and the one object through which a process speaks and understands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from media.speech import aliyun
from media.speech.aliyun_asr import AliyunRecognizer
from media.speech.aliyun_tts import AliyunSynthesizer
from media.speech.cache import CachingSynthesizer
from media.speech.ports import (
    Recognition,
    RecognitionOptions,
    Recognizer,
    Recognizers,
    SpeechFailure,
    SynthesisListener,
    SynthesisOptions,
    SynthesisStream,
    Synthesizer,
)
from media.speech.prompts import PromptCache
from media.speech.watch import SpeechLimits, WatchedSynthesizer
from shared.settings import Settings

STANDIN = "standin"
"""The sandbox's cloud: it speaks DashScope's protocol. A name of its own keeps its voice out of the real one's cache."""
PROMPTS_DIRECTORY = "prompts"
WARM_AGAIN_SECONDS = 30.0
"""Prompts that a provider could not synthesise at start are tried again so often."""

log = logging.getLogger(__name__)

Options = TypeVar("Options", RecognitionOptions, SynthesisOptions)


class Speech:
    """What the settings configure. One a process, for one event loop; connects to nothing before it is used.

    ``recognition`` and ``synthesis`` are the configured defaults: a session takes ``dataclasses.replace`` of them with
    what its call asks for, or builds options of its own, whose empty fields are filled from them.
    """

    recognizers: Recognizers
    synthesizer: Synthesizer
    uncached: Synthesizer
    """Asks the provider for everything."""
    recognition: RecognitionOptions
    synthesis: SynthesisOptions
    trouble: asyncio.Event
    """Set when what is configured has failed; cleared by whoever looks into it."""

    def __init__(
        self, recognition: RecognitionOptions, synthesis: SynthesisOptions, prompts: PromptCache, limits: SpeechLimits
    ) -> None:
        self.recognition = recognition
        self.synthesis = synthesis
        self.trouble = asyncio.Event()
        self.recognizers = _Recognizers(recognition, self._failed)
        watched = WatchedSynthesizer(AliyunSynthesizer(), limits, self._failed)
        self._cached = CachingSynthesizer(watched, prompts)
        self._complete = _Synthesizer(synthesis, self._cached)
        self.synthesizer = self._complete
        self.uncached = _Synthesizer(synthesis, watched)

    async def warm(self, texts: Iterable[str], options: SynthesisOptions) -> int:
        """Synthesises into the cache what is not in it yet, one after another. Returns how many are left when the
        provider fails. Raises SpeechFailure only for a provider that is not available here."""
        resolved = self._complete.options(options)
        waiting = list(dict.fromkeys(texts))
        while waiting:
            try:
                await self._cached.warm(waiting[0], resolved)
            except SpeechFailure as failure:
                log.warning("prompts could not be prepared", extra={"code": failure.code, "left": len(waiting)})
                return len(waiting)
            waiting.pop(0)
        return 0

    async def keep_warm(self, texts: Iterable[str], options: SynthesisOptions) -> None:
        """As ``warm``, tried again until all is in the cache. For a task of its own, at start."""
        texts = list(texts)
        left = await self.warm(texts, options)
        while left:
            await asyncio.sleep(WARM_AGAIN_SECONDS)
            left = await self.warm(texts, options)

    async def close(self) -> None:
        """Drops every connection of synthesis; recognitions are closed by whoever opened them."""
        await self._cached.close()

    def _failed(self, options: RecognitionOptions | SynthesisOptions) -> None:
        """What a call brought an endpoint or a key of its own for tells nothing of ours."""
        ours = self.recognition if isinstance(options, RecognitionOptions) else self.synthesis
        if (options.endpoint, options.key) == (ours.endpoint, ours.key):
            self.trouble.set()


def open_speech(settings: Settings, limits: SpeechLimits | None = None) -> Speech:
    """The providers that ``settings`` name; the stand-in's endpoints if none is named."""
    recognition = RecognitionOptions(
        provider=settings.asr_provider or STANDIN,
        model=settings.asr_model,
        endpoint=settings.asr_endpoint or aliyun.ENDPOINT,
        key=settings.asr_key,
    )
    synthesis = SynthesisOptions(
        provider=settings.tts_provider or STANDIN,
        model=settings.tts_model,
        speaker=settings.tts_voice,
        endpoint=settings.tts_endpoint or aliyun.ENDPOINT,
        key=settings.tts_key,
    )
    if any(endpoint.startswith("wss://") for endpoint in (recognition.endpoint, synthesis.endpoint)):
        aliyun.tls()  # now, and not when the first call connects
    # The stand-in's voice is synthesised in a moment and may change with any version: not worth files.
    directory = settings.state_dir / PROMPTS_DIRECTORY if settings.tts_provider else None
    return Speech(recognition, synthesis, PromptCache(directory), limits or SpeechLimits())


class _Recognizers:
    """Implements Recognizers."""

    def __init__(self, defaults: RecognitionOptions, failed: Callable[[RecognitionOptions], None]) -> None:
        self._defaults = defaults
        self._failed = failed

    def open(
        self,
        options: RecognitionOptions,
        on_recognition: Callable[[Recognition], None],
        on_failure: Callable[[SpeechFailure], None],
    ) -> Recognizer:
        resolved = _resolve(options, self._defaults)
        resolved = replace(resolved, model=options.model or self._defaults.model)

        def failed(failure: SpeechFailure) -> None:
            self._failed(resolved)
            on_failure(failure)

        return AliyunRecognizer(resolved, on_recognition, failed)


class _Synthesizer:
    """Implements Synthesizer: fills in what the options leave open."""

    def __init__(self, defaults: SynthesisOptions, inner: Synthesizer) -> None:
        self._defaults = defaults
        self._inner = inner

    def open(self, options: SynthesisOptions, listener: SynthesisListener) -> SynthesisStream:
        return self._inner.open(self.options(options), listener)

    def prepare(self, options: SynthesisOptions) -> None:
        self._inner.prepare(self.options(options))

    async def close(self) -> None:
        await self._inner.close()

    def options(self, options: SynthesisOptions) -> SynthesisOptions:
        """All fields filled. Raises SpeechFailure (``provider``)."""
        resolved = _resolve(options, self._defaults)
        return replace(
            resolved,
            model=options.model or self._defaults.model,
            speaker=options.speaker or self._defaults.speaker,
        )


def _resolve(options: Options, defaults: Options) -> Options:
    """Provider, endpoint and key. Raises SpeechFailure (``provider``) for what is not available here.

    Our key goes to our endpoint only: an option that names another endpoint must bring the key for it.
    """
    provider = options.provider or defaults.provider
    if provider not in (aliyun.PROVIDER, defaults.provider):
        raise SpeechFailure(provider, "provider", f"not available here; expected {aliyun.PROVIDER} or no provider")
    elsewhere = options.endpoint not in ("", defaults.endpoint)
    if elsewhere and options.key in ("", defaults.key):
        raise SpeechFailure(provider, "provider", "an endpoint of its own needs a secretKey of its own")
    if options.key:
        endpoint = options.endpoint or (defaults.endpoint if provider == defaults.provider else aliyun.ENDPOINT)
        return replace(options, provider=provider, endpoint=endpoint)
    # Without a key of its own a call gets what the settings configure; the stand-in plays the real service's part.
    return replace(options, provider=defaults.provider, endpoint=defaults.endpoint, key=defaults.key)
