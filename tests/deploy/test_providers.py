"""The doctor's questions to the providers, asked of the stand-in cloud and of small servers that answer as told."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.check import Check, Checks
from deploy.providers import language_model, speech
from sandbox.cloud.chat import MODEL
from sandbox.cloud.server import Cloud
from shared.settings import Settings, load
from tests.sandbox.cloud.clients import PROMPT, run

KEY = "sk-the-right-key"
LOCKED = replace(PROMPT, key=KEY)


@contextmanager
def answering(answers: Mapping[str, tuple[int, object]]) -> Iterator[str]:
    """The URL of a server that answers each path with its status and JSON document, all others with 404."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # WebSocket clients understand no older one

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status, document = answers.get(self.path, (404, {"error": "no such page"}))
            body = document.encode() if isinstance(document, str) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def with_speech(directory: Path, url: str, key: str = KEY) -> Settings:
    given = {"PROVIDER": "aliyun", "ENDPOINT": url, "KEY": key}
    return load({f"WAIHU_{kind}_{name}": value for kind in ("ASR", "TTS") for name, value in given.items()}, directory)


def with_model(directory: Path, url: str, key: str = KEY, model: str = MODEL) -> Settings:
    return load({"WAIHU_LLM_ENDPOINT": url, "WAIHU_LLM_KEY": key, "WAIHU_LLM_MODEL": model}, directory)


async def beside(cloud: Cloud, look: Callable[[Settings], Checks], settings: Settings) -> list[Check]:
    """``look`` blocks, and the cloud shares this loop."""
    return await asyncio.to_thread(lambda: list(look(settings)))


def test_speech_whose_key_is_taken_is_well_and_nothing_was_spent(tmp_path: Path) -> None:
    async def scenario(cloud: Cloud) -> None:
        found = await beside(cloud, speech, with_speech(tmp_path, cloud.aliyun_url))
        assert [check.state for check in found] == ["ok", "ok"], found
        assert cloud.requests == {}

    run(scenario, LOCKED)


def test_a_wrong_key_of_speech_is_named_and_not_shown(tmp_path: Path) -> None:
    async def scenario(cloud: Cloud) -> None:
        found = await beside(cloud, speech, with_speech(tmp_path, cloud.aliyun_url, "sk-a-wrong-key"))
        assert [(check.state, check.fix) for check in found] == [
            ("fail", "correct WAIHU_ASR_KEY"),
            ("fail", "correct WAIHU_TTS_KEY"),
        ]
        assert all("the key is refused" in check.detail and "wrong-key" not in check.detail for check in found)

    run(scenario, LOCKED)


@pytest.mark.parametrize(("status", "advice"), [(404, "correct WAIHU_ASR_ENDPOINT"), (503, "try again later")])
def test_an_endpoint_that_is_no_speech_service_is_named(tmp_path: Path, status: int, advice: str) -> None:
    with answering({"/inference": (status, {})}) as address:
        recognition, _ = speech(with_speech(tmp_path, f"ws://{address}/inference"))
    assert recognition.state == "fail"
    assert f"HTTP {status}" in recognition.detail
    assert advice in recognition.fix


def test_a_language_model_whose_key_is_taken_is_well(tmp_path: Path) -> None:
    async def scenario(cloud: Cloud) -> None:
        assert (await beside(cloud, language_model, with_model(tmp_path, cloud.openai_url)))[0].state == "ok"
        (wrong,) = await beside(cloud, language_model, with_model(tmp_path, cloud.openai_url, "sk-a-wrong-key"))
        assert (wrong.state, wrong.fix) == ("fail", "correct WAIHU_LLM_KEY")
        assert cloud.requests == {"models": 1, "denied": 1}

    run(scenario, LOCKED)


def test_a_model_that_is_not_listed_is_told(tmp_path: Path) -> None:
    async def scenario(cloud: Cloud) -> None:
        (found,) = await beside(cloud, language_model, with_model(tmp_path, cloud.openai_url, model="qwen-plsu"))
        assert found.state == "warn"
        assert "WAIHU_LLM_MODEL" in found.fix

    run(scenario, LOCKED)


@pytest.mark.parametrize(
    ("answers", "state", "said"),
    [
        ({}, "fail", "correct WAIHU_LLM_ENDPOINT"),
        ({"/v1/models": (500, {})}, "fail", "HTTP 500"),
        ({"/v1/models": (429, {})}, "fail", "look at the account"),
        ({"/v1/models": (200, "<html>a web site</html>")}, "fail", "correct WAIHU_LLM_ENDPOINT"),
        ({"/v1/chat/completions": (400, {"error": "no messages"})}, "ok", "lists no models"),
        ({"/v1/chat/completions": (401, {})}, "fail", "correct WAIHU_LLM_KEY"),
        ({"/v1/chat/completions": (502, {})}, "fail", "HTTP 502"),
    ],
)
def test_what_a_model_server_answers_is_told(
    tmp_path: Path, answers: dict[str, tuple[int, object]], state: str, said: str
) -> None:
    with answering(answers) as address:
        (found,) = language_model(with_model(tmp_path, f"http://{address}/v1"))
    assert found.state == state, found
    assert said in f"{found.detail} {found.fix}", found
