"""Turns from recognitions, and the lines they leave."""

from __future__ import annotations

from media.session.words import FINAL_WAIT, Words
from media.speech.ports import Recognition
from media.turns import TurnDetector


class Heard:
    """Words with what they wrote."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.words = Words(TurnDetector(), lambda text, began, ended: self.lines.append(text))

    def says(self, index: int, text: str, at: float, *, final: bool = False) -> str | None:
        return self.words.recognised(Recognition(index, text, 0, 0, final), at)


def test_a_turn_of_final_sentences_is_written_as_it_ends() -> None:
    heard = Heard()
    heard.says(0, "您好。", 1.0, final=True)
    heard.says(1, "请讲。", 1.5, final=True)
    turn = heard.words.poll(5.0)
    assert turn is not None
    assert turn.text == "您好。请讲。"
    assert heard.lines == ["您好。请讲。"]


def test_a_turn_answered_before_its_final_text_is_written_with_it() -> None:
    heard = Heard()
    heard.words.speech_started(0.0)
    heard.says(0, "你是谁啊？", 0.5)
    heard.words.speech_ended(0.6)
    turn = heard.words.poll(1.0)
    assert turn is not None
    assert heard.lines == []
    assert heard.says(0, "你是谁呀？", 1.2, final=True) is None
    assert heard.lines == ["你是谁呀？"]
    assert heard.words.deadline is None, "what was answered begins no new turn"


def test_a_final_text_that_never_comes_is_not_waited_for() -> None:
    heard = Heard()
    heard.says(0, "好的。", 0.5)
    assert heard.words.poll(2.0) is not None
    assert heard.words.deadline == 2.0 + FINAL_WAIT
    heard.words.poll(2.0 + FINAL_WAIT)
    assert heard.lines == ["好的。"]


def test_a_sentence_that_goes_on_after_it_was_answered_brings_its_rest() -> None:
    heard = Heard()
    heard.words.speech_started(0.0)
    heard.says(0, "可以。", 0.5)
    heard.words.speech_ended(0.6)
    assert heard.words.poll(1.0) is not None
    heard.words.speech_started(1.2)
    assert heard.says(0, "可以。不过我没空", 1.6) == "不过我没空"
    heard.words.speech_ended(1.8)
    turn = heard.words.poll(4.0)
    assert turn is not None
    assert turn.text == "不过我没空"


def test_an_earlier_sentence_is_never_taken_again() -> None:
    heard = Heard()
    heard.says(3, "好的。", 0.5)
    assert heard.words.poll(2.0) is not None
    assert heard.says(2, "喂", 2.1, final=True) is None


def test_what_has_no_line_yet_can_be_told_and_keeps_its_beginning() -> None:
    heard = Heard()
    assert heard.words.unwritten(0.0) == []
    heard.words.speech_started(0.2)
    heard.says(0, "我想", 0.5)
    assert heard.words.unwritten(0.6) == [("我想", 0.2, 0.6)]
    heard.says(0, "我想问一下。", 0.9)
    heard.words.speech_ended(1.0)
    turn = heard.words.poll(2.0)
    assert turn is not None
    assert heard.words.unwritten(2.1) == [("我想问一下。", turn.started, turn.ended)]
    assert turn.started == 0.2
    heard.says(1, "喂", 2.2)
    assert heard.words.unwritten(2.3)[1] == ("喂", 2.2, 2.3)
    heard.words.flush()
    assert heard.words.unwritten(2.4) == [("喂", 2.2, 2.4)]


def test_the_end_writes_what_is_outstanding() -> None:
    heard = Heard()
    heard.says(0, "好的。", 0.5)
    heard.words.poll(2.0)
    heard.words.speech_started(2.1)
    heard.says(1, "我还想", 2.5)
    heard.words.end(3.0)
    assert heard.lines == ["好的。", "我还想"]


def test_sentences_stand_in_the_record_as_the_driver_hears_them() -> None:
    heard = Heard()
    heard.says(0, "Yes, speaking.", 1.0, final=True)
    heard.says(1, "Who is", 1.5)
    assert heard.words.so_far == "Yes, speaking. Who is"
    heard.says(1, "Who is this?", 1.6, final=True)
    turn = heard.words.poll(5.0)
    assert turn is not None
    assert heard.lines == [turn.text] == ["Yes, speaking. Who is this?"]


def test_a_final_text_that_is_waited_for_is_joined_in_the_same_way() -> None:
    heard = Heard()
    heard.says(0, "Yes, speaking.", 1.0, final=True)
    heard.says(1, "Who is this?", 1.5)
    assert heard.words.poll(5.0) is not None
    assert heard.words.unwritten(5.1)[0][0] == "Yes, speaking. Who is this?"
    heard.says(1, "Who's this?", 5.2, final=True)
    assert heard.lines == ["Yes, speaking. Who's this?"]


def test_a_sentence_that_is_answered_twice_goes_on_where_it_was_answered_last() -> None:
    heard = Heard()
    for at, text in ((0.0, "Yes."), (2.0, "Yes. But not"), (4.0, "Yes. But not today. Tomorrow")):
        heard.words.speech_started(at)
        heard.says(0, text, at + 0.5)
        heard.words.speech_ended(at + 0.6)
        assert heard.words.poll(at + 1.9) is not None
    heard.says(0, "Yes. But not today. Tomorrow.", 6.0, final=True)
    assert heard.lines == ["Yes.", "But not", "today. Tomorrow."]
