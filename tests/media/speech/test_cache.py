"""What was said before comes from memory; what was not complete is never kept."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from media.speech.cache import CachingSynthesizer
from media.speech.ports import SpeechFailure, SpokenWord, SynthesisListener, SynthesisOptions, SynthesisStream
from media.speech.prompts import PromptCache

from .conftest import PATIENCE, Heard

OPTIONS = SynthesisOptions(provider="p", model="m", speaker="s")


class Parrot:
    """Speaks the bytes of the text (two a character); counts, and fails on demand."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails = False

    def open(self, options: SynthesisOptions, listener: SynthesisListener) -> SynthesisStream:
        return _Squawk(self, listener)

    def prepare(self, options: SynthesisOptions) -> None:
        pass

    async def close(self) -> None:
        pass


class _Squawk:
    def __init__(self, parrot: Parrot, listener: SynthesisListener) -> None:
        self._parrot = parrot
        self._listener = listener
        self._text = ""

    def send(self, text: str) -> None:
        self._text += text
        asyncio.get_running_loop().call_soon(self._listener.on_audio, text.encode("utf-16-le"))

    def finish(self) -> None:
        self._parrot.asked.append(self._text)
        failure = SpeechFailure("p", "closed", "gone")
        end = (lambda: self._listener.on_failure(failure)) if self._parrot.fails else self._listener.on_done
        asyncio.get_running_loop().call_soon(end)

    def cancel(self) -> None:
        pass


async def say(synthesizer: CachingSynthesizer, text: str, options: SynthesisOptions = OPTIONS) -> Heard:
    heard = Heard()
    stream = synthesizer.open(options, heard)
    stream.send(text)
    stream.finish()
    assert not heard.audio, "callbacks never come from within a call"
    await heard.end()
    return heard


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), PATIENCE))  # type: ignore[arg-type]


def test_the_second_time_nobody_is_asked() -> None:
    async def scenario() -> None:
        parrot = Parrot()
        synthesizer = CachingSynthesizer(parrot, PromptCache(None))
        first, second = await say(synthesizer, "您好"), await say(synthesizer, " 您好😀")
        assert bytes(first.audio) == bytes(second.audio) == "您好".encode("utf-16-le")
        assert parrot.asked == ["您好"]
        await synthesizer.close()

    run(scenario)


def test_another_voice_is_another_prompt() -> None:
    async def scenario() -> None:
        parrot = Parrot()
        synthesizer = CachingSynthesizer(parrot, PromptCache(None))
        await say(synthesizer, "您好")
        await say(synthesizer, "您好", SynthesisOptions(provider="p", model="m", speaker="t"))
        assert len(parrot.asked) == 2
        await synthesizer.close()

    run(scenario)


def test_a_failed_synthesis_is_not_kept() -> None:
    async def scenario() -> None:
        parrot = Parrot()
        synthesizer = CachingSynthesizer(parrot, PromptCache(None))
        parrot.fails = True
        assert (await say(synthesizer, "您好")).failure is not None
        parrot.fails = False
        assert (await say(synthesizer, "您好")).failure is None
        assert len(parrot.asked) == 2
        await synthesizer.close()

    run(scenario)


def test_text_that_comes_later_is_streamed() -> None:
    async def scenario() -> None:
        parrot, heard = Parrot(), Heard()
        synthesizer = CachingSynthesizer(parrot, PromptCache(None))
        stream = synthesizer.open(OPTIONS, heard)
        stream.send("第一句。")
        async with asyncio.timeout(PATIENCE):
            await heard.first.wait()
        stream.send("第二句。")
        stream.finish()
        await heard.end()
        assert bytes(heard.audio).decode("utf-16-le") == "第一句。第二句。"
        assert bytes((await say(synthesizer, "第一句。第二句。")).audio) == bytes(heard.audio)
        assert len(parrot.asked) == 1
        await synthesizer.close()

    run(scenario)


def test_a_cancelled_utterance_says_nothing_more_and_is_not_kept() -> None:
    async def scenario() -> None:
        parrot, heard = Parrot(), Heard()
        synthesizer = CachingSynthesizer(parrot, PromptCache(None))
        stream = synthesizer.open(OPTIONS, heard)
        stream.send("您好")
        stream.finish()
        stream.cancel()
        await say(synthesizer, "再见")
        assert heard.endings == 0
        assert not heard.audio
        await synthesizer.close()

    run(scenario)


@pytest.mark.parametrize("text", ["", "  ", "😀"])
def test_nothing_to_say_is_done_at_once(text: str) -> None:
    async def scenario() -> None:
        parrot = Parrot()
        synthesizer = CachingSynthesizer(parrot, PromptCache(None))
        heard = await say(synthesizer, text)
        assert heard.failure is None
        assert parrot.asked == []
        await synthesizer.close()

    run(scenario)


def test_warmed_prompts_need_no_provider_even_after_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        parrot = Parrot()
        synthesizer = CachingSynthesizer(parrot, PromptCache(tmp_path))
        await synthesizer.warm("您好", OPTIONS)
        await synthesizer.warm("您好", OPTIONS)
        await synthesizer.close()
        again = CachingSynthesizer(Parrot(), PromptCache(tmp_path))
        assert bytes((await say(again, "您好")).audio) == "您好".encode("utf-16-le")
        assert parrot.asked == ["您好"]
        await again.close()

    run(scenario)


def test_a_damaged_file_is_synthesised_again(tmp_path: Path) -> None:
    async def warm() -> None:
        synthesizer = CachingSynthesizer(Parrot(), PromptCache(tmp_path))
        await synthesizer.warm("您好", OPTIONS)
        await synthesizer.close()

    async def say_again() -> None:
        parrot = Parrot()
        synthesizer = CachingSynthesizer(parrot, PromptCache(tmp_path))
        assert bytes((await say(synthesizer, "您好")).audio) == "您好".encode("utf-16-le")
        assert parrot.asked == ["您好"]
        await synthesizer.close()

    run(warm)
    for file in tmp_path.iterdir():
        file.write_bytes(b"damaged")
    run(say_again)


def test_warming_what_cannot_be_synthesised_says_so() -> None:
    async def scenario() -> None:
        parrot = Parrot()
        parrot.fails = True
        synthesizer = CachingSynthesizer(parrot, PromptCache(None))
        with pytest.raises(SpeechFailure):
            await synthesizer.warm("您好", OPTIONS)
        await synthesizer.close()

    run(scenario)


def test_word_times_are_those_of_the_text_that_was_given_not_of_what_is_spoken_of_it() -> None:
    class Timed(Parrot):
        def open(self, options: SynthesisOptions, listener: SynthesisListener) -> SynthesisStream:
            stream = super().open(options, listener)
            words = [SpokenWord(at, at + 1, at, at + 1) for at in range(5)]
            asyncio.get_running_loop().call_soon(listener.on_words, words)
            return stream

    async def scenario() -> None:
        synthesizer = CachingSynthesizer(Timed(), PromptCache(None))
        heard = Heard()
        stream = synthesizer.open(dataclasses.replace(OPTIONS, subtitle=True), heard)
        texts = ["**您**好😀", "，再见"]
        for text in texts:
            stream.send(text)
        stream.finish()
        await heard.end()
        given = "".join(texts)
        assert [given[word.text_start : word.text_end] for word in heard.words] == list("您好，再见")
        await synthesizer.close()

    run(scenario)
