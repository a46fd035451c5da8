"""The thinking mind: against a scripted model for its faults, and the stand-in cloud for the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from media.agent.agent import MOST_NOISES, Agent
from media.agent.chat import ChatFailure, Message, OpenAiChat, ToolCall
from media.agent.history import BROKEN_NOTE
from media.agent.llm import ANSWER_SECONDS, FIRST_WORD_SECONDS, GAP_SECONDS, LlmBrain
from media.agent.loading import load_playbook
from media.agent.ticket import sample_fields
from media.agent.wording import LETTER_SECONDS
from media.protocol import events
from media.protocol.commands import AnyCommand
from media.turns import TurnRule
from sandbox.cloud.config import CloudConfig
from sandbox.cloud.server import serve_cloud
from tests.media.twins import Scene, with_options

from .conftest import PLAYBOOKS, Call

PATIENCE = 20.0

Part = str | ToolCall | ChatFailure | asyncio.Event
BROKEN = ChatFailure("connect", "is away", retryable=True)


class Script:
    """A Chat that answers each request with the next list of parts, and remembers what it was asked."""

    def __init__(self, *answers: Sequence[Part]) -> None:
        self.answers = list(answers)
        self.requests: list[list[Message]] = []
        self.tools: list[int] = []
        """How many were offered with each request."""
        self.cancelled = 0
        self.asked = asyncio.Event()

    async def stream(
        self, messages: Sequence[Message], tools: Sequence[dict[str, Any]]
    ) -> AsyncIterator[str | ToolCall]:
        self.requests.append([dict(message) for message in messages])
        self.tools.append(len(tools))
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


TOOL = [ToolCall("1", "tag_outcome", '{"name": "resolved"}')]


def test_a_model_that_only_uses_tools_is_asked_for_words_without_any() -> None:
    async def scenario() -> None:
        chat = Script(TOOL, TOOL, TOOL, ["好的，已经解决了。"])
        call = await Talk(chat).begin()
        call.speak("嗯？是什么")
        assert await call.answered() == "好的，已经解决了。"
        assert chat.tools[-2:] == [4, 0]
        assert call.tags == [("resolved", "")] * 3

    run(scenario)


@pytest.mark.parametrize("nothing", [[], ["\n"], ["……", "\n"]])
def test_a_model_that_says_nothing_is_asked_once_more(nothing: list[Part]) -> None:
    async def scenario() -> None:
        chat = Script(nothing, ["好的，张三先生。"], ["再见。"])
        call = await Talk(chat).begin()
        call.speak("对，我是")
        assert await call.answered() == "好的，张三先生。"
        call.speak("你说")
        await call.answered()
        assert told(chat) == [("user", "对，我是"), ("assistant", "好的，张三先生。"), ("user", "你说")]

    run(scenario)


@pytest.mark.parametrize("answers", [[[], []], [TOOL] * 4])
def test_a_model_that_goes_on_saying_nothing_has_failed_and_the_customer_is_not_blamed(
    answers: list[list[Part]],
) -> None:
    async def scenario() -> None:
        call = await Talk(Script(*answers)).begin()
        call.speak("对，我是")
        assert "稍后再和您联系" in await call.answered()
        assert call.over
        assert call.tags[-1] == ("agent_failed", "")

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


def test_of_an_answer_that_breaks_off_the_rest_is_asked_for_and_no_half_piece_said() -> None:
    async def scenario() -> None:
        chat = Script(["好的，帮您查到了，您的订单金额是三百", BROKEN], ["您的订单金额是三百二十元。"], ["再见。"])
        call = await Talk(chat).begin()
        call.speak("多少钱")
        assert await call.answered() == "好的，帮您查到了，您的订单金额是三百二十元。"
        assert told(chat) == [("user", "多少钱"), ("assistant", "好的，帮您查到了，"), ("user", BROKEN_NOTE)]
        call.speak("好")
        await call.answered()
        assert told(chat) == [
            ("user", "多少钱"),
            ("assistant", "好的，帮您查到了，您的订单金额是三百二十元。"),
            ("user", "好"),
        ]

    run(scenario)


def test_an_answer_that_breaks_off_twice_ends_the_call_behind_what_was_said_of_it() -> None:
    async def scenario() -> None:
        chat = Script(["好的，帮您查到了，您的订单金额是三百", BROKEN], [BROKEN])
        call = await Talk(chat).begin()
        call.speak("多少钱")
        said = await call.answered()
        assert said == "好的，帮您查到了，不好意思，我们的系统出了点问题，稍后再和您联系，再见。"
        assert call.over
        assert call.tags == [("agent_failed", "")]

    run(scenario)


async def pass_time(call: Talk, seconds: float) -> None:
    """As the model sees it, too."""
    for _ in range(round(seconds / 0.1)):
        call.wait(0.1)
        await settle()


def test_a_model_that_dries_up_is_asked_again_with_a_word_of_patience() -> None:
    async def scenario() -> None:
        chat = Script(["好的，我来帮您查一下，您的订单", asyncio.Event()], ["查到了，是三十元。"])
        call = await Talk(chat).begin()
        call.speak("多少钱")
        await pass_time(call, LETTER_SECONDS * 10 + GAP_SECONDS - 0.3)
        assert len(chat.requests) == 1
        await pass_time(call, 0.5)
        assert await call.answered() == "好的，我来帮您查一下，嗯，您稍等一下。查到了，是三十元。"
        assert chat.cancelled == 1

    run(scenario)


def test_a_model_that_dries_up_for_good_ends_the_call_within_seconds() -> None:
    async def scenario() -> None:
        chat = Script(["好的，我来帮您查一下，您的订单", asyncio.Event()], [asyncio.Event()])
        call = await Talk(chat).begin()
        call.speak("多少钱")
        await pass_time(call, 20)
        assert call.over
        assert call.said[-1].startswith("好的，我来帮您查一下，嗯，您稍等一下。不好意思，我们的系统出了点问题")
        assert call.tags == [("agent_failed", "")]
        assert call.alarms == 0

    run(scenario)


def test_a_pause_of_the_model_that_nobody_hears_is_none() -> None:
    async def scenario() -> None:
        rest = asyncio.Event()
        chat = Script([LONG_ANSWER, rest, "需要带上原件。"])
        call = await Talk(chat).begin()
        call.speak("是哪天")
        await pass_time(call, 6)
        rest.set()
        assert await call.answered() == LONG_ANSWER + "需要带上原件。"
        assert len(chat.requests) == 1

    run(scenario)


def test_an_answer_without_end_is_ended_and_the_second_one_is_a_failure() -> None:
    async def scenario() -> None:
        never = [f"这是第{number}句话，今天的天气非常好，我们的活动也非常精彩。" for number in range(20)]
        chat = Script([*never, asyncio.Event()], [*never, asyncio.Event()])
        call = await Talk(chat).begin()
        call.speak("你说")
        await pass_time(call, ANSWER_SECONDS + 0.5)
        assert not call.over
        call.listen()
        call.speak("知道了，还有呢")
        await pass_time(call, ANSWER_SECONDS + 0.5)
        call.listen()
        assert call.over
        assert call.tags == [("agent_failed", "")]

    run(scenario)


# --- what we say by ourselves, and after the goodbye ------------------------------------------------------------------


def test_the_model_is_told_of_our_reminder() -> None:
    async def scenario() -> None:
        chat = Script(["请问您方便吗？"], ["我说的是预约。"])
        call = await Talk(chat).begin()
        call.speak("你说")
        await call.answered()
        call.wait(8.5)
        call.listen()
        call.speak("在听，你刚才说什么？")
        await call.answered()
        assert told(chat) == [
            ("user", "你说"),
            ("assistant", "请问您方便吗？您好，请问您还在听吗？"),
            ("user", "在听，你刚才说什么？"),
        ]

    run(scenario)


def test_of_a_reminder_that_is_cut_the_model_is_told_what_was_heard() -> None:
    async def scenario() -> None:
        chat = Script(["请问您方便吗？"], ["我说的是预约。"])
        call = await Talk(chat).begin()
        call.speak("你说")
        await call.answered()
        call.wait(7.5)
        call.speak("在听，你说")
        await call.answered()
        (_, ours), (_, theirs) = told(chat)[-2:]
        assert ours.startswith("请问您方便吗？您好")
        assert not ours.endswith("还在听吗？")
        assert theirs == "在听，你说"

    run(scenario)


def test_what_is_said_again_since_speech_failed_is_remembered_as_it_was_heard_then() -> None:
    async def scenario() -> None:
        chat = Script([LONG_ANSWER], ["好的。"])
        call = await Talk(chat).begin()
        call.speech_fails = 1
        call.speak("是哪天")
        await spoken(call)
        call.wait(0.2 * len(LONG_ANSWER) + 3.0)
        call.speak("等等，你是谁？")
        await call.answered()
        (_, ours), (_, theirs) = told(chat)[1:]
        assert 4 <= len(ours) < len(LONG_ANSWER)
        assert LONG_ANSWER.startswith(ours)
        assert theirs.startswith("（客户打断了你")

    run(scenario)


GOODBYE = "好的，已经帮您记录下来了，感谢您的接听，祝您生活愉快，再见。"
HANG_UP = ToolCall("1", "hang_up", "{}")


@pytest.mark.parametrize("said", ["等一下，先别挂，那个安装费是多少钱？", "那个安装费是多少钱", "安装的事情"])
def test_who_cuts_in_on_the_models_goodbye_is_answered_by_the_model(said: str) -> None:
    async def scenario() -> None:
        chat = Script([GOODBYE, HANG_UP], ["三十元。", ToolCall("2", "hang_up", "{}")])
        call = await Talk(chat).begin()
        call.speak("没事了")
        await spoken(call)
        call.wait(1.5)
        call.speak(said)
        assert (await call.answered()).startswith("三十元。")
        assert call.over
        heard = chat.requests[1][-3]["content"]
        assert GOODBYE.startswith(heard)
        assert chat.requests[1][-1]["content"].endswith(said)
        assert "再见" in chat.requests[1][-1]["content"], "the model is told that its goodbye was not heard"

    run(scenario)


def test_who_thanks_us_into_a_goodbye_that_was_not_heard_hears_it() -> None:
    async def scenario() -> None:
        chat = Script([GOODBYE, HANG_UP])
        call = await Talk(chat).begin()
        call.speak("没事了")
        await spoken(call)
        call.wait(1.5)
        call.speak("嗯，谢谢")
        assert not call.over
        assert (await call.answered()).endswith("再见。")
        assert call.over
        assert len(chat.requests) == 1

    run(scenario)


# --- noises --------------------------------------------------------------------------------------------------------

LONG_ANSWER = "您的预约是明天下午三点。地点在人民广场五号楼，请您带上身份证。请问您能按时到吗？"


async def spoken(call: Talk) -> None:
    """Waits until our answer is complete, and hears the beginning of it."""
    await call.until(lambda: call._voice is not None and not call._voice.open)


async def settle() -> None:
    """Lets the model come as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


def told(chat: Script) -> list[tuple[str, str]]:
    """What the model was told last, but for the prompt and the greeting."""
    return [(message["role"], message["content"]) for message in chat.requests[-1][2:]]


def test_after_a_long_cough_it_goes_on_at_once_with_the_sentence_that_it_cut() -> None:
    async def scenario() -> None:
        chat = Script([LONG_ANSWER], ["好的，再见。"])
        call = await Talk(chat).begin()
        call.speak("是哪天")
        await spoken(call)
        call.wait(3.6)
        call.speak("")
        call.wait(0.1)
        assert call._voice is not None, "without waiting for a reminder"
        assert call.listen() == "地点在人民广场五号楼，请您带上身份证。请问您能按时到吗？"
        call.speak("能")
        await call.answered()
        assert len(chat.requests) == 2, "the model was not asked for it"
        assert told(chat) == [("user", "是哪天"), ("assistant", LONG_ANSWER), ("user", "能")]

    run(scenario)


def test_what_is_interrupted_after_a_cough_is_remembered_as_far_as_it_was_heard_in_all() -> None:
    async def scenario() -> None:
        chat = Script([LONG_ANSWER], ["好的。"])
        call = await Talk(chat).begin()
        call.speak("是哪天")
        await spoken(call)
        call.wait(3.6)
        call.speak("")
        call.wait(3.0)
        call.speak("我知道了，谢谢")
        await call.answered()
        heard = "您的预约是明天下午三点。地点在人民广场五号楼，请您带上身份证。"
        (_, ours), (_, theirs) = told(chat)[1:]
        assert ours.startswith("您的预约是明天下午三点。地点在人民广场五号楼")
        assert heard.startswith(ours)
        assert theirs == f"（客户打断了你，这些话没有听到：“{LONG_ANSWER[len(ours) :].lstrip('，')}”）我知道了，谢谢"

    run(scenario)


def test_a_second_cough_that_comes_sooner_takes_nothing_back() -> None:
    async def scenario() -> None:
        chat = Script([LONG_ANSWER], ["好的。"])
        call = await Talk(chat).begin()
        call.speak("是哪天")
        await spoken(call)
        call.wait(5.0)
        call.speak("")
        call.wait(0.5)
        call.speak("知道了")
        await call.answered()
        assert told(chat)[1][1].startswith("您的预约是明天下午三点。地点在人民广场五号楼")

    run(scenario)


def test_where_it_is_noisy_it_waits_for_words() -> None:
    async def scenario() -> None:
        chat = Script([LONG_ANSWER])
        call = await Talk(chat).begin()
        call.speak("是哪天")
        await spoken(call)
        for _ in range(5):
            call.wait(1.5)
            call.speak("", 0.45)
        assert sum(said.startswith("您的预约") for said in call.said) == 1 + MOST_NOISES
        assert len(chat.requests) == 1

    run(scenario)


def test_a_noise_into_the_first_syllable_does_not_ask_the_model_again() -> None:
    async def scenario() -> None:
        chat = Script([ToolCall("1", "tag_outcome", '{"name": "confirmed"}'), LONG_ANSWER], ["好的。"])
        call = await Talk(chat).begin()
        call.speak("是哪天")
        await spoken(call)
        call.wait(0.1)
        call.speak("", 0.45)
        call.wait(0.1)
        assert call.listen() == LONG_ANSWER
        assert len(chat.requests) == 1
        assert call.tags == [("confirmed", "")]

    run(scenario)


def test_a_cough_while_the_model_still_writes_loses_nothing_of_what_it_wants() -> None:
    async def scenario() -> None:
        rest = asyncio.Event()
        chat = Script(["好的，那就不打扰您了。", rest, "祝您生活愉快，再见。", ToolCall("1", "hang_up", "{}")])
        call = await Talk(chat).begin()
        call.speak("没事了")
        await call.until(lambda: call._voice is not None and call._voice.text != "")
        call.wait(1.5)
        call.speak("")
        rest.set()
        assert await call.answered() == "好的，那就不打扰您了。祝您生活愉快，再见。"
        assert call.over
        assert call.reason == "goodbye"

    run(scenario)


def test_a_tool_that_came_while_we_were_interrupted_is_used_after_a_cough_and_not_after_words() -> None:
    async def scenario(said: str) -> list[tuple[str, str]]:
        go = asyncio.Event()
        chat = Script(
            ["好的，那我帮您记成已确认了。", go, ToolCall("1", "tag_outcome", '{"name": "confirmed"}')], ["好。"]
        )
        call = await Talk(chat).begin()
        call.speak("可以吧")
        await call.until(lambda: call._voice is not None and call._voice.text != "")
        call.wait(1.5)
        call._cut()
        call.deliver()
        go.set()
        await settle()
        assert call.tags == [], "nobody knows yet what the customer says"
        call.speak(said)
        await call.answered()
        return call.tags

    async def both() -> None:
        assert await scenario("") == [("confirmed", "")]
        assert await scenario("等等，我再想想") == []

    run(both)


def test_a_goodbye_that_a_cough_cuts_ends_the_call_all_the_same() -> None:
    async def scenario() -> None:
        chat = Script(["好的，打扰您了，祝您生活愉快，再见。", ToolCall("1", "hang_up", "{}")])
        call = await Talk(chat).begin()
        call.speak("没事了")
        await spoken(call)
        call.wait(1.5)
        call.speak("")
        assert (await call.answered()).endswith("再见。")
        assert call.over
        assert call.reason == "goodbye"

    run(scenario)


@pytest.mark.parametrize("noise", [0.4, 0.7])
def test_who_asks_something_in_a_noisy_place_is_answered_all_the_same(noise: float) -> None:
    async def scenario() -> None:
        think = asyncio.Event()
        chat = Script([think], [think], [think, LONG_ANSWER])
        call = await Talk(chat).begin()
        call.speak("是哪天")
        for _ in range(3):
            await settle()
            call.speak("", noise)
        think.set()
        assert (await call.answered()).endswith(LONG_ANSWER)
        assert [message["content"] for message in chat.requests[-1] if message["role"] == "user"] == ["是哪天"]

    run(scenario)


def test_a_cough_in_a_real_session_is_gone_on_from_and_what_was_heard_is_written() -> None:
    async def scenario() -> None:
        chat = Script([LONG_ANSWER], ["好的，再见。", ToolCall("1", "hang_up", "{}")])
        scene = Scene(with_options(turns=TurnRule()), began=False)
        book, fields = load_playbook(PLAYBOOKS / "客服助手.md"), sample_fields()
        scene.session.start(
            Agent(scene.session, book, fields, lambda host: LlmBrain(host, scene.session, book, fields, chat))
        )

        async def run_for(seconds: float) -> None:
            for _ in range(round(seconds / 0.02)):
                scene.run(0.02)
                await asyncio.sleep(0)

        async def speak(text: str) -> None:
            scene.speech_starts()
            await run_for(0.6)
            if text:
                scene.understood(text, final=True)
            await run_for(0.3)
            scene.speech_ends()
            await run_for(1.5)

        await run_for(8)
        await speak("是哪天？")
        await run_for(2.5)
        await speak("")
        await run_for(0.3)
        assert scene.session.playout.playing is not None, "our voice goes on"
        await run_for(12)
        await speak("能。")
        await run_for(6)
        assert scene.session.over
        ours = [(text, cut) for role, text, cut in scene.recording.turns if role == "assistant"]
        (cut, was_cut), (rest, rest_cut) = ours[1:3]
        assert (was_cut, rest_cut) == (True, False)
        assert LONG_ANSWER.startswith(cut)
        assert LONG_ANSWER.endswith(rest)
        assert len(cut) + len(rest) >= len(LONG_ANSWER)
        assert told(chat) == [("user", "是哪天？"), ("assistant", LONG_ANSWER), ("user", "能。")]

    run(scenario)


def test_the_sound_of_a_key_does_not_put_the_turn_before_it_in_its_place() -> None:
    async def scenario() -> None:
        chat = Script(["好的，请按一确认。"], [asyncio.Event()], ["好的，已经确认。"])
        call = await Talk(chat).begin()
        call.speak("我要确认预约")
        await call.answered()
        call.press("1")
        await settle()
        call.speak("", 0.4)
        assert await call.answered() == "好的，已经确认。"
        assert told(chat)[-1] == ("user", "（按了电话键1）")

    run(scenario)


def test_a_key_that_was_pressed_before_a_wish_never_to_be_called_is_not_answered_after_our_goodbye() -> None:
    async def scenario() -> None:
        chat = Script(["好的，请按一确认，谢谢您。"], ["地址是人民路一号。"])
        call = await Talk(chat).begin()
        call.speak("我要确认预约")
        await call.until(lambda: call._voice is not None and not call._voice.open)
        now = call.clock.now_ms()
        call._emit(events.Dtmf(timestamp=now, track_id="theirs", digit="1"))
        call._emit(
            events.Eou(timestamp=now, track_id="theirs", text="以后别再给我打电话了", start_time=now, end_time=now)
        )
        call.deliver()
        call.wait(0.5)
        assert ("do_not_call", "以后别再给我打电话了") in call.tags
        call._recognise(events.AsrDelta, "等一下", now)
        call._cut()
        call.speak("等一下，地址在哪里？")
        assert await call.answered() == "地址是人民路一号。"
        await settle()
        assert told(chat)[-1] == ("user", "等一下，地址在哪里？")
        assert len(chat.requests) == 2

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
