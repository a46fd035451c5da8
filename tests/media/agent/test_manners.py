"""What an answer asks of us, whatever the playbook."""

from __future__ import annotations

import pytest

from media.agent.intents import intents
from media.agent.manners import asks_to_wait, only_hello, wants_an_answer, wants_no_greeting


@pytest.mark.parametrize(
    ("said", "hello"), [("喂，你好。", True), ("嗯", True), ("喂，你是谁？", False), ("哈利路亚", False)]
)
def test_a_hello_is_nothing_else(said: str, hello: bool) -> None:
    assert only_hello(set(intents(said))) is hello


@pytest.mark.parametrize(("said", "greeted"), [("喂", True), ("你打错了", False), ("我在开会，晚点再打", False)])
def test_who_cannot_talk_needs_no_greeting(said: str, greeted: bool) -> None:
    assert wants_no_greeting(set(intents(said))) is not greeted


@pytest.mark.parametrize(
    "said",
    [
        "在哪里啊",
        "好的，在哪里啊",
        "等一下，先别挂，那个安装费是多少钱？",
        "那个安装费是多少钱",
        "别挂",
        "不要挂",
        "好的，我还有个问题",
        "不对，我说的是周五",
        "你晚上再打给我吧",
        "什么？",
        "不是，我还没说完呢",
        "慢着",
        "我想问一下价格",
        "叫我妈接一下",
        "wait",
    ],
)
def test_after_a_goodbye_whatever_is_left_open_wants_an_answer(said: str) -> None:
    assert wants_an_answer(said, set(intents(said)))


@pytest.mark.parametrize(
    "said",
    [
        "好的，再见",
        "谢谢",
        "",
        "嗯",
        "好的好的，谢谢啊，拜拜",
        "那我先挂了",
        "知道了",
        "不用谢",
        "没有了，就这样吧",
        "没什么事了",
        "不客气",
        "好，我会准时到的",
        "嗯，到时候见",
        "没时间，不去了",
        "喂",
        "别再打了",
        "我还有事，先挂了",
        "等一下再打给我，再见",
        "ok, bye",
    ],
)
def test_after_a_goodbye_a_courtesy_wants_none(said: str) -> None:
    assert not wants_an_answer(said, set(intents(said)))


@pytest.mark.parametrize(
    ("said", "waits"),
    [("等等", True), ("稍等一下", True), ("等下再说吧", False), ("先别挂", True), ("那我挂了", False)],
)
def test_who_asks_us_to_wait(said: str, waits: bool) -> None:
    assert asks_to_wait(said) is waits
