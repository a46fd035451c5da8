"""What is remembered between two turns."""

from __future__ import annotations

from media.agent.listening import EARLY_SECONDS, LONGEST_TURN, MOST_WORDLESS, WORDLESS_MS, Comprehension, TurnMemory


def test_a_turn_without_an_answer_is_joined_with_the_next() -> None:
    memory = TurnMemory()
    assert memory.take("我想改时间。") == "我想改时间。"
    memory.unanswered = True
    assert memory.take("改到周三") == "我想改时间，改到周三"
    assert memory.take("好的") == "好的"


def test_a_turn_is_bounded() -> None:
    memory = TurnMemory()
    for _ in range(20):
        memory.take("一" * 100)
        memory.unanswered = True
    assert len(memory.take("最后")) == LONGEST_TURN


def test_only_words_just_before_our_end_are_an_early_answer() -> None:
    memory = TurnMemory()
    memory.overlapped("好的", 10.0)
    assert memory.early_answer(10.0 + EARLY_SECONDS + 0.01) == ""
    assert memory.early_answer(10.5) == "好的"
    memory.take("别的")
    assert memory.early_answer(10.5) == ""


def test_speech_without_words_again_and_again_is_not_understood() -> None:
    comprehension = Comprehension()
    for _ in range(5):
        comprehension.turn("", WORDLESS_MS - 1)
    assert not comprehension.lacking
    for _ in range(MOST_WORDLESS):
        comprehension.turn("", WORDLESS_MS)
    assert comprehension.lacking
    comprehension.turn("喂", 500)
    assert not comprehension.lacking


def test_a_failed_recogniser_is_not_trusted_until_it_understands() -> None:
    comprehension = Comprehension()
    comprehension.recogniser_failed()
    assert comprehension.lacking
    comprehension.words()
    assert not comprehension.lacking
