"""A model's answer between its words and the customer's ear: what was heard of it, and what is said once more."""

from __future__ import annotations

import pytest

from media.agent.answer import Answer
from media.agent.wording import LETTER_SECONDS, Wording

from .conftest import Call
from .test_answer import Nobody


@pytest.fixture
def call() -> Call:
    call = Call("default")
    call.driver = Nobody()
    return call


def wording(call: Call, *parts: str, speed: float = 1.0) -> Wording:
    made = Wording(Answer(call, "a1"), call.clock, speed)
    for part in parts:
        made.tell(part)
    return made


def test_a_model_has_begun_once_there_are_letters(call: Call) -> None:
    answer = wording(call, "……")
    assert not answer.begun
    answer.tell("您好")
    assert answer.begun
    assert answer.said == "……您好"


def test_words_around_the_models_are_heard_and_not_told_as_its_own(call: Call) -> None:
    answer = wording(call, "您的预约在周五。")
    answer.add("请稍等。")
    assert answer.said == "您的预约在周五。"
    answer.cut_off("您的预约")
    assert answer.unheard == "在周五。请稍等。"


def test_the_voice_is_reckoned_by_letters_and_speed_and_runs_out(call: Call) -> None:
    answer = wording(call, "一二三四五六七八。", speed=2.0)
    assert answer.voice_left == pytest.approx(8 * LETTER_SECONDS / 2)
    call.clock.advance(0.4)
    assert answer.voice_left == pytest.approx(8 * LETTER_SECONDS / 2 - 0.4)
    call.clock.advance(60)
    assert answer.voice_left == 0
    answer.tell("九十一二三四五六。")
    answer.pause()
    assert answer.voice_left == pytest.approx(8 * LETTER_SECONDS / 2)


def test_what_is_not_spoken_yet_is_not_reckoned_with(call: Call) -> None:
    answer = wording(call, "一二三")
    assert answer.voice_left == 0
    answer.pause()
    assert answer.voice_left == pytest.approx(3 * LETTER_SECONDS)


def test_a_sentence_without_an_end_is_taken_back(call: Call) -> None:
    answer = wording(call, "第一句话在这里。您的订单金额是三百")
    answer.drop_unfinished()
    assert answer.said == "第一句话在这里。"
    answer.tell("出了点问题。")
    answer.cut_off("")
    assert answer.unheard == "第一句话在这里。出了点问题。"


def test_after_a_noise_the_sentence_that_was_cut_is_said_again_and_what_followed(call: Call) -> None:
    answer = wording(call, "第一句话在这里。第二句话在这里。")
    answer.cut_off("第一句话在这里。第二")
    assert not answer.certain.is_set()
    answer.tell("第三句话在这里。")
    assert answer.rest == "第二句话在这里。第三句话在这里。"
    rest = Answer(call, "a2")
    answer.go_on(rest)
    assert (answer.answer, answer.cut, answer.certain.is_set()) == (rest, None, True)
    answer.pause()
    assert rest.text == "第二句话在这里。第三句话在这里。"


def test_what_the_plays_before_said_counts_as_heard(call: Call) -> None:
    answer = wording(call, "第一句话在这里。第二句话在这里。")
    answer.cut_off("第一句话在这里。第二")
    answer.go_on(Answer(call, "a2"))
    answer.cut_off("第二句话")
    assert answer.cut == "第一句话在这里。第二句话"
    answer.go_on(Answer(call, "a3"))
    answer.cut_off("")
    assert answer.cut == "第一句话在这里。第二句话", "heard is heard, though the play was cut before it said that again"


def test_all_that_was_heard_leaves_nothing_to_go_on_with(call: Call) -> None:
    answer = wording(call, "第一句话在这里。")
    answer.cut_off("第一句话在这里")
    assert answer.rest == ""


def test_what_is_said_again_is_heard_from_where_it_stood(call: Call) -> None:
    answer = wording(call, "第一句话在这里。第二句话在这里。")
    answer.cut_off("第一句话在这里。")
    again = Answer(call, "a2")
    again.add("第二句话在这里。")
    answer.go_again(again)
    assert (answer.answer, answer.cut) == (again, None)
    answer.cut_off("第二句")
    assert answer.cut == "第一句话在这里。第二句"


def test_of_our_own_words_none_are_left_for_the_model(call: Call) -> None:
    play = Answer(call, "a1")
    play.add("您还在听吗？")
    own = Wording(play, call.clock, 1.0, own=True)
    assert own.said == "您还在听吗？"
    own.cut_off("您还")
    assert (own.cut, own.unheard) == ("您还", None)


def test_before_anything_is_said_there_is_nothing_to_spoil(call: Call) -> None:
    nothing = Wording(None, call.clock, 1.0)
    nothing.pause()
    nothing.drop_unfinished()
    assert (nothing.said, nothing.begun, nothing.voice_left, nothing.unheard) == ("", False, 0, None)
