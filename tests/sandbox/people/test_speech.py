from __future__ import annotations

import asyncio
import logging

import pytest

from sandbox.people.sounds import Pcm
from sandbox.people.speech import EspeakSpeech
from sandbox.voice.modem import Decoder


def test_a_line_is_synthesised_once_and_then_ready_at_once() -> None:
    async def scenario() -> None:
        speech = EspeakSpeech()
        first = await speech.line("几点开始？", 2)
        again: list[Pcm] = []
        speech.prepare("几点开始？", 8, again.append)  # the voices repeat after six
        assert again[0] is first
        assert "".join(heard.text for heard in Decoder(8000).feed(first)) == "几点开始？"
        speech.close()

    asyncio.run(scenario())


def test_a_line_in_the_making_is_delivered_when_it_is_ready() -> None:
    async def scenario() -> None:
        speech = EspeakSpeech()
        ready: asyncio.Queue[Pcm] = asyncio.Queue()
        speech.prepare("好的。", 0, ready.put_nowait)
        pcm = await asyncio.wait_for(ready.get(), 30)
        assert len(pcm) > 1000
        speech.close()

    asyncio.run(scenario())


def test_a_line_that_cannot_be_synthesised_is_said_as_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        speech = EspeakSpeech()
        ready: asyncio.Queue[Pcm] = asyncio.Queue()
        speech.prepare("\ud800", 0, ready.put_nowait)
        assert len(await asyncio.wait_for(ready.get(), 30)) == 0
        speech.close()

    with caplog.at_level(logging.CRITICAL):
        asyncio.run(scenario())
