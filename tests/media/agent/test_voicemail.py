"""Machines are told from people by what they say first, and how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.agent.voicemail import MONOLOGUE_MS, WINDOW_MS, AnswerDetector, Verdict
from tests.media.agent.answering import CONVERSATIONS, MACHINES, PEOPLE, Utterances


@pytest.mark.parametrize(
    "text",
    [
        "您拨打的用户暂时无法接听，请在提示音后留言。",
        "您好，您所拨打的电话已关机。",
        "您拨打的用户正在通话中，请稍后再拨。",
        "对不起，您拨打的号码是空号，请核对后再拨。",
        "您好，您呼叫的用户不在服务区",
        "欢迎使用语音信箱，请在嘀的一声后留言",
        "您好，我是机主的智能语音助手，机主现在不方便接听电话",
        "我是来电秘书，请问您有什么事，我可以帮您转告机主",
        "Sorry, the number you have dialed is not in service.",
        "Hi, I can't come to the phone right now, please leave a message after the tone.",
        "You have reached the voicemail of",
    ],
)
def test_what_machines_say(text: str) -> None:
    assert AnswerDetector().hear(0, text, 300, 4000, final=False) is Verdict.MACHINE


@pytest.mark.parametrize("text", ["喂，你好。", "喂？", "哪位？", "你好，请问是哪位", "Hello?"])
def test_a_short_hello_is_a_person(text: str) -> None:
    assert AnswerDetector().hear(0, text, 300, 1500, final=True) is Verdict.HUMAN


def test_a_partial_hello_decides_nothing_yet() -> None:
    detector = AnswerDetector()
    assert detector.hear(0, "您好", 300, 900, final=False) is Verdict.UNSURE
    assert detector.hear(0, "您好，您拨打的用户", 300, 2500, final=False) is Verdict.MACHINE


def test_a_phrase_over_two_sentences_is_found() -> None:
    detector = AnswerDetector()
    detector.hear(0, "您好。", 300, 900, final=True)
    assert detector.hear(1, "请在提示音后，", 1000, 3000, final=False) is Verdict.MACHINE


def test_a_long_talk_without_any_hint_stays_unsure() -> None:
    text = "我跟你说我现在正在外面办事情呢你们每次打电话来都是说这个"
    assert AnswerDetector().hear(0, text, 0, MONOLOGUE_MS + 2000, final=True) is Verdict.UNSURE


def test_a_long_talk_with_a_hint_is_a_machine() -> None:
    text = "您好感谢您的来电现在是下班时间业务咨询请按一投诉建议请按二"
    assert AnswerDetector().hear(0, text, 0, MONOLOGUE_MS, final=False) is Verdict.MACHINE


def test_the_same_words_later_in_a_call_are_a_persons() -> None:
    detector = AnswerDetector()
    detector.hear(0, "喂", 300, 700, final=True)
    assert detector.hear(5, "那我就在提示音后留言好了", WINDOW_MS + 1, WINDOW_MS + 3000, final=True) is Verdict.HUMAN


@pytest.mark.parametrize("text", ["他电话停机了", "他现在不在，无法接听", "我可以转告他"])
def test_a_person_who_said_hello_may_speak_of_machines(text: str) -> None:
    detector = AnswerDetector()
    detector.hear(0, "喂，你好", 300, 1200, final=True)
    assert detector.hear(1, text, 3000, 5000, final=True) is Verdict.HUMAN


def test_a_recorded_hello_does_not_hide_the_machine() -> None:
    detector = AnswerDetector()
    detector.hear(0, "您好", 300, 900, final=True)
    assert detector.hear(1, "您拨打的电话已关机", 1000, 3000, final=False) is Verdict.MACHINE


@given(st.lists(st.tuples(st.integers(0, 5), st.text(max_size=40), st.integers(0, 30_000), st.booleans()), max_size=12))
def test_a_machine_never_becomes_a_person(heard: list[tuple[int, str, int, bool]]) -> None:
    detector = AnswerDetector()
    machine = False
    for index, text, start, final in heard:
        verdict = detector.hear(index, text, start, start + 1000, final=final)
        assert not machine or verdict is Verdict.MACHINE
        machine = verdict is Verdict.MACHINE


@pytest.mark.parametrize(
    "utterances",
    [
        [
            ("您好，这里是海川贸易公司前台，请问您找哪位？", 400, 4600),
            ("他今天不在，有什么事我帮您转告他吧。", 8000, 13500),
        ],
        [("喂，我这边信号不太好，你是哪位啊？", 400, 3400), ("是啊，你怎么知道我号码的？", 7600, 9400)],
        [("喂，你好，请问你是哪里的，有什么事情吗？", 300, 3600), ("刚才那个来电也是你们吧？", 7000, 9000)],
        [("喂，不好意思，我刚才电话关机了，刚刚才打开。", 300, 5600)],
        [("喂，刚才在开会不方便接听，你说吧。", 300, 3600), ("嗯对。", 6500, 7000)],
    ],
)
def test_a_living_person_with_a_long_hello_is_no_machine(utterances: list[tuple[str, int, int]]) -> None:
    """Who stops and listens to us has begun anew, whatever the words are that mailboxes use as well."""
    detector = AnswerDetector()
    for index, (text, start, end) in enumerate(utterances):
        assert detector.hear(index, text, start, end, final=True) is not Verdict.MACHINE


def test_a_machine_that_pauses_between_its_sentences_talks_on() -> None:
    detector = AnswerDetector()
    detector.hear(0, "您好，欢迎致电海川贸易有限公司。", 300, 3100, final=True)
    assert detector.hear(1, "查询订单请按1，人工服务请按0。", 3600, 7000, final=True) is Verdict.MACHINE


def _listened_to(*utterances: tuple[str, int, int]) -> Verdict:
    """As a recogniser tells it: sentences that grow, then are final."""
    detector = AnswerDetector()
    for index, (text, begin, end) in enumerate(utterances):
        for length in range(2, len(text), 3):
            detector.hear(index, text[:length], begin, begin + (end - begin) * length // len(text), final=False)
        detector.hear(index, text, begin, end, final=True)
    return detector.verdict


def _later(said: tuple[str, int, int], by_ms: int) -> tuple[str, int, int]:
    return said[0], said[1] + by_ms, said[2] + by_ms


@pytest.mark.parametrize("said", MACHINES, ids=lambda said: said[0])
def test_machines_are_found(said: tuple[str, int, int]) -> None:
    assert _listened_to(said) is Verdict.MACHINE


@pytest.mark.parametrize("said", MACHINES, ids=lambda said: said[0])
def test_a_short_hello_just_before_hides_none(said: tuple[str, int, int]) -> None:
    assert _listened_to(("您好。", 300, 800), _later(said, 800)) is Verdict.MACHINE


@pytest.mark.parametrize("said", PEOPLE, ids=lambda said: said[0])
def test_people_are_talked_to_whatever_they_answer_with(said: tuple[str, int, int]) -> None:
    assert _listened_to(said) is not Verdict.MACHINE


@pytest.mark.parametrize("said", PEOPLE, ids=lambda said: said[0])
def test_people_who_answer_our_greeting_are_talked_to(said: tuple[str, int, int]) -> None:
    assert _listened_to(("喂，你好。", 300, 1200), _later(said, 5000)) is Verdict.HUMAN


@pytest.mark.parametrize("told", CONVERSATIONS, ids=lambda told: told[-1][0])
def test_people_who_go_on_after_a_pause_are_talked_to(told: Utterances) -> None:
    assert _listened_to(*told) is not Verdict.MACHINE
