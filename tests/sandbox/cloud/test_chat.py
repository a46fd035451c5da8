"""The OpenAI stand-in, driven by OpenAI's own client."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI

from sandbox.cloud.chat import MODEL
from sandbox.cloud.server import Cloud, CloudConfig
from tests.sandbox.cloud.clients import PROMPT, Json, run

SYSTEM = {"role": "system", "content": "客户姓名：张三\n公司：顺风快递\n工单内容：宽带无法上网"}
GREETING = {"role": "assistant", "content": "您好，请问是张三吗？"}
STOP = {"role": "user", "content": "不要再打了"}
YES = {"role": "user", "content": "是的"}
TOOLS = [
    {
        "type": "function",
        "function": {"name": name, "description": "", "parameters": {"type": "object", "properties": part}},
    }
    for name, part in (("hang_up", {}), ("do_not_call_again", {"reason": {"type": "string"}}))
]

Scenario = Callable[[Cloud, AsyncOpenAI], Awaitable[None]]


def talk(scenario: Scenario, config: CloudConfig = PROMPT, key: str = "any-key") -> None:
    async def with_client(cloud: Cloud) -> None:
        async with AsyncOpenAI(base_url=cloud.openai_url, api_key=key, max_retries=0, timeout=20) as client:
            await scenario(cloud, client)

    run(with_client, config)


class Streamed:
    """What a streamed completion added up to."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.calls: dict[int, list[str]] = {}
        self.reason: str | None = None
        self.usage: int | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)


async def stream(client: AsyncOpenAI, *messages: Json, **options: object) -> Streamed:
    got = Streamed()
    chunks = await client.chat.completions.create(  # type: ignore[call-overload]
        model="any-model", messages=list(messages), stream=True, **options
    )
    async for chunk in chunks:
        got.usage = chunk.usage.total_tokens if chunk.usage else got.usage
        for choice in chunk.choices:
            if choice.delta.content:
                got.pieces.append(choice.delta.content)
            for call in choice.delta.tool_calls or []:
                parts = got.calls.setdefault(call.index, [call.id or "", call.function.name or "", ""])
                parts[2] += call.function.arguments or ""
            got.reason = choice.finish_reason or got.reason
    return got


def test_it_answers_about_the_ticket_token_by_token() -> None:
    async def scenario(cloud: Cloud, client: AsyncOpenAI) -> None:
        got = await stream(client, SYSTEM)
        assert "张三" in got.text
        assert "宽带无法上网" in got.text
        assert len(got.pieces) > 8
        assert got.reason == "stop"
        assert cloud.requests["chat"] == 1

    talk(scenario)


def test_tools_are_called_in_deltas_as_openai_sends_them() -> None:
    async def scenario(cloud: Cloud, client: AsyncOpenAI) -> None:
        got = await stream(client, SYSTEM, GREETING, STOP, tools=TOOLS)
        assert [call[1] for call in got.calls.values()] == ["do_not_call_again", "hang_up"]
        assert json.loads(got.calls[0][2]) == {"reason": "不要再打了"}
        assert json.loads(got.calls[1][2]) == {}
        assert all(call[0].startswith("call_") for call in got.calls.values())
        assert got.reason == "tool_calls"
        assert "再见" in got.text

    talk(scenario)


def test_tools_that_are_not_offered_or_forbidden_are_not_called() -> None:
    async def scenario(cloud: Cloud, client: AsyncOpenAI) -> None:
        assert (await stream(client, SYSTEM, GREETING, STOP)).calls == {}
        assert (await stream(client, SYSTEM, GREETING, STOP, tools=TOOLS, tool_choice="none")).calls == {}

    talk(scenario)


def test_a_whole_answer_says_the_same_as_a_streamed_one() -> None:
    async def scenario(cloud: Cloud, client: AsyncOpenAI) -> None:
        streamed = await stream(client, SYSTEM, GREETING, STOP, tools=TOOLS)
        request: Json = {"model": "any-model", "messages": [SYSTEM, GREETING, STOP], "tools": TOOLS}
        whole: Any = await client.chat.completions.create(**request)
        message = whole.choices[0].message
        assert message.content == streamed.text
        assert [call.function.name for call in message.tool_calls] == ["do_not_call_again", "hang_up"]
        assert whole.choices[0].finish_reason == "tool_calls"
        assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens

    talk(scenario)


def test_usage_comes_last_when_asked_for() -> None:
    async def scenario(cloud: Cloud, client: AsyncOpenAI) -> None:
        assert (await stream(client, SYSTEM, YES, stream_options={"include_usage": True})).usage
        assert (await stream(client, SYSTEM, YES)).usage is None

    talk(scenario)


def test_a_limit_of_tokens_cuts_the_answer() -> None:
    async def scenario(cloud: Cloud, client: AsyncOpenAI) -> None:
        got = await stream(client, SYSTEM, max_tokens=3)
        assert len(got.pieces) == 3
        assert got.reason == "length"

    talk(scenario)


def test_models_are_listed() -> None:
    async def scenario(cloud: Cloud, client: AsyncOpenAI) -> None:
        assert [model.id for model in (await client.models.list()).data] == [MODEL]

    talk(scenario)


def test_a_wrong_key_is_refused_in_openais_shape() -> None:
    async def scenario(cloud: Cloud, client: AsyncOpenAI) -> None:
        with pytest.raises(openai.AuthenticationError) as caught:
            await stream(client, YES)
        assert caught.value.code == "invalid_api_key"
        assert cloud.requests["denied"] == 1

    talk(scenario, CloudConfig(key="right"), key="wrong")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[]", "body"),
        (b"\xff", None),
        (b'{"messages": [{}]}', "model"),
        (b'{"model": "m"}', "messages"),
        (b'{"model": "m", "messages": ["hello"]}', "messages"),
        (b'{"model": "m", "messages": [{}], "tools": {}}', "tools"),
        (b'{"model": "m", "messages": [{}], "max_tokens": 0}', "max_tokens"),
    ],
)
def test_a_bad_request_is_400_and_names_the_parameter(body: bytes, param: str | None) -> None:
    async def scenario(cloud: Cloud) -> None:
        async with httpx2.AsyncClient(headers={"Authorization": "Bearer k"}) as client:
            answer = await client.post(f"{cloud.openai_url}/chat/completions", content=body)
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert (error["type"], error["param"]) == ("invalid_request_error", param)

    run(scenario)


class TestFaults:
    """What OpenAI's client makes of each fault."""

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            ("fail", openai.BadRequestError),
            ("error_500", openai.InternalServerError),
            ("error_429", openai.RateLimitError),
            ("fail_stream", openai.APIError),
            ("close", openai.APIConnectionError),
            ("garbage", json.JSONDecodeError),
        ],
    )
    def test_an_error(self, fault: str, error: type[Exception]) -> None:
        async def scenario(cloud: Cloud, client: AsyncOpenAI) -> None:
            cloud.faults.set("chat", fault, times=1)  # type: ignore[arg-type]
            with pytest.raises(error):
                await stream(client, SYSTEM)
            assert (await stream(client, SYSTEM)).reason == "stop"

        talk(scenario)

    def test_a_hang_before_the_first_byte(self) -> None:
        async def scenario(cloud: Cloud, client: AsyncOpenAI) -> None:
            cloud.faults.set("chat", "hang_start")
            with pytest.raises(openai.APITimeoutError):
                await stream(client.with_options(timeout=0.2), SYSTEM)

        talk(scenario)

    def test_a_hang_in_mid_stream(self) -> None:
        async def scenario(cloud: Cloud, client: AsyncOpenAI) -> None:
            cloud.faults.set("chat", "hang_stream")
            request = {"model": "m", "messages": [SYSTEM], "stream": True}
            chunks = await client.chat.completions.create(**request)  # type: ignore[call-overload]
            for _ in range(3):
                await anext(chunks)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(chunks), 0.1)
            await chunks.close()

        talk(scenario)

    def test_slow_is_slow_and_right(self) -> None:
        async def scenario(cloud: Cloud, client: AsyncOpenAI) -> None:
            cloud.faults.set("chat", "slow")
            assert (await stream(client, SYSTEM)).reason == "stop"

        talk(scenario)

    @pytest.mark.parametrize("fault", ["close", "garbage"])
    def test_a_whole_answer_that_breaks(self, fault: str) -> None:
        async def scenario(cloud: Cloud, client: AsyncOpenAI) -> None:
            cloud.faults.set("chat", fault)  # type: ignore[arg-type]
            with pytest.raises((openai.APIError, json.JSONDecodeError)):
                await client.chat.completions.create(model="m", messages=[SYSTEM])  # type: ignore[list-item]

        talk(scenario)


@pytest.mark.parametrize(
    ("taken", "refused"), [("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")]
)
def test_a_model_may_know_the_limit_by_one_name_only(taken: Any, refused: str) -> None:
    async def scenario(cloud: Cloud, client: AsyncOpenAI) -> None:
        assert len((await stream(client, SYSTEM, **{taken: 3})).pieces) == 3
        with pytest.raises(openai.BadRequestError, match=f"Use '{taken}' instead") as caught:
            await stream(client, SYSTEM, **{refused: 3})
        assert (caught.value.param, caught.value.code) == (refused, "unsupported_parameter")

    talk(scenario, replace(PROMPT, chat_limit=taken))
