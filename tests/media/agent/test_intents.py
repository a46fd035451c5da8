"""What customers say, and what it means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.agent.intents import Intent, intents, is_acknowledgement


@pytest.mark.parametrize(
    "text",
    [
        "别再打给我了。",
        "说了别再打给我了，再见。",
        "不要再打了",
        "不要给我打电话",
        "你们不要再给我打电话了",
        "请不要再打电话过来",
        "以后别打了",
        "别打扰我",
        "不要老是给我打电话",
        "把我拉黑吧",
        "我要取消订阅",
        "退订",
        "把我的电话删掉",
        "不想再接到你们的电话",
        "再打我就投诉了",
        "不用再联系我了",
        "别骚扰我",
        "Don't call me again.",
        "please stop calling me",
        "Take me off your list",
        "Remove my number from your database please",
        "do not call this number",
    ],
)
def test_a_wish_not_to_be_called_comes_first(text: str) -> None:
    assert intents(text)[0] is Intent.OPT_OUT


@pytest.mark.parametrize(
    "text",
    [
        "不要打断我",
        "不要打折",
        "别挂，你继续说",
        "晚点再打给我",
        "你打错了",
        "不用打车，我自己去",
        "我不要",
        "不用了谢谢",
        "call me back later",
        "好的，我知道了。",
        "我在打电话",
    ],
)
def test_other_refusals_are_no_wish_not_to_be_called(text: str) -> None:
    assert Intent.OPT_OUT not in intents(text)


@pytest.mark.parametrize(
    "text",
    [
        "我在开会，晚点再打。",
        "晚点打给我吧",
        "等会儿再打",
        "我现在很忙",
        "在忙，回头说",
        "我正在开车",
        "现在不方便",
        "现在没空",
        "我没时间",
        "明天下午再打过来吧",
        "改天吧",
        "过一会儿再打",
        "下午三点以后再打吧",
        "I'm in a meeting, call me later",
        "could you call back tomorrow",
    ],
)
def test_a_wish_to_be_called_later(text: str) -> None:
    assert intents(text)[0] is Intent.CALLBACK


@pytest.mark.parametrize(
    "text", ["我不忙，你说", "没在开会，方便的", "方便，你说吧。", "等一下，你是哪里的？", "你忙吗"]
)
def test_what_only_sounds_like_later_is_not(text: str) -> None:
    assert Intent.CALLBACK not in intents(text)


@pytest.mark.parametrize(
    "text", ["你打错了", "打错电话了吧", "没有这个人", "我不是张三", "你找谁啊", "wrong number", "我不是他本人"]
)
def test_a_wrong_number(text: str) -> None:
    assert intents(text)[0] is Intent.WRONG_NUMBER


@pytest.mark.parametrize(
    "text",
    [
        "对，我是。",
        "是的",
        "好的，没问题。",
        "嗯，好的。",
        "行，没问题。",
        "可以，我会去的。",
        "方便，你说吧。",
        "好",
        "对对对",
        "没错",
        "是我",
        "没问题",
        "挺满意的，五分。",
        "好的，我知道了。",
        "嗯，可以。",
        "好的，明白了。",
        "哦，好的，我知道了。",
        "OK",
        "yes, speaking",
        "Sure, no problem.",
        "不好意思，你继续说，可以的",
    ],
)
def test_a_yes(text: str) -> None:
    assert Intent.YES in intents(text), intents(text)
    assert Intent.NO not in intents(text)


@pytest.mark.parametrize(
    "text",
    [
        "不用了，我不需要。",
        "不是",
        "不去了",
        "不方便",
        "不行",
        "没有",
        "没兴趣",
        "算了",
        "不太满意",
        "好的，不用了",
        "我去不了",
        "No, thank you.",
        "I can't",
        "不对",
        "不要",
        "真的不需要，再见。",
    ],
)
def test_a_no(text: str) -> None:
    assert Intent.NO in intents(text), intents(text)
    assert Intent.YES not in intents(text)


@pytest.mark.parametrize("text", ["对不起", "不好意思", "不知道", "随便", "五分", "啊？"])
def test_what_is_neither_yes_nor_no(text: str) -> None:
    assert not {Intent.YES, Intent.NO} & set(intents(text)), intents(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("几点开始？", Intent.ASK_WHEN),
        ("什么时候啊", Intent.ASK_WHEN),
        ("What time is it?", Intent.ASK_WHEN),
        ("在哪里？", Intent.ASK_WHERE),
        ("地址是什么", Intent.ASK_WHERE),
        ("怎么走", Intent.ASK_WHERE),
        ("等一下，你是哪里的？", Intent.ASK_WHO),
        ("你是谁", Intent.ASK_WHO),
        ("哪位？", Intent.ASK_WHO),
        ("喂，你好，你是哪位啊？", Intent.ASK_WHO),
        ("什么事？", Intent.ASK_WHAT),
        ("是我，怎么了？", Intent.ASK_WHAT),
        ("你是机器人吗", Intent.ROBOT),
        ("再说一遍", Intent.REPEAT),
        ("没听清", Intent.REPEAT),
        ("啊？", Intent.REPEAT),
        ("什么？", Intent.REPEAT),
        ("pardon?", Intent.REPEAT),
        ("再见", Intent.GOODBYE),
        ("行了行了，我先挂了，再见。", Intent.GOODBYE),
        ("好，那先这样", Intent.GOODBYE),
        ("bye bye", Intent.GOODBYE),
        ("好的，谢谢，再见。", Intent.GOODBYE),
        ("谢谢", Intent.THANKS),
        ("喂？", Intent.HELLO),
        ("喂，你好。", Intent.HELLO),
        ("喂？听得到吗？", Intent.HELLO),
        ("嗯。", Intent.BACKCHANNEL),
        ("哦", Intent.BACKCHANNEL),
    ],
)
def test_questions_and_courtesies(text: str, expected: Intent) -> None:
    assert expected in intents(text), intents(text)


@pytest.mark.parametrize("text", ["别挂", "先别挂电话", "你不要挂"])
def test_asking_to_stay_on_the_line_is_no_goodbye(text: str) -> None:
    assert Intent.GOODBYE not in intents(text)


@pytest.mark.parametrize("text", ["", "。。。", "  ", "！"])
def test_nothing_means_nothing(text: str) -> None:
    assert intents(text) == ()


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_error_and_each_intent_once(text: str) -> None:
    found = intents(text)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("嗯。好的，我知道了。", True), ("喂，你好", True), ("", False), ("好的，几点？", False), ("不是", False)],
)
def test_an_acknowledgement_says_only_that_somebody_listens(text: str, expected: bool) -> None:
    assert is_acknowledgement(text) is expected


@pytest.mark.parametrize(
    "text",
    [
        "别再打给我了",
        "不要再打了",
        "再打我就投诉你们",
        "以后别联系我",
        "别打扰我了",
        "拉黑了啊，再打",
        "取消订阅",
        "退订",
        "不要给我打电话",
        "别打了",
        "请不要再打电话",
        "以后不要打电话给我",
        "不想再接到你们电话",
        "把我拉黑吧",
        "不用再给我打电话了",
        "以后不用联系我了",
        "别骚扰我",
        "不要打扰",
        "你们别老打电话",
        "天天打烦不烦，再打报警",
        "以后别打过来了",
        "把我的号码删了",
        "我要投诉你们骚扰",
        "不许再打",
        "勿扰，不要来电",
        "不希望你们再联系我",
        "不想让你们打电话",
        "把我加入黑名单",
        "don't call me again",
        "stop calling me",
        "别再打给我了，我在上班",
        "不要再联系",
        "别再打电话来了",
        "不能再打了",
        "甭再打了",
    ],
)
def test_whoever_asks_not_to_be_called_again_is_heard(text: str) -> None:
    assert Intent.OPT_OUT in intents(text)


@pytest.mark.parametrize(
    "text",
    [
        "我要投诉你们快递员，包裹都被弄丢了。",
        "我是他爱人，我现在不能联系他，你晚上再打吧。",
        "我没有拉黑你们",
        "我想问怎么取消订阅",
        "你不用联系他，联系我就行",
        "他不希望联系方式被公开",
        "不想打扰你们",
        "你别老打岔",
        "不用打电话了，我明天自己去取",
        "你不要打断我",
        "不用给我打电话，发微信就行",
        "之前加过黑名单的那个人是谁",
        "这个退订短信是什么意思",
        "不要挂",
        "现在别打，晚上再打给我",
        "我在开会，别打了，下午再打",
        "打扰了",
        "特别打扰您了",
        "没有，打错了",
        "我联系不上他",
        "我不想联系方式外泄",
        "你别打给他，打给我",
        "别人打了电话给我",
    ],
)
def test_a_complaint_a_question_a_plan_or_not_now_is_no_wish_never_to_be_called(text: str) -> None:
    """The number would be on the do-not-call list for good."""
    assert Intent.OPT_OUT not in intents(text)
