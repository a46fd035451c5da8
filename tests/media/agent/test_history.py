"""What a model is told of the past."""

from __future__ import annotations

import pytest

from media.agent.chat import ToolCall
from media.agent.history import BROKEN_NOTE, MAX_MESSAGES, UNHEARD_NOTE, History

CALL = ToolCall("c1", "hang_up", "{}")


def shown(history: History) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in history.messages()]


def test_the_prompt_comes_first_and_the_greeting_is_ours() -> None:
    history = History("提示")
    history.restart("您好")
    history.restart("您好")
    assert shown(history) == [("system", "提示"), ("assistant", "您好")]


def test_answers_in_a_row_are_one_message_and_what_broke_off_is_asked_for() -> None:
    history = History("p")
    history.add_ours("您方便吗？")
    message = history.add_ours("您还在听吗？")
    assert shown(history) == [("system", "p"), ("assistant", "您方便吗？您还在听吗？")]
    history.keep_heard(message, "您还", None)
    history.add_turn("在")
    assert shown(history)[1:] == [("assistant", "您方便吗？您还"), ("user", "在")]
    begun = [(message["role"], message["content"]) for message in history.messages("好的，")]
    assert begun[3:] == [("assistant", "好的，"), ("user", BROKEN_NOTE)]


def test_a_cut_answer_keeps_what_was_heard_and_vanishes_if_nothing_was() -> None:
    history = History("p")
    message = history.add_ours("这是一句很长的话")
    history.keep_heard(message, "这是一句", "很长的话")
    assert shown(history)[-1] == ("assistant", "这是一句")
    history.keep_heard(message, "", "这是一句很长的话")
    assert shown(history) == [("system", "p")]


def test_an_answer_with_tools_stays_since_their_results_need_it() -> None:
    history = History("p")
    message = history.add_ours("再见", [(CALL, "好")])
    history.keep_heard(message, "", "再见")
    assert [role for role, _ in shown(history)] == ["system", "assistant", "tool"]
    assert history.messages()[1]["tool_calls"][0]["id"] == history.messages()[2]["tool_call_id"] == "c1"


@pytest.mark.parametrize("written", ["", "{", '"名字"', "[1]", "null", "{'name': 1}"])
def test_arguments_that_are_no_json_object_go_back_as_an_empty_one(written: str) -> None:
    history = History("p")
    history.add_ours("", [(ToolCall("c1", "hang_up", written), "没有这个工具")])
    assert history.messages()[1]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_a_turn_taken_back_takes_its_answer_along() -> None:
    history = History("p")
    history.restart("您好")
    history.add_turn("我想")
    history.add_ours("什么？")
    history.rewind()
    assert shown(history) == [("system", "p"), ("assistant", "您好")]


def test_the_model_is_told_once_what_was_not_heard() -> None:
    history = History("p")
    message = history.add_ours("讲座改到了周五晚上。您来吗？")
    history.keep_heard(message, "讲座", "改到了周五晚上。您来吗？")
    history.add_turn("你是谁")
    history.add_turn("喂")
    note = UNHEARD_NOTE.format(unheard="改到了周五晚上。您来吗？")
    assert shown(history)[1:] == [("assistant", "讲座"), ("user", f"{note}你是谁"), ("user", "喂")]


def test_a_turn_taken_back_is_told_again_with_its_note_and_not_with_that_of_its_own_answer() -> None:
    history = History("p")
    history.keep_heard(history.add_ours("讲座改到了周五。"), "讲座", "改到了周五。")
    history.add_turn("你是")
    history.keep_heard(history.add_ours("您说什么？"), "", "您说什么？")
    history.rewind()
    history.add_turn("你是谁")
    assert shown(history)[-1] == ("user", UNHEARD_NOTE.format(unheard="改到了周五。") + "你是谁")


def test_the_past_is_bounded_and_never_begins_with_half_a_turn() -> None:
    history = History("p")
    for number in range(MAX_MESSAGES):
        history.add_turn(f"u{number}")
        history.add_ours("好", [(CALL, "好")])
    messages = history.messages()
    assert len(messages) <= MAX_MESSAGES + 4
    assert messages[1]["role"] == "user"
