"""What an answer asks of us, whatever the playbook."""

from __future__ import annotations

import pytest

from media.agent.intents import intents
from media.agent.manners import only_hello, wants_an_answer, wants_no_greeting


@pytest.mark.parametrize(
    ("said", "hello"), [("喂，你好。", True), ("嗯", True), ("喂，你是谁？", False), ("哈利路亚", False)]
)
def test_a_hello_is_nothing_else(said: str, hello: bool) -> None:
    assert only_hello(set(intents(said))) is hello


@pytest.mark.parametrize(("said", "greeted"), [("喂", True), ("你打错了", False), ("我在开会，晚点再打", False)])
def test_who_cannot_talk_needs_no_greeting(said: str, greeted: bool) -> None:
    assert wants_no_greeting(set(intents(said))) is not greeted


@pytest.mark.parametrize(("said", "wants"), [("好的，再见", False), ("谢谢", False), ("在哪里啊", True), ("", False)])
def test_after_a_goodbye_a_question_wants_an_answer(said: str, wants: bool) -> None:
    assert wants_an_answer(set(intents(said))) is wants
