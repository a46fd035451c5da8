"""The thinking mind: against a scripted model for its faults, and the stand-in cloud for the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from media.agent.chat import ChatFailure, Message, OpenAiChat, ToolCall
from media.agent.llm import FIRST_WORD_SECONDS, LlmBrain
from media.protocol.commands import AnyCommand
from sandbox.cloud.config import CloudConfig
from sandbox.cloud.server import serve_cloud

from .conftest import Call

PATIENCE = 20.0

Part = str | ToolCall | ChatFailure | asyncio.Event
BROKEN = ChatFailure("connect", "is away", retryable=True)


class Script:
    """A Chat that answers each request with the next list of parts, and remembers what it was asked."""

    def __init__(self, *answers: Sequence[Part]) -> None:
        self.answers = list(answers)
        self.requests: list[list[Message]] = []
        self.cancelled = 0
        self.asked = asyncio.Event()

    async def stream(
        self, messages: Sequence[Message], tools: Sequence[dict[str, Any]]
    ) -> AsyncIterator[str | ToolCall]:
        self.requests.append([dict(message) for message in messages])
        self.asked.set()
        try:
            for part in self.answers.pop(0):
                await asyncio.sleep(0)
                if isinstance(part, ChatFailure):
                    raise part
                if isinstance(part, asyncio.Event):
                    await part.wait()
                else:
                    yield part
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def close(self) -> None:
        pass


class Talk(Call):
    """A call whose test can wait for what the model brings about."""

    def __init__(self, chat: Script | OpenAiChat) -> None:
        self._changed = asyncio.Event()
        super().__init__("客服助手", brain=lambda host, book, fields, call: LlmBrain(host, call, book, fields, chat))

    def say(self, text: str, **more: Any) -> str:
        self._changed.set()
        return super().say(text, **more)

    def submit(self, command: AnyCommand) -> None:
        self._changed.set()
        super().submit(command)

    def note_tag(self, name: str, value: str = "") -> None:
        self._changed.set()
        super().note_tag(name, value)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def answered(self) -> str:
        """Waits until our answer is complete, and lets it be heard."""
        await self.until(lambda: self.over or (self._voice is not None and not self._voice.open))
        return self.listen()

    async def begin(self) -> Talk:
        self.answer()
        self.wait(0.9)
        self.listen()
        return self


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 2 * PATIENCE))  # type: ignore[arg-type]


def test_an_answer_is_spoken_sentence_by_sentence_while_it_is_still_being_thought() -> None:
    async def scenario() -> None:
        rest = asyncio.Event()
        chat = Script(["您好，", "我是来确认", "预约的。", rest, "请问您方便吗？"])
        call = await Talk(chat).begin()
        call.speak("喂")
        await call.until(lambda: call._voice is not None and call._voice.text == "您好，我是来确认预约的。")
        rest.set()
        assert await call.answered() == "您好，我是来确认预约的。请问您方便吗？"

    run(scenario)


def test_the_model_is_told_the_ticket_and_all_that_was_said() -> None:
    async def scenario() -> None:
        chat = Script(["好的，张三先生。"], ["明天下午三点。"])
        call = await Talk(chat).begin()
        call.speak("我是")
        await call.answered()
        call.speak("几点？")
        await call.answered()
        system, *rest = chat.requests[1]
        assert system["role"] == "system"
        assert "工单内容：提醒您明天下午三点" in system["content"]
        assert [(message["role"], message["content"]) for message in rest] == [
            ("assistant", "您好，请问是张三吗？我是客服中心的智能助手。"),
            ("user", "我是"),
            ("assistant", "好的，张三先生。"),
            ("user", "几点？"),
        ]

    run(scenario)


def test_an_interrupted_answer_is_remembered_only_as_far_as_it_was_heard() -> None:
    async def scenario() -> None:
        chat = Script(["这件事情说来话长，我慢慢跟您解释一下好不好。"], ["好的。"])
        call = await Talk(chat).begin()
        call.speak("什么事")
        await call.until(lambda: call._voice is not None and not call._voice.open)
        call.wait(1.5)
        call.speak("你说重点")
        await call.answered()
        cut = [message for message in chat.requests[1] if message["role"] == "assistant"][-1]
        heard = [turn.content for turn in call.turns if turn.cut]
        assert cut["content"] == heard[0]
        assert 4 <= len(heard[0]) < 12
        told = chat.requests[1][-1]["content"]
        assert told.endswith("你说重点")
        assert "我慢慢跟您解释一下好不好。" in told
        assert heard[0] not in told

    run(scenario)


def test_an_answer_interrupted_while_it_is_thought_of_goes_no_further() -> None:
    async def scenario() -> None:
        never = asyncio.Event()
        chat = Script(["这件事情说来话长，", never, "后面的话没有人听到。"], ["好的。"])
        call = await Talk(chat).begin()
        call.speak("什么事")
        await call.until(lambda: call._voice is not None and call._voice.text != "")
        call.wait(1.5)
        call.speak("你说重点")
        assert await call.answered() == "好的。"
        assert chat.cancelled == 1
        assert chat.requests[1][-2]["content"] in "这件事情说来话长，"

    run(scenario)


def test_a_customer_who_goes_on_before_the_answer_is_understood_as_a_whole() -> None:
    async def scenario() -> None:
        never = asyncio.Event()
        chat = Script([never, "不会有人听到"], ["好的，改到周三。"])
        call = await Talk(chat).begin()
        call.speak("我想改一下时间")
        await chat.asked.wait()
        call.speak("改到周三")
        assert await call.answered() == "好的，改到周三。"
        users = [message["content"] for message in chat.requests[-1] if message["role"] == "user"]
        assert users == ["我想改一下时间，改到周三"]

    run(scenario)


def test_hanging_up_waits_for_the_goodbye() -> None:
    async def scenario() -> None:
        chat = Script(["好的，打扰您了，再见。", ToolCall("1", "hang_up", '{"reason": "done"}')])
        call = await Talk(chat).begin()
        call.speak("没事了")
        await call.until(lambda: call._voice is not None and not call._voice.open)
        assert not call.over
        call.listen()
        assert call.over
        assert call.said[-1] == "好的，打扰您了，再见。"

    run(scenario)


def test_hanging_up_without_a_word_still_says_goodbye() -> None:
    async def scenario() -> None:
        chat = Script([ToolCall("1", "hang_up", "")])
        call = await Talk(chat).begin()
        call.speak("没事了")
        assert "再见" in await call.answered()
        assert call.over

    run(scenario)


def test_tools_note_outcomes_and_the_model_speaks_after_them() -> None:
    async def scenario() -> None:
        chat = Script(
            [
                ToolCall("1", "callback_wanted", '{"when": "下午三点"}'),
                ToolCall("2", "tag_outcome", '{"name": "satisfied", "value": 5}'),
            ],
            ["好的，记下了。"],
        )
        call = await Talk(chat).begin()
        call.speak("下午三点再说吧")
        assert await call.answered() == "好的，记下了。"
        assert call.tags == [("callback_wanted", "下午三点"), ("satisfied", "5")]
        assert [message["role"] for message in chat.requests[1]][-3:] == ["assistant", "tool", "tool"]

    run(scenario)


def test_tools_without_words_are_bounded() -> None:
    async def scenario() -> None:
        tool = [ToolCall("1", "tag_outcome", '{"name": "resolved"}')]
        chat = Script(tool, tool, tool, ["不会到这里"])
        call = await Talk(chat).begin()
        call.speak("嗯？是什么")
        await call.until(lambda: len(call.tags) == 3)
        call.wait(7.5)
        assert "还在听吗" in call.listen()
        assert len(chat.requests) == 3

    run(scenario)


def test_a_model_that_goes_round_in_a_circle_is_stopped_with_a_goodbye() -> None:
    async def scenario() -> None:
        chat = Script(["还有其他问题吗？"], ["还有其他问题吗？"], ["还有其他问题吗？"])
        call = await Talk(chat).begin()
        for said in ("好的", "可以", "行"):
            call.speak(said)
            await call.answered()
        assert call.over
        assert "再见" in call.said[-1]

    run(scenario)


@pytest.mark.parametrize("name", ["客户说好的", "UPPER", "", "unknown_outcome", "a b"])
def test_an_outcome_that_no_program_could_read_is_not_noted(name: str) -> None:
    async def scenario() -> None:
        chat = Script([ToolCall("1", "tag_outcome", json.dumps({"name": name}))], ["好的。"])
        call = await Talk(chat).begin()
        call.speak("你说")
        await call.answered()
        assert call.tags == []
        assert "name 应为 confirmed" in chat.requests[1][-1]["content"]

    run(scenario)


@pytest.mark.parametrize("arguments", ["{", "[1]", '"x"'])
def test_a_tool_called_wrongly_is_told_so_and_does_nothing(arguments: str) -> None:
    async def scenario() -> None:
        chat = Script([ToolCall("1", "tag_outcome", arguments), ToolCall("2", "format_disk", "{}")], ["好的。"])
        call = await Talk(chat).begin()
        call.speak("你说")
        await call.answered()
        assert call.tags == []
        assert "参数" in chat.requests[1][-1]["content"]

    run(scenario)


def test_who_wants_no_more_calls_never_reaches_the_model() -> None:
    async def scenario() -> None:
        chat = Script()
        call = await Talk(chat).begin()
        call.speak("不要再给我打电话了")
        call.listen()
        assert call.over
        assert call.tags[0][0] == "do_not_call"
        assert chat.requests == []

    run(scenario)


def test_the_models_own_do_not_call_ends_the_call_politely() -> None:
    async def scenario() -> None:
        chat = Script(["明白，非常抱歉。", ToolCall("1", "do_not_call_again", "{}")])
        call = await Talk(chat).begin()
        call.speak("烦死了，天天这样")
        assert "再见" in await call.answered()
        assert call.over
        assert call.tags == [("do_not_call", "")]

    run(scenario)


def test_a_model_that_fails_once_is_asked_again() -> None:
    async def scenario() -> None:
        chat = Script([BROKEN], ["好的，没问题。"])
        call = await Talk(chat).begin()
        call.speak("你说")
        assert await call.answered() == "好的，没问题。"

    run(scenario)


def test_a_model_that_is_away_ends_the_call_with_an_apology() -> None:
    async def scenario() -> None:
        chat = Script([BROKEN], [BROKEN])
        call = await Talk(chat).begin()
        call.speak("你说")
        assert "稍后再和您联系" in await call.answered()
        assert call.over
        assert call.tags == [("agent_failed", "")]

    run(scenario)


def test_a_model_that_says_nothing_in_time_ends_the_call_with_an_apology() -> None:
    async def scenario() -> None:
        chat = Script([asyncio.Event()])
        call = await Talk(chat).begin()
        call.speak("你说")
        call.wait(FIRST_WORD_SECONDS + 0.1)
        call.listen()
        call.wait(20)
        assert call.over
        assert any("稍后再和您联系" in said for said in call.said)

    run(scenario)


def test_a_slow_model_is_covered_by_a_word_of_patience() -> None:
    async def scenario() -> None:
        think = asyncio.Event()
        chat = Script([think, "查到了，是明天。"])
        call = await Talk(chat).begin()
        call.speak("是哪天")
        call.wait(1.5)
        think.set()
        assert await call.answered() == "嗯，您稍等一下。查到了，是明天。"

    run(scenario)


def test_an_answer_that_breaks_off_is_left_standing() -> None:
    async def scenario() -> None:
        chat = Script(["您的预约是明天下午三点，", BROKEN], ["好的。"])
        call = await Talk(chat).begin()
        call.speak("是哪天")
        assert await call.answered() == "您的预约是明天下午三点，"
        call.speak("好")
        assert await call.answered() == "好的。"

    run(scenario)


# --- over the wire -------------------------------------------------------------------------------------------------


def test_a_whole_conversation_with_the_stand_in_model() -> None:
    async def scenario() -> None:
        cloud = await serve_cloud(config=CloudConfig(chat_first_token=0.001, chat_token=0.001))
        chat = OpenAiChat(cloud.openai_url, "k", "m")
        call = await Talk(chat).begin()
        call.speak("对，我是。")
        assert len(await call.answered()) > 5
        call.speak("没事了，再见")
        assert "再见" in await call.answered()
        assert call.over
        await chat.close()
        await cloud.close()

    run(scenario)


@pytest.mark.parametrize("fault", ["fail", "error_500", "error_429", "garbage", "close", "fail_stream"])
def test_every_fault_of_the_wire_ends_in_words_and_never_in_silence(fault: str) -> None:
    async def scenario() -> None:
        cloud = await serve_cloud(config=CloudConfig(chat_first_token=0.001, chat_token=0.001))
        cloud.faults.set("chat", fault)  # type: ignore[arg-type]
        chat = OpenAiChat(cloud.openai_url, "k", "m")
        call = await Talk(chat).begin()
        for _ in range(2):
            if not call.over:
                call.speak("你说说看什么情况")
                await call.answered()
        assert call.over
        assert "稍后再和您联系" in call.said[-1]
        await chat.close()
        await cloud.close()

    run(scenario)


def test_a_wrong_key_is_no_reason_to_try_again() -> None:
    async def scenario() -> None:
        cloud = await serve_cloud(config=CloudConfig(key="right"))
        chat = OpenAiChat(cloud.openai_url, "wrong", "m")
        with pytest.raises(ChatFailure, match="HTTP 401") as caught:
            async for _ in chat.stream([{"role": "user", "content": "你好"}], []):
                pass
        assert not caught.value.retryable
        await chat.close()
        await cloud.close()

    run(scenario)


def test_nobody_listening_is_a_connect_failure() -> None:
    async def scenario() -> None:
        chat = OpenAiChat("http://127.0.0.1:1/v1", "", "m")
        with pytest.raises(ChatFailure, match="cannot be reached"):
            async for _ in chat.stream([{"role": "user", "content": "你好"}], []):
                pass
        await chat.close()

    run(scenario)
