"""A synthesiser that hangs is found out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from media.speech import watch
from media.speech.ports import SpeechFailure, SynthesisListener, SynthesisOptions, SynthesisStream
from media.speech.watch import SpeechLimits, WatchedSynthesizer

from .conftest import PATIENCE, Heard


class Silent:
    """A synthesiser whose one stream does what the test says."""

    def __init__(self) -> None:
        self.listener: SynthesisListener
        self.texts: list[str] = []
        self.finished = self.cancelled = False

    def open(self, options: SynthesisOptions, listener: SynthesisListener) -> SynthesisStream:
        self.listener = listener
        return self

    def prepare(self, options: SynthesisOptions) -> None:
        pass

    async def close(self) -> None:
        pass

    def send(self, text: str) -> None:
        self.texts.append(text)

    def finish(self) -> None:
        self.finished = True

    def cancel(self) -> None:
        self.cancelled = True


SHORT = SpeechLimits(first_audio=0.01, chunk_gap=0.01)
LONG = SpeechLimits(first_audio=3600, chunk_gap=3600)


def opened(
    limits: SpeechLimits, failed: Callable[[SynthesisOptions], None] = lambda _: None
) -> tuple[Silent, Heard, SynthesisStream]:
    inner, heard = Silent(), Heard()
    return inner, heard, WatchedSynthesizer(inner, limits, failed).open(SynthesisOptions(provider="p"), heard)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), PATIENCE))  # type: ignore[arg-type]


def test_no_first_audio_is_a_failure_and_cancels_the_stream() -> None:
    async def scenario() -> None:
        inner, heard, stream = opened(SHORT)
        stream.send("您好")
        await heard.end()
        assert heard.failure is not None
        assert heard.failure.code == "first_audio"
        assert heard.failure.retryable
        assert inner.cancelled
        inner.listener.on_audio(bytes(2))
        inner.listener.on_done()
        assert (heard.endings, len(heard.audio)) == (1, 0)

    run(scenario)


def test_audio_that_stops_after_all_text_is_known_is_a_failure() -> None:
    async def scenario() -> None:
        inner, heard, stream = opened(SpeechLimits(first_audio=3600, chunk_gap=0.01))
        stream.send("您好")
        inner.listener.on_audio(bytes(2))
        stream.finish()
        await heard.end()
        assert heard.failure is not None
        assert heard.failure.code == "chunk_gap"

    run(scenario)


def test_waiting_for_more_text_is_no_failure() -> None:
    async def scenario() -> None:
        inner, heard, stream = opened(SpeechLimits(first_audio=3600, chunk_gap=0.0))
        stream.send("您好")
        inner.listener.on_audio(bytes(2))
        passed = asyncio.Event()
        asyncio.get_running_loop().call_later(0.02, passed.set)
        await passed.wait()
        assert heard.failure is None
        stream.cancel()

    run(scenario)


def test_what_ends_in_time_is_passed_on() -> None:
    async def scenario() -> None:
        inner, heard, stream = opened(LONG)
        stream.send("您")
        stream.send("好")
        stream.finish()
        stream.send("太晚")
        inner.listener.on_audio(b"ab")
        inner.listener.on_done()
        assert (inner.texts, inner.finished, bytes(heard.audio), heard.failure) == (["您", "好"], True, b"ab", None)

    run(scenario)


def test_a_failure_of_the_provider_is_passed_on_once() -> None:
    async def scenario() -> None:
        inner, heard, stream = opened(LONG)
        stream.send("您好")
        inner.listener.on_failure(SpeechFailure("p", "closed", "gone"))
        inner.listener.on_failure(SpeechFailure("p", "closed", "gone"))
        assert heard.endings == 1
        stream.finish()

    run(scenario)


def test_it_is_told_who_failed_and_who_was_probably_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session's patience is shorter than ours; a caller who interrupts at once says nothing of the provider."""

    async def scenario() -> None:
        failed: list[SynthesisOptions] = []
        inner, heard, stream = opened(LONG, failed.append)
        stream.send("您好")
        inner.listener.on_failure(SpeechFailure("p", "denied", "no"))
        await heard.end()
        assert len(failed) == 1
        _, heard, stream = opened(SHORT, failed.append)
        stream.send("您好")
        await heard.end()
        assert len(failed) == 2
        _, _, stream = opened(LONG, failed.append)
        stream.send("您好")
        stream.cancel()
        assert len(failed) == 2
        monkeypatch.setattr(watch, "SUSPECT_SECONDS", 0.0)
        _, _, stream = opened(LONG, failed.append)
        stream.send("您好")
        stream.cancel()
        assert failed == [SynthesisOptions(provider="p")] * 3

    run(scenario)
