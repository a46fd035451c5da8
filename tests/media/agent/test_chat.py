"""What OpenAI-compatible servers send, and what is made of it: over a real socket, byte for byte."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from media.agent.chat import ChatFailure, OpenAiChat, ToolCall
from sandbox.cloud.config import CloudConfig
from sandbox.cloud.server import serve_cloud

Json = dict[str, Any]
Part = str | ToolCall
MESSAGES = [{"role": "user", "content": "喂"}]
DO_NOT_CALL = ToolCall("a", "do_not_call_again", "{}")
HANG_UP = ToolCall("b", "hang_up", "{}")


def chunk(delta: Json | None, reason: str | None = None, **more: Any) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}


def calls(*parts: Json) -> Json:
    return chunk({"tool_calls": list(parts)})


def call(name: str | None, arguments: object = None, **more: Any) -> Json:
    """A piece of a call; ``index`` and ``id`` are as given, or not there."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {"type": "function", "function": function, **more}


STOP = chunk({}, "stop")


@asynccontextmanager
async def serving(*chunks: Json | bytes) -> AsyncIterator[OpenAiChat]:
    """A server that streams these chunks to everyone, and a chat with it."""
    data = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in (*chunks, b"[DONE]")]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = re.search(rb"content-length: (\d+)", await reader.readuntil(b"\r\n\r\n"), re.IGNORECASE)
        assert length is not None
        await reader.readexactly(int(length[1]))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        writer.write(b"".join(b"data: " + each + b"\n\n" for each in data))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        chat = OpenAiChat(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", "", "m")
        yield chat
        await chat.close()


def told(*chunks: Json | bytes) -> list[Part]:
    async def scenario() -> list[Part]:
        async with asyncio.timeout(20), serving(*chunks) as chat:
            return [part async for part in chat.stream(MESSAGES, [])]

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    "parts",
    [
        [calls(call("do_not_call_again", "{}", index=0, id="a"), call("hang_up", "{}", index=1, id="b"))],
        [calls(call("do_not_call_again", "{}", id="a"), call("hang_up", "{}", id="b"))],
        [calls(call("do_not_call_again", "{}", index=None, id="a")), calls(call("hang_up", "{}", index=None, id="b"))],
        [calls(call("do_not_call_again", "{}", index=0, id="a")), calls(call("hang_up", "{}", index=0, id="b"))],
        [
            calls(call("do_not_call_again", "{", index=0, id="a")),
            calls(call("do_not_call_again", "}", index=0, id="a")),
            calls(call("hang_up", "{", index=1, id="b")),
            calls(call("hang_up", "}", index=1, id="b")),
        ],
        [
            calls(call("do_not_call_again", "", id="a")),
            calls(call(None, "{")),
            calls(call(None, "}")),
            calls(call("hang_up", "", id="b")),
            calls(call(None, "{}")),
        ],
        [
            calls(call("do_not_call_again", "{", index=0, id="a"), call("hang_up", "{", index=1, id="b")),
            calls(call(None, "}", index=1), call(None, "}", index=0)),
        ],
        [calls(call("do_not_call_again", {}, index=0, id="a"), call("hang_up", {}, index=1, id="b"))],
    ],
    ids=["openai", "no index", "null", "all 0", "repeated", "ids first", "in turn", "objects"],
)
def test_two_tools_are_two_however_a_server_numbers_them(parts: list[Json]) -> None:
    assert told(*parts, STOP) == [DO_NOT_CALL, HANG_UP]


@pytest.mark.parametrize(
    "parts",
    [
        [calls(call("do_not_call_again", "{}", index=0)), calls(call("hang_up", "{}", index=0))],
        [calls(call("do_not_call_again", "{}", id=""), call("hang_up", "{}", id=""))],
        [calls(call("do_not_call_again"), call("hang_up", "{}"))],
    ],
)
def test_without_ids_another_name_is_another_call(parts: list[Json]) -> None:
    got = [part for part in told(*parts, STOP) if isinstance(part, ToolCall)]
    assert [part.name for part in got] == ["do_not_call_again", "hang_up"]
    assert len({part.identity for part in got}) == 2


def test_the_same_tool_called_twice_without_ids_is_called_twice() -> None:
    tags = [call("tag_outcome", json.dumps({"name": name}), index=0) for name in ("one", "two")]
    got = [part for part in told(*map(calls, tags), STOP) if isinstance(part, ToolCall)]
    assert [json.loads(part.arguments)["name"] for part in got] == ["one", "two"]


@pytest.mark.parametrize(
    "last",
    [
        [STOP, chunk({}, choices=[])],
        [STOP, chunk({}, choices=None)],
        [STOP, {"id": "1", "object": "chat.completion.chunk", "usage": {"prompt_tokens": 1}}],
        [chunk(None, "stop")],
        [chunk({"content": None, "tool_calls": None}, "stop")],
    ],
    ids=["none", "null", "absent", "no delta", "nulls"],
)
def test_a_last_chunk_without_a_word_spoils_nothing(last: list[Json]) -> None:
    assert told(chunk({"content": "好的。"}), calls(call("hang_up", "{}", index=0, id="b")), *last) == [
        "好的。",
        HANG_UP,
    ]


def test_a_character_in_two_halves_is_whole_and_half_a_one_is_replaced() -> None:
    halves = (json.dumps(chunk({"content": text})).encode() for text in ("好\ud83d", "\ude00的", "\ud83d"))
    parts = [part for part in told(*halves, STOP) if isinstance(part, str)]
    assert "".join(parts) == "好😀的\ufffd"
    assert all(part.encode() for part in parts)


def test_what_a_tool_is_called_with_can_be_written_down() -> None:
    broken = calls(call("hang_up\ud83d", '{"reason": "\0"}', index=0, id="\udc00"))
    assert told(broken, STOP) == [ToolCall("\ufffd", "hang_up\ufffd", '{"reason": "\ufffd"}')]


def test_an_error_in_mid_stream_is_a_failure() -> None:
    async def scenario() -> None:
        error = {"error": {"message": "overloaded", "type": "server_error", "code": 500}}
        async with serving(chunk({"content": "您好"}), error) as chat:
            with pytest.raises(ChatFailure, match="closed"):
                [part async for part in chat.stream(MESSAGES, [])]

    asyncio.run(scenario())


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 40))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_longest_answer_is_called_as_the_model_wants_it(name: Any) -> None:
    async def scenario() -> None:
        cloud = await serve_cloud(config=CloudConfig(chat_first_token=0.001, chat_token=0.001, chat_limit=name))
        chat = OpenAiChat(cloud.openai_url, "k", "m")
        for _ in range(2):
            assert [part async for part in chat.stream(MESSAGES, [])]
        assert cloud.requests["chat"] == (2 if name == "max_tokens" else 3), "asked again once, and then known"
        await chat.close()
        await cloud.close()

    run(scenario)


def test_a_model_that_wants_the_other_name_again_gets_it() -> None:
    async def scenario() -> None:
        fast = {"chat_first_token": 0.001, "chat_token": 0.001}
        new = await serve_cloud(config=CloudConfig(**fast, chat_limit="max_completion_tokens"))  # type: ignore[arg-type]
        old = await serve_cloud(config=CloudConfig(**fast, chat_limit="max_tokens"))  # type: ignore[arg-type]
        chat = OpenAiChat(new.openai_url, "k", "m")
        assert [part async for part in chat.stream(MESSAGES, [])]
        chat._client.base_url = old.openai_url  # type: ignore[assignment]
        assert [part async for part in chat.stream(MESSAGES, [])]
        assert (new.requests["chat"], old.requests["chat"]) == (2, 2)
        await chat.close()
        await new.close()
        await old.close()

    run(scenario)


def test_any_other_refusal_is_not_asked_again() -> None:
    async def scenario() -> None:
        cloud = await serve_cloud(config=CloudConfig(faults={"chat": "fail"}))
        chat = OpenAiChat(cloud.openai_url, "k", "m")
        with pytest.raises(ChatFailure, match="HTTP 400"):
            [part async for part in chat.stream(MESSAGES, [])]
        assert cloud.requests["chat"] == 1
        await chat.close()
        await cloud.close()

    run(scenario)
