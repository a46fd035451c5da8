"""Nobody is called who could not be talked with: providers are tried when they have failed, against the stand-in cloud."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from media.registry import Registry
from media.speech import standing
from media.speech.ports import RecognitionOptions, SynthesisOptions
from media.speech.providers import Speech, open_speech
from media.speech.standing import Standing
from media.speech.watch import SpeechLimits
from sandbox.cloud.config import CloudConfig
from sandbox.cloud.server import Cloud, serve_cloud
from shared.settings import load

from .conftest import PATIENCE, Heard, Understood

QUICK = SpeechLimits(first_audio=0.2, chunk_gap=0.2)
Scene = Callable[[Standing, Registry, Cloud, Speech, list[bool]], Awaitable[None]]


def try_out(root: Path, scene: Scene) -> None:
    """Runs ``scene`` with a standing, and what it said when it changed."""

    async def scenario() -> None:
        cloud = await serve_cloud(config=CloudConfig(key="right"))
        given = {"PROVIDER": "aliyun", "ENDPOINT": cloud.aliyun_url, "KEY": "right"}
        settings = load(
            {f"WAIHU_{part}_{name}": value for part in ("ASR", "TTS") for name, value in given.items()}, root
        )
        speech, registry, told = open_speech(settings, QUICK), Registry(10), list[bool]()

        async def changed() -> None:
            told.append(registry.conversable)

        try:
            async with asyncio.timeout(2 * PATIENCE):
                await scene(Standing(speech, registry, changed), registry, cloud, speech, told)
        finally:
            await speech.close()
            await cloud.close()

    asyncio.run(scenario())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def test_nobody_is_called_before_speech_was_tried(tmp_path: Path) -> None:
    async def scene(here: Standing, registry: Registry, _cloud: Cloud, _speech: Speech, told: list[bool]) -> None:
        assert (registry.conversable, here.problem) == (False, "speech has not been tried yet")
        await here.look()
        assert (registry.conversable, here.problem, told) == (True, "", [True])

    try_out(tmp_path, scene)


@pytest.mark.parametrize(
    ("service", "fault", "why"),
    [
        ("tts", "hang_start", "synthesis fails"),
        ("tts", "fail", "synthesis fails"),
        ("asr", "fail", "recognition"),
        ("asr", "hang_start", "recognition"),
    ],
)
def test_what_hangs_or_refuses_is_told_once_and_so_is_its_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: str, fault: str, why: str
) -> None:
    monkeypatch.setattr(standing, "PATIENCE_SECONDS", 0.5)

    async def scene(here: Standing, registry: Registry, cloud: Cloud, _speech: Speech, told: list[bool]) -> None:
        await here.look()
        cloud.faults.set(service, fault)  # type: ignore[arg-type]
        for _ in range(2):
            await here.look()
        assert why in here.problem
        assert told == [True, False]
        cloud.faults.clear()
        await here.look()
        assert (here.problem, registry.conversable, told) == ("", True, [True, False, True])

    try_out(tmp_path, scene)


def test_a_call_whose_speech_fails_has_it_tried_and_one_that_works_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "AGAIN_SECONDS", (0.01,))
    monkeypatch.setattr(standing, "REST_SECONDS", 0.0)

    async def scene(here: Standing, registry: Registry, cloud: Cloud, speech: Speech, told: list[bool]) -> None:
        looks = 0
        look = here.look

        async def counted() -> None:
            nonlocal looks
            looks += 1
            await look()

        monkeypatch.setattr(here, "look", counted)
        running = asyncio.ensure_future(here.run())
        await until(lambda: told == [True])
        heard = Heard()
        stream = speech.synthesizer.open(SynthesisOptions(), heard)
        stream.send("您好，请问您在吗？")
        stream.finish()
        await heard.end()
        assert (heard.failure, looks) == (None, 1)
        cloud.faults.set("asr", "fail")
        understood = Understood()
        recognizer = speech.recognizers.open(RecognitionOptions(), understood.on_recognition, understood.on_failure)
        recognizer.push(bytes(1600))
        await until(lambda: told == [True, False])
        cloud.faults.clear()
        await until(lambda: told == [True, False, True])
        assert registry.conversable
        await recognizer.close()
        running.cancel()

    try_out(tmp_path, scene)


def test_an_endpoint_that_a_call_brought_says_nothing_of_ours(tmp_path: Path) -> None:
    async def scene(_here: Standing, _registry: Registry, cloud: Cloud, speech: Speech, _told: list[bool]) -> None:
        heard = Heard()
        theirs = SynthesisOptions(provider="aliyun", endpoint=cloud.aliyun_url + "/theirs", key="wrong")
        stream = speech.synthesizer.open(theirs, heard)
        stream.send("您好")
        stream.finish()
        await heard.end()
        assert heard.failure is not None
        assert not speech.trouble.is_set()

    try_out(tmp_path, scene)
