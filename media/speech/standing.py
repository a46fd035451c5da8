"""Whether a customer could be talked with: when speech has failed it is tried, before others are called.

A call in which speech fails ends with an apology, or in silence where that is in no cache and in no file of the phone
system. So nobody is to be called while that would be everybody's fate. Providers take money for what they are asked:
one that does not fail is not tried after the start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from media.legs.leg import RATE
from media.registry import Registry
from media.speech.ports import RecognitionOptions, SpeechFailure, SpokenWord, SynthesisOptions
from media.speech.providers import Speech

AGAIN_SECONDS = (1.0, 2.0, 5.0, 10.0)
"""From one try that failed to the next; the last for ever. Short at first: at start the provider's stand-in may be starting too."""
REST_SECONDS = 2.0
"""After a try that went well: one text that cannot be spoken does not make every call a try."""
PATIENCE_SECONDS = 8.0
"""For all of recognition; synthesis has its own limits (media.speech.watch)."""
WORDS = "您好"
QUIET = bytes(RATE // 5 * 2)

log = logging.getLogger(__name__)


class Standing:
    """Tries both providers that the settings name."""

    def __init__(self, speech: Speech, registry: Registry, changed: Callable[[], Awaitable[None]]) -> None:
        """``changed`` is awaited when ``registry.conversable`` has: whoever places calls should hear of it."""
        self.problem = "speech has not been tried yet"
        """Why nobody can be talked with; "" if they can."""
        self._speech = speech
        self._registry = registry
        self._changed = changed
        registry.conversable = False

    async def run(self) -> None:
        """Looks, for ever."""
        failed = 0
        while True:
            self._speech.trouble.clear()
            await self.look()
            if self.problem:
                await asyncio.sleep(AGAIN_SECONDS[min(failed, len(AGAIN_SECONDS) - 1)])
                failed += 1
            else:
                failed = 0
                await asyncio.sleep(REST_SECONDS)
                await self._speech.trouble.wait()

    async def look(self) -> None:
        """Once. Whatever is wrong is told, not raised."""
        problems = await asyncio.gather(
            self._problem_of("synthesis", self._say), self._problem_of("recognition", self._hear)
        )
        former, self.problem = self.problem, "; ".join(filter(None, problems))
        if self.problem and self.problem != former:
            log.error("nobody can be talked with: no call is to be placed", extra={"why": self.problem})
        if self._registry.conversable == bool(self.problem):
            self._registry.conversable = not self.problem
            if not self.problem:
                log.info("customers can be talked with")
            await self._changed()

    async def _problem_of(self, part: str, attempt: Callable[[], Awaitable[None]]) -> str:
        try:
            await attempt()
        except SpeechFailure as failure:
            return f"{part} fails: {failure}"
        except TimeoutError:
            return f"{part} does not answer within {PATIENCE_SECONDS:g} s"
        return ""

    async def _say(self) -> None:
        said = asyncio.get_running_loop().create_future()
        stream = self._speech.uncached.open(SynthesisOptions(), _Audience(said))
        stream.send(WORDS)
        stream.finish()
        try:
            await said
        finally:
            stream.cancel()

    async def _hear(self) -> None:
        failures: list[SpeechFailure] = []
        recognizer = self._speech.recognizers.open(RecognitionOptions(), lambda _: None, failures.append)
        try:
            recognizer.push(QUIET)
            recognizer.finish()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await recognizer.finished()
        finally:
            await recognizer.close()
        if failures:
            raise failures[0]


class _Audience:
    """Listens to the trial, which must sound."""

    def __init__(self, said: asyncio.Future[None]) -> None:
        self._said = said
        self._sounded = False

    def on_audio(self, pcm: bytes) -> None:
        self._sounded = self._sounded or bool(pcm)

    def on_words(self, words: Sequence[SpokenWord]) -> None:
        pass

    def on_done(self) -> None:
        if self._sounded:
            self._said.set_result(None)
        else:
            self.on_failure(SpeechFailure("speech", "protocol", f"nothing was to be heard of {WORDS}"))

    def on_failure(self, failure: SpeechFailure) -> None:
        self._said.set_exception(failure)
