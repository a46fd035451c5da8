"""One answer on its way out."""

from __future__ import annotations

from media.agent.answer import Answer
from media.protocol.events import AnyEvent

from .conftest import Call


class Nobody:
    """A driver that leaves the call alone."""

    def on_event(self, event: AnyEvent) -> None:
        pass


def answered(*texts: str) -> tuple[Call, Answer, bool]:
    call = Call("default")
    call.driver = Nobody()
    answer = Answer(call, "a1")
    for text in texts:
        answer.add(text)
    return call, answer, answer.finish()


def test_text_goes_out_in_sentences_under_one_play() -> None:
    call, answer, said = answered("您好，我是", "小外，想跟您", "确认一下。")
    assert said
    assert call.listen() == answer.text == "您好，我是小外，想跟您确认一下。"


def test_nothing_to_say_is_no_play() -> None:
    call, answer, said = answered("……！", " ")
    assert not said
    assert not answer.begun
    call.wait(5)
    assert call.said == []


def test_a_piece_that_gets_no_end_can_be_given_up() -> None:
    call = Call("default")
    call.driver = Nobody()
    answer = Answer(call, "a1")
    answer.add("第一句话在这里。您的订单金额是三百")
    assert answer.drop() == "您的订单金额是三百"
    answer.add("出了点问题。")
    answer.finish()
    assert call.listen() == answer.text == "第一句话在这里。出了点问题。"


def test_what_was_cut_takes_no_more() -> None:
    call = Call("default")
    answer = Answer(call, "a1")
    answer.add("第一句话在这里。")
    answer.cut = True
    answer.add("第二句话在这里。")
    assert not answer.finish()
    assert answer.text == "第一句话在这里。"


def test_after_a_failure_the_text_is_kept_for_another_try() -> None:
    call = Call("default")
    answer = Answer(call, "a1")
    answer.add("第一句话在这里。")
    answer.failed = answer.cut = True
    answer.add("第二句话在这里，比第一句还要更长一些呢。")
    answer.finish()
    assert answer.text == "第一句话在这里。第二句话在这里，比第一句还要更长一些呢。"
