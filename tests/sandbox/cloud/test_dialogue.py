"""The rules behind the stand-in chat."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.cloud.dialogue import Facts, Reply, facts, intent, reply

PROMPT = (
    "你是顺风快递的客服，请礼貌简短。\n客户姓名：张三\n公司：顺风快递\n工单内容：宽带无法上网，已派单维修。\n不要编造。"
)


def tool(name: str, **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": properties}}}


TOOLS = [
    tool("hang_up"),
    tool("do_not_call_again", reason={"type": "string"}),
    tool("callback_wanted", when={"type": "string"}),
    tool("tag_outcome", outcome={"type": "string", "enum": ["resolved", "unresolved", "refused", "callback", "other"]}),
]


def ask(said: str, *before: str, tools: list[dict[str, Any]] | None = None) -> Reply:
    messages = [{"role": "system", "content": PROMPT}, {"role": "assistant", "content": "您好，请问是张三吗？"}]
    for place, text in enumerate(before):
        messages.append({"role": ("user", "assistant")[place % 2], "content": text})
    return reply([*messages, {"role": "user", "content": said}], TOOLS if tools is None else tools)


def names(answer: Reply) -> list[str]:
    return [call.name for call in answer.calls]


def test_facts_are_read_from_lines_of_the_prompt() -> None:
    assert facts(PROMPT) == Facts("张三", "顺风快递", "宽带无法上网，已派单维修")
    assert facts('- username: 李四\n- ticketContent: "退款未到账"') == Facts("李四", "", "退款未到账")
    assert facts("没有事实") == Facts()


def test_it_opens_with_the_name_and_the_matter() -> None:
    opening = reply([{"role": "system", "content": PROMPT}]).content
    assert "张三" in opening
    assert "顺风快递" in opening
    assert "宽带无法上网" in opening


@pytest.mark.parametrize("said", ["别再打了！", "不要再打电话来了", "你们别老打电话骚扰我", "请不要再给我打电话"])
def test_who_asks_not_to_be_called_is_promised_so_and_let_go(said: str) -> None:
    answer = ask(said)
    assert names(answer) == ["do_not_call_again", "tag_outcome", "hang_up"]
    assert answer.calls[1].arguments == {"outcome": "refused"}
    assert "再见" in answer.content


@pytest.mark.parametrize(
    ("said", "when"),
    [
        ("晚点再打吧", ""),
        ("我在开会，明天下午三点再打给我", "明天下午三点"),
        ("现在没空", ""),
        ("明天再打", "明天"),
    ],
)
def test_who_wants_a_call_back_gets_one_noted(said: str, when: str) -> None:
    answer = ask(said)
    assert names(answer) == ["callback_wanted", "tag_outcome", "hang_up"]
    assert answer.calls[0].arguments == ({"when": when} if when else {})
    assert when in answer.content


@pytest.mark.parametrize("said", ["再见", "没有了，谢谢", "不用了。", "没有其他问题了，拜拜"])
def test_goodbye_is_answered_and_the_call_ended(said: str) -> None:
    answer = ask(said)
    assert names(answer)[-1] == "hang_up"
    assert "再见" in answer.content


def test_only_what_is_offered_is_called() -> None:
    assert names(ask("不要再打了", tools=[tool("hang_up")])) == ["hang_up"]
    assert names(ask("不要再打了", tools=[])) == []


def test_arguments_follow_the_tools_own_schema() -> None:
    offered = [
        tool("callback_wanted", minutes={"type": "integer"}, note={"type": "string"}),
        tool("tag_outcome", tags={"type": "array", "items": {"type": "string"}}),
    ]
    answer = ask("晚点再打", tools=offered)
    assert answer.calls[0].arguments == {"minutes": 60, "note": "晚点再打"}
    assert answer.calls[1].arguments == {"tags": ["callback"]}


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("是的，我是。", "yes"),
        ("嗯", "yes"),
        ("你好", "yes"),
        ("已经修好了", "yes"),
        ("还没有修好", "unsolved"),
        ("你是谁啊？", "who"),
        ("你是哪里的？", "who"),
        ("你们什么时候来？", "when"),
        ("在哪里？", "where"),
        ("多少钱？", "price"),
        ("你们能不能派人来？", "question"),
        ("没听清，再说一遍", "not_heard"),
        ("你打错了", "wrong_person"),
        ("呃", "unclear"),
        ("", "unclear"),
        ("师傅昨天上门看过一次", "statement"),
    ],
)
def test_what_the_customer_means(said: str, meant: str) -> None:
    assert intent(said) == meant


def test_it_comes_to_the_matter_then_asks_for_anything_else() -> None:
    first = ask("是的").content
    assert "宽带无法上网" in first
    second = ask("解决了", "是的", first).content
    assert "其他问题" in second


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("几点开始？", "七月十号开始"),
        ("在哪里？", "地点在莫干山营地"),
        ("多少钱？", "费用两千八百元"),
        ("能退吗？", "专员"),
    ],
)
def test_a_question_is_answered_from_the_ticket_if_it_tells(question: str, answer: str) -> None:
    system = {"role": "system", "content": "工单内容：夏令营七月十号开始，地点在莫干山营地，费用两千八百元，含食宿。"}
    spoken = {"role": "assistant", "content": "您好。"}
    assert answer in reply([system, spoken, {"role": "user", "content": question}]).content


def test_who_cut_in_hears_the_answer_and_then_what_was_cut_off() -> None:
    past = [{"role": "system", "content": "工单内容：讲座改到周五。"}, {"role": "assistant", "content": "好的。讲座"}]
    note = "（客户打断了你，这些话没有听到：“改到周五。您来吗？”）"
    asked = reply([*past, {"role": "user", "content": f"{note}你是谁？"}]).content
    agreed = reply([*past, {"role": "user", "content": f"{note}嗯。"}]).content
    assert (asked, agreed) == ("我是客服中心的回访专员。改到周五。您来吗？", "改到周五。您来吗？")


def test_a_matter_without_trouble_is_told_and_not_asked_to_be_solved() -> None:
    past = [
        {"role": "system", "content": "工单内容：夏令营七月十号开始。"},
        {"role": "assistant", "content": "您好，是张三吗？"},
    ]
    said = reply([*past, {"role": "user", "content": "是我。"}]).content
    assert said == "好的。夏令营七月十号开始。请问您还有什么想了解的吗？"


def test_what_was_not_heard_is_said_again() -> None:
    assert "您好，请问是张三吗？" in ask("没听清，再说一遍").content


def test_a_silent_customer_is_asked_whether_he_listens() -> None:
    messages = [{"role": "system", "content": PROMPT}, {"role": "assistant", "content": "您好"}]
    assert "在听吗" in reply(messages).content


def test_after_a_tool_it_says_goodbye_only_if_it_has_not_yet() -> None:
    def after(content: str | None) -> str:
        call = {"id": "1", "type": "function", "function": {"name": "hang_up", "arguments": "{}"}}
        messages: list[dict[str, Any]] = [
            {"role": "user", "content": "再见"},
            {"role": "assistant", "content": content, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "ok"},
        ]
        return reply(messages).content

    assert after("好的，再见。") == ""
    assert "再见" in after(None)


def test_content_in_parts_is_read() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "assistant", "content": "您好"},
        {"role": "user", "content": [{"type": "text", "text": "不要再打了"}]},
    ]
    assert names(reply(messages, TOOLS))[0] == "do_not_call_again"


@given(st.text(max_size=60))
def test_it_always_has_one_to_three_sentences_to_say(said: str) -> None:
    content = ask(said).content
    assert 1 <= sum(content.count(mark) for mark in "。？！") <= 4
