"""When the customer's turn is over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.turns import Turn, TurnDetector, TurnRule, looks_complete, looks_open


def said(text: str, began: float = 1.0, ended: float = 2.0) -> TurnDetector:
    """Speech from ``began`` to ``ended`` whose final text came with its end."""
    turns = TurnDetector()
    turns.speech_started(began)
    turns.partial(text[: len(text) // 2], began + 0.3)
    turns.speech_ended(ended)
    turns.final(text, ended + 0.05)
    return turns


@pytest.mark.parametrize(
    "text",
    [
        "好的。",
        "是我吗？",
        "不需要",
        "你是谁呢",
        "谢谢",
        "知道了",
        "Yes",
        "I see. Thank you",
        "就这样吧",
        "“好！”",
        "不用了",
        "我会去的。",
        "挺满意的。",
    ],
)
def test_complete_texts(text: str) -> None:
    assert looks_complete(text)
    assert not looks_open(text)


@pytest.mark.parametrize(
    "text", ["我想", "因为", "然后，", "我的", "那个", "嗯", "I want to", "but", "第一、", "还有。", "红色的"]
)
def test_open_texts(text: str) -> None:
    assert looks_open(text)


@pytest.mark.parametrize("text", ["今天下午三点", "杭州市西湖区", "order 66", "3.", ""])
def test_neither(text: str) -> None:
    assert not looks_complete(text)
    assert not looks_open(text)


@pytest.mark.parametrize(("text", "delay"), [("好的。", 0.3), ("今天下午三点", 0.6), ("因为", 1.2), ("我想，", 1.2)])
def test_the_wait_depends_on_how_the_text_ends(text: str, delay: float) -> None:
    turns = said(text)
    assert turns.deadline == pytest.approx(2.0 + delay)
    assert turns.poll(2.0 + delay - 0.001) is None
    assert turns.poll(2.0 + delay) == Turn(text, 1.0, 2.0)


def test_a_turn_is_told_once() -> None:
    turns = said("好的。")
    assert turns.poll(3.0) is not None
    assert turns.poll(9.0) is None
    assert turns.deadline is None


def test_speech_that_goes_on_keeps_the_turn() -> None:
    turns = said("我要改地址。")
    turns.speech_started(2.2)
    assert turns.poll(2.5) is None
    turns.speech_ended(3.0)
    turns.final("改到上海。", 3.1)
    assert turns.poll(3.3) == Turn("我要改地址。改到上海。", 1.0, 3.0)


def test_words_that_come_late_still_belong_to_the_turn() -> None:
    turns = TurnDetector()
    turns.speech_started(1.0)
    turns.speech_ended(2.0)
    assert turns.poll(2.9) is None
    turns.final("好的。", 2.95)
    assert turns.poll(2.95) == Turn("好的。", 1.0, 2.0)


def test_speech_without_words_ends_at_the_cap() -> None:
    turns = TurnDetector()
    turns.speech_started(1.0)
    turns.speech_ended(1.4)
    assert turns.poll(2.5) is None
    assert turns.poll(2.6) == Turn("", 1.0, 1.4)


def test_text_alone_ends_a_turn_that_the_vad_missed() -> None:
    turns = TurnDetector()
    turns.partial("好", 5.0)
    turns.final("好的。", 5.4)
    assert turns.poll(5.69) is None
    assert turns.poll(5.7) == Turn("好的。", 5.0, 5.4)


def test_text_that_stands_still_ends_a_turn_in_a_noisy_line() -> None:
    turns = TurnDetector()
    turns.speech_started(1.0)
    turns.final("不要再打了。", 2.0)
    assert turns.deadline == pytest.approx(3.2)
    assert turns.poll(3.2) == Turn("不要再打了。", 1.0, 2.0)
    # The VAD still hears the noise; the next words begin a turn of their own.
    turns.final("听见没有？", 4.0)
    assert turns.poll(5.2) == Turn("听见没有？", 3.2, 4.0)


def test_a_repeated_partial_moves_no_deadline() -> None:
    turns = TurnDetector()
    turns.speech_started(1.0)
    for tenth in range(20):
        turns.partial("喂你好", 1.5 + tenth / 10)
    assert turns.deadline == pytest.approx(2.7)


def test_a_partial_counts_if_no_final_comes() -> None:
    turns = TurnDetector()
    turns.speech_started(1.0)
    turns.partial("我知道了", 1.8)
    turns.speech_ended(2.0)
    assert turns.poll(2.3) == Turn("我知道了", 1.0, 2.0)


def test_finals_join_with_a_space_only_between_letters() -> None:
    turns = TurnDetector()
    for text in ("yes", "I do", "好的", "OK"):
        turns.final(text, 1.0)
    assert turns.text == "yes I do好的OK"


def test_a_reset_forgets() -> None:
    turns = said("好的。")
    turns.reset()
    assert turns.deadline is None
    assert turns.text == ""


def test_the_rule_sets_the_delays() -> None:
    turns = TurnDetector(TurnRule(complete_s=0.1, default_s=0.2, cap_s=0.3))
    turns.speech_started(0.0)
    turns.final("三点", 0.9)
    turns.speech_ended(1.0)
    assert turns.deadline == pytest.approx(1.2)
    with pytest.raises(ValueError, match="complete <= default <= cap"):
        TurnRule(complete_s=0.7)


EVENT = st.sampled_from(["started", "ended", "partial", "final", "wait"])


@given(st.lists(st.tuples(EVENT, st.floats(0, 2), st.sampled_from(["", "好的。", "因为", "三点"])), max_size=60))
def test_whatever_happens_no_silence_with_words_lasts_beyond_the_cap(events: list[tuple[str, float, str]]) -> None:
    turns = TurnDetector()
    now = last = 0.0
    for kind, wait, text in events:
        now += wait
        turn = turns.poll(now)
        if turn is not None:
            assert turn.started <= turn.ended <= now
        if kind == "started":
            turns.speech_started(now)
        elif kind == "ended":
            turns.speech_ended(now)
        elif kind == "partial":
            turns.partial(text, now)
        elif kind == "final":
            turns.final(text, now)
        last = now
        if turns.text:
            assert turns.deadline is not None
            assert turns.deadline <= last + 1.2 + 1e-9


@pytest.mark.parametrize("text", ["好的。", "是的", "对的。", "对，我是。", "我是。", "可以的。"])
def test_a_common_answer_is_complete_whatever_its_last_character(text: str) -> None:
    turns = TurnDetector()
    turns.speech_started(1.0)
    turns.final(text, 1.8)
    turns.speech_ended(2.0)
    assert turns.deadline is not None
    assert turns.deadline <= 2.0 + TurnRule().default_s


def test_the_first_word_of_more_waits_for_the_voice_detector_to_hear_it_too() -> None:
    turns = TurnDetector()
    turns.speech_started(1.0)
    turns.final("嗯。", 1.3)
    turns.speech_ended(1.4)
    turns.partial("好", 2.2)
    assert turns.poll(2.2) is None
    turns.speech_started(2.3)
    turns.final("好的，我知道了。", 3.2)
    turns.speech_ended(3.3)
    turn = turns.poll(4.6)
    assert turn is not None
    assert turn.text == "嗯。好的，我知道了。"
