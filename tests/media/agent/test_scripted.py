"""The steps of a script, without a call around them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.agent.loading import load_playbook, load_playbooks
from media.agent.scripted import MAX_TURNS, Move, ScriptedDialogue
from media.agent.ticket import sample_fields

from .conftest import PLAYBOOKS

BOOKS = load_playbooks(PLAYBOOKS)
SCRIPTED = [book for book in BOOKS if book.kind == "scripted"]
SURVEY = """---
default: true
kind: scripted
greeting: "您好。"
start: ask
steps:
  ask:
    say: "几分？"
    again: "打几分？"
    on:
      /[1-5]分/: {tag: {score: "{{ heard }}"}, go: thanks}
      满意|OK: {say: "太好了。", tag: happy, go: thanks}
      press 5: {tag: {score: "5"}, go: thanks}
      thanks: {say: "不谢。"}
    otherwise: {say: "哦，{{ heard }}。", tag: {said: "{{ heard }}"}}
  thanks:
    say: "谢谢。"
    tag: done
    end: true
---
"""


def dialogue(tmp_path: Path) -> ScriptedDialogue:
    path = tmp_path / "survey.md"
    path.write_text(SURVEY)
    return ScriptedDialogue(load_playbook(path), sample_fields())


def test_it_begins_with_the_greeting_and_the_first_step(tmp_path: Path) -> None:
    assert dialogue(tmp_path).begin() == Move(("您好。", "几分？"))


@pytest.mark.parametrize(
    ("said", "says", "tags"),
    [
        ("4分吧", ("谢谢。",), (("score", "4分吧"), ("done", ""))),
        ("挺满意的", ("太好了。", "谢谢。"), (("happy", ""), ("done", ""))),
        ("ok啦", ("太好了。", "谢谢。"), (("happy", ""), ("done", ""))),
    ],
)
def test_patterns_and_words_lead_on(tmp_path: Path, said: str, says: tuple[str, ...], tags: object) -> None:
    script = dialogue(tmp_path)
    script.begin()
    move = script.hear(said)
    assert move.say[: len(says)] == says
    assert move.tags == tags
    assert move.end
    assert "再见" in "".join(move.say)


def test_an_intent_of_a_steps_own_comes_before_what_all_steps_understand(tmp_path: Path) -> None:
    script = dialogue(tmp_path)
    script.begin()
    assert script.hear("谢谢你啊") == Move(("不谢。",))


def test_otherwise_takes_what_nothing_else_does(tmp_path: Path) -> None:
    script = dialogue(tmp_path)
    script.begin()
    assert script.hear("随便") == Move(("哦，随便。",), (("said", "随便"),))


def test_keys_are_taken_where_a_step_asks_for_them(tmp_path: Path) -> None:
    script = dialogue(tmp_path)
    script.begin()
    assert script.press("1") is None
    move = script.press("5")
    assert move is not None
    assert move.tags[0] == ("score", "5")


def test_a_turn_taken_back_leaves_no_trace(tmp_path: Path) -> None:
    script = dialogue(tmp_path)
    script.begin()
    before = script.hear("随便")
    script.rewind()
    assert script.hear("随便") == before


def test_who_asked_to_be_called_back_is_asked_when(tmp_path: Path) -> None:
    script = dialogue(tmp_path)
    script.begin()
    assert "什么时候方便" in script.hear("我在开会").say[0]
    move = script.hear("4点以后")
    assert move.end
    assert move.tags == (("callback_wanted", "4点以后"),)


ANSWERS = st.sampled_from(
    [
        "好的",
        "不是",
        "嗯",
        "啊？",
        "几点？",
        "在哪",
        "你是谁",
        "谢谢",
        "喂",
        "随便吧",
        "我在忙",
        "四分",
        "你打错了",
        "再说一遍",
        "",
    ]
)


@pytest.mark.parametrize("book", SCRIPTED, ids=lambda book: book.name)
@given(answers=st.lists(ANSWERS, max_size=60))
def test_every_conversation_comes_to_an_end_and_never_falls_silent(book: object, answers: list[str]) -> None:
    script = ScriptedDialogue(book, sample_fields())  # type: ignore[arg-type]
    move = script.begin()
    for count, said in enumerate(answers):
        assert move.say, "nothing is said in answer"
        assert count <= MAX_TURNS + 1
        if move.end:
            assert "再见" in "".join(move.say)
            return
        move = script.hear(said)


def test_what_was_not_heard_begins_with_its_sentence_in_another_alphabet_too(tmp_path: Path) -> None:
    text = """---
default: true
kind: scripted
greeting: "Hello."
start: notice
steps:
  notice: {say: "Your parcel is here.", go: ask}
  ask: {say: "Can you fetch it today?", on: {yes: done}}
  done: {say: "Thank you. Goodbye.", end: true}
---
"""
    path = tmp_path / "en.md"
    path.write_text(text, encoding="utf-8")
    dialogue = ScriptedDialogue(load_playbook(path), {})
    said = " ".join(dialogue.begin().say)
    dialogue.cut(said, "Hello. Your")
    assert dialogue.go_on() == "Your parcel is here. Can you fetch it today?"
