"""What was heard of our words, and what is left of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.agent.premise import covers, from_sentence_with, left_over, question_of, unheard

NOTICE = "打扰您一分钟。讲座改到了周五晚上七点，地点仍在报告厅。请问您到时候方便参加吗？"
REST = "讲座改到了周五晚上七点，地点仍在报告厅。请问您到时候方便参加吗？"


@pytest.mark.parametrize(
    ("heard", "left"),
    [
        ("", NOTICE),
        ("打扰您一", NOTICE),
        ("打扰您一分钟", REST),
        ("打扰您一分钟。讲", REST),
        ("打扰您一分钟。讲座改到了周五晚上七点，地点仍在", REST),
        ("打扰您一分钟。讲座改到了周五晚上七点，地点仍在报告厅。", "您方便参加吗？"),
        ("打扰您一分钟。讲座改到了周五晚上七点，地点仍在报告厅。请问您", "您方便参加吗？"),
        ("打扰您一分钟。讲座改到了周五晚上七点，地点仍在报告厅。请问您到时候方便参", ""),
        (NOTICE, ""),
        ("不好意思，线路不太稳定。", NOTICE),
    ],
)
def test_what_was_not_heard_is_left_from_its_sentence_on(heard: str, left: str) -> None:
    assert left_over(NOTICE, NOTICE, heard, "您方便参加吗？") == left


def test_what_stands_before_it_in_the_same_answer_does_not_count() -> None:
    said = "我是助手，打扰您一分钟。" + REST
    assert left_over(REST, said, "我是助手，打扰您一分钟。", "") == REST
    assert left_over(REST, said, "我是助手，打扰您一分钟。" + REST[:-3], "") == ""


def test_a_question_without_a_short_form_is_left_as_it_stands() -> None:
    text = "您最近首次体验了我们的服务，想请您回答三个问题，请问您现在方便吗？"
    assert left_over(text, text, text[:25], "") == "请问您现在方便吗？"
    assert left_over(text, text, text[:20], "") == text


def test_what_did_not_come_up_is_left_whole() -> None:
    assert left_over("请问您方便吗？", "您好。", "您好。") == "请问您方便吗？"


def test_a_clock_time_does_not_part_a_clause() -> None:
    assert question_of("明天开会，请问您10:30能到吗？") == "请问您10:30能到吗？"


def test_the_part_that_was_not_heard_begins_behind_the_last_letter_heard() -> None:
    assert unheard("您好，请问是张三吗？", "您好。") == "请问是张三吗？"
    assert unheard("您好。", "") == "您好。"


def test_a_text_is_said_from_the_sentence_in_which_a_part_of_it_begins() -> None:
    assert covers(NOTICE, "讲座改到了周五晚上七点。")
    assert not covers(NOTICE, "。")
    assert from_sentence_with(NOTICE, "改到了周五") == REST


@given(st.text("您好请问，。？吗 ab1", max_size=30), st.text("您好请问，。？吗 ab1", max_size=30), st.integers(0, 60))
def test_nothing_is_left_of_what_was_heard_whole_and_never_more_than_there_was(before: str, owed: str, at: int) -> None:
    said = before + owed
    assert left_over(owed, said, said) == "" or not any(map(str.isalnum, owed))
    assert left_over(owed, said, said[:at]).strip() in owed
