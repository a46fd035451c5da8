"""Which provider a call gets, with which endpoint and key."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from media.speech import aliyun
from media.speech.ports import RecognitionOptions, SpeechFailure, SynthesisOptions
from media.speech.providers import Speech, open_speech
from sandbox.cloud.config import CloudConfig
from sandbox.cloud.server import Cloud, serve_cloud
from sandbox.voice.speech import utterance
from shared.settings import load

from .conftest import PATIENCE, Heard, Understood


def speech_with(directory: Path, **settings: str) -> Speech:
    return open_speech(load({f"WAIHU_{name.upper()}": value for name, value in settings.items()}, directory))


def pointed_at(cloud: Cloud, directory: Path) -> Speech:
    settings = {"tts_provider": "aliyun", "tts_endpoint": cloud.aliyun_url, "tts_key": "right"}
    settings |= {"asr_provider": "aliyun", "asr_endpoint": cloud.aliyun_url, "asr_key": "right"}
    return speech_with(directory, **settings)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 2 * PATIENCE))  # type: ignore[arg-type]


async def say(speech: Speech, text: str, options: SynthesisOptions) -> Heard:
    heard = Heard()
    stream = speech.synthesizer.open(options, heard)
    stream.send(text)
    stream.finish()
    await heard.end()
    return heard


def test_empty_options_are_filled_from_the_settings(tmp_path: Path) -> None:
    async def scenario() -> None:
        cloud = await serve_cloud(config=CloudConfig(key="right"))
        speech = pointed_at(cloud, tmp_path)
        assert (await say(speech, "您好。", SynthesisOptions())).failure is None
        understood = Understood()
        recognizer = speech.recognizers.open(RecognitionOptions(), understood.on_recognition, understood.on_failure)
        recognizer.push(utterance("你好", 8000).pcm.tobytes())
        recognizer.finish()
        await understood.until(lambda: bool(understood.finals))
        assert "你好" in understood.finals[0].text
        await recognizer.close()
        await speech.close()
        await cloud.close()

    run(scenario)


def test_a_prompt_that_was_warmed_is_said_while_the_provider_is_away(tmp_path: Path) -> None:
    async def scenario() -> None:
        cloud = await serve_cloud(config=CloudConfig(key="right"))
        speech = pointed_at(cloud, tmp_path)
        assert await speech.warm(["不好意思，请您稍等。"], SynthesisOptions(volume=5)) == 0
        await cloud.close()
        heard = await say(speech, "不好意思，请您稍等。", SynthesisOptions())
        assert heard.failure is None
        assert len(heard.audio) > 8000
        assert (await say(speech, "这句没有准备过。", SynthesisOptions())).failure is not None
        assert await speech.warm(["这句也没有。", "还有一句。"], SynthesisOptions()) == 2
        await speech.close()

    run(scenario)


def test_connections_share_a_tls_context_that_is_there_before_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[ssl.SSLContext] = []
    make = ssl.create_default_context

    def counted(*arguments: Any, **options: Any) -> ssl.SSLContext:
        made.append(make(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", counted)
    aliyun.tls.cache_clear()
    speech = speech_with(tmp_path, ASR_PROVIDER="aliyun", ASR_KEY="k")
    assert made == [aliyun.tls()]

    async def scenario() -> None:
        greetings: list[bytes] = []

        async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            greetings.append(await reader.read(3))
            writer.close()

        server = await asyncio.start_server(deaf, "127.0.0.1", 0)
        endpoint = f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for _ in range(2):
            with pytest.raises(SpeechFailure):
                await aliyun.open_connection(endpoint, "k")
        server.close()
        await speech.close()
        assert [greeting[:2] for greeting in greetings] == [b"\x16\x03", b"\x16\x03"], "TLS was spoken"

    run(scenario)
    assert len(made) == 1


def test_a_provider_that_hangs_is_found_out(tmp_path: Path) -> None:
    async def scenario() -> None:
        cloud = await serve_cloud(config=CloudConfig(key="right"))
        cloud.faults.set("tts", "hang_start")
        speech = pointed_at(cloud, tmp_path)
        heard = await say(speech, "您好。", SynthesisOptions())
        assert heard.failure is not None
        assert heard.failure.code in ("first_audio", "connect")
        await speech.close()
        await cloud.close()

    run(scenario)


@pytest.mark.parametrize("provider", ["tencent", "deepgram", "voiceapi"])
def test_a_provider_that_is_not_here_is_refused_by_name(tmp_path: Path, provider: str) -> None:
    async def scenario() -> None:
        speech = speech_with(tmp_path)
        with pytest.raises(SpeechFailure, match=provider) as caught:
            speech.synthesizer.open(SynthesisOptions(provider=provider), Heard())
        assert caught.value.code == "provider"
        with pytest.raises(SpeechFailure, match=provider):
            speech.recognizers.open(
                RecognitionOptions(provider=provider), Understood().on_recognition, Understood().on_failure
            )
        await speech.close()

    run(scenario)


@pytest.mark.parametrize("key", ["", "ours"])
def test_our_key_goes_to_no_endpoint_but_ours(tmp_path: Path, key: str) -> None:
    async def scenario() -> None:
        speech = speech_with(tmp_path, tts_provider="aliyun", tts_key="ours")
        with pytest.raises(SpeechFailure, match="secretKey of its own"):
            speech.synthesizer.open(SynthesisOptions(endpoint="ws://127.0.0.1:1/", key=key), Heard())
        await speech.close()

    run(scenario)


def test_a_call_may_bring_its_own_endpoint_and_key(tmp_path: Path) -> None:
    async def scenario() -> None:
        cloud = await serve_cloud(config=CloudConfig(key="theirs"))
        speech = speech_with(tmp_path, tts_provider="aliyun", tts_key="ours", tts_endpoint="ws://127.0.0.1:1/")
        options = SynthesisOptions(provider="aliyun", endpoint=cloud.aliyun_url, key="theirs")
        assert (await say(speech, "您好。", options)).failure is None
        await speech.close()
        await cloud.close()

    run(scenario)


def test_the_stand_in_plays_the_part_of_the_real_service_and_keeps_no_files(tmp_path: Path) -> None:
    async def scenario() -> None:
        cloud = await serve_cloud()
        speech = speech_with(tmp_path, tts_endpoint=cloud.aliyun_url, tts_key="standin")
        assert speech.synthesis.provider == "standin"
        assert (await say(speech, "您好。", SynthesisOptions(provider="aliyun"))).failure is None
        assert not (tmp_path / "var" / "prompts").exists()
        await speech.close()
        await cloud.close()

    run(scenario)


def test_keys_are_in_no_repr_and_no_message(tmp_path: Path) -> None:
    async def scenario() -> None:
        speech = speech_with(tmp_path, tts_provider="aliyun", tts_key="secret-key", asr_key="secret-key")
        assert "secret-key" not in repr(speech.synthesis) + repr(speech.recognition)
        await speech.close()

    run(scenario)
