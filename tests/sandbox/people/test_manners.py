"""Everybody in the built-in directory behaves as their manner says, against a robot in simulated time."""

from __future__ import annotations

import numpy as np
import pytest

from sandbox.people.directory import Directory
from sandbox.phone import figures
from tests.sandbox.people.rehearsal import Rehearsal, speech_of

INVITATION = ["您好，请问您是张先生吗？", "周六有一场活动，邀请您参加，可以吗？", "好的，期待您的光临，再见。"]
LONG = "您好，我是未来科技大学招生办公室的小助手，想占用您一分钟时间介绍一下我们今年的开放日活动。"


def test_a_talker_agrees_answers_and_says_goodbye() -> None:
    talk = Rehearsal("talker", INVITATION).run()
    assert talk.texts("greeting") == ["喂，你好。"]
    assert talk.texts("reply") == ["对，我是。", "可以，我会去的。", "好的，再见。"]


def test_a_talker_hangs_up_when_the_robot_does_not_after_the_goodbyes() -> None:
    talk = Rehearsal("talker", INVITATION, wait=3.0).run()
    assert (talk.ended_by, talk.why) == ("callee", "said goodbye")


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("请问您清楚了吗？", "清楚了。"),
        ("请问您到时候方便参加吗？", "可以，我会去的。"),
        ("请问您能按时到吗？", "能到，没问题。"),
        ("从一分到五分，您给这次体验打几分？", "挺满意的，五分。"),
        ("有没有遇到什么不方便的地方？", "没有，都挺好的。"),
        ("请问您现在方便吗？", "方便，你说吧。"),
        ("您愿意把我们推荐给朋友吗？", "愿意推荐。"),
    ],
)
def test_a_talker_answers_what_is_asked_as_often_as_it_is_asked(asked: str, answer: str) -> None:
    assert Rehearsal("talker", [asked, asked]).run().texts("reply") == [answer, answer]


def test_an_asker_wants_to_know_when_and_where_then_leaves() -> None:
    talk = Rehearsal("asker", [LONG, "下午三点开始。", "在图书馆一楼。"], wait=2.0).run()
    assert talk.texts("reply") == ["几点开始？", "在哪里？", "好的，谢谢，再见。"]
    assert (talk.ended_by, talk.why) == ("callee", "had said all")


def test_a_decliner_refuses_twice_and_hangs_up() -> None:
    talk = Rehearsal("decliner", [*INVITATION[:2], "真的很不错的。"], wait=2.0).run()
    assert talk.texts("reply") == ["是我，怎么了？", "不用了，我不需要。", "真的不需要，再见。"]
    assert talk.ended_by == "callee"


def test_an_interrupter_cuts_in_mid_sentence_and_the_robot_gives_way() -> None:
    talk = Rehearsal("interrupter", ["您好，请问是张先生吗？", LONG], yields_after=0.2).run()
    rows = figures.barge_ins(talk.said, talk.hearing, talk.talk.samples)
    assert [row["kind"] for row in rows] == ["interruption"]
    assert rows[0]["cleaned"]
    assert not rows[0]["went_on"]
    assert 100 < rows[0]["heard_ms"] < 600


def test_a_murmurer_says_a_short_word_while_the_robot_talks_on() -> None:
    talk = Rehearsal("murmurer", ["您好，请问是张先生吗？", LONG]).run()
    rows = figures.barge_ins(talk.said, talk.hearing, talk.talk.samples)
    assert [row["kind"] for row in rows] == ["murmur"]
    assert rows[0]["went_on"]
    assert not rows[0]["cleaned"]
    assert talk.texts("reply") == ["对，我是。", "好的，我知道了。"]


def test_a_cougher_coughs_while_the_robot_talks() -> None:
    talk = Rehearsal("cougher", [LONG]).run()
    assert [sound.kind for sound in talk.said] == ["greeting", "cough", "reply"]


def test_a_silent_person_never_makes_a_sound_nor_hangs_up() -> None:
    talk = Rehearsal("silent", [LONG, "请问您在听吗？", "那就不打扰您了，再见。"], wait=5.0).run()
    assert talk.said == []
    assert talk.ended_by == "robot"
    assert max(int(np.abs(frame).max()) for frame in talk.frames) < 300


def test_a_leaver_hangs_up_in_the_middle_of_a_sentence() -> None:
    talk = Rehearsal("leaver", [LONG]).run()
    assert (talk.ended_by, talk.why) == ("callee", "left mid-sentence")
    assert talk.talk.stream.buffered > 0


@pytest.mark.parametrize(("manner", "wish"), [("refuser", "别再打给我了。"), ("busy", "我在开会，晚点再打。")])
def test_a_wish_is_spoken_after_the_first_sentence(manner: str, wish: str) -> None:
    talk = Rehearsal(manner, [LONG, "好的，打扰了，再见。"]).run()
    assert talk.texts("reply")[0] == wish
    assert wish in talk.heard_by_robot


def test_a_mailbox_prompts_beeps_records_and_hangs_up() -> None:
    talk = Rehearsal("voicemail", [], wait=30.0).run()
    assert [sound.kind for sound in talk.said] == ["prompt", "beep"]
    assert "请在提示音后留言" in talk.heard_by_robot
    assert (talk.ended_by, talk.why) == ("callee", "recording full")


def test_a_slow_person_lets_the_robot_wait_for_a_greeting() -> None:
    talk = Rehearsal("slow", INVITATION, wait=3.0).run()
    assert talk.said[0].start is not None
    assert talk.said[0].start >= 2 * 8000


def test_words_come_through_a_noisy_line() -> None:
    talk = Rehearsal("noisy", [LONG]).run()
    assert "我这边有点吵" in talk.heard_by_robot


def test_a_chatterbox_talks_over_everything_and_hangs_up() -> None:
    talk = Rehearsal("chatterbox", [LONG] * 5, wait=0.2).run()
    assert len(talk.texts("talk_over")) == 4
    assert (talk.ended_by, talk.why) == ("callee", "had said all")
    rows = figures.barge_ins(talk.said, talk.hearing, talk.talk.samples)
    assert rows
    assert all(row["went_on"] for row in rows[:-1])


def test_an_unclear_person_says_little() -> None:
    talk = Rehearsal("unclear", [LONG, "请问可以吗？", "您听清了吗？"]).run()
    assert talk.texts("reply") == ["啊？", "什么？", "哦。"]


def test_a_presser_answers_with_keys() -> None:
    talk = Rehearsal("presser", ["满意请按一，不满意请按二。", "请再按一次。"]).run()
    assert talk.texts("digits") == ["1", "1"]


def test_a_fleeting_person_is_gone_before_the_robot_speaks() -> None:
    talk = Rehearsal("fleeting", [LONG]).run()
    assert (talk.ended_by, talk.why) == ("callee", "left")
    assert talk.said == []
    assert len(talk.frames) == 15


def test_somebody_who_hears_nothing_asks_twice_and_hangs_up() -> None:
    talk = Rehearsal("talker", [], wait=59.0).run()
    assert talk.texts("check") == ["喂？听得到吗？", "喂？"]
    assert (talk.ended_by, talk.why) == ("callee", "heard nothing")


def test_every_line_of_every_manner_can_be_spoken() -> None:
    directory = Directory()
    manners = {row["manner"] for row in directory.table()}
    lines = {line for name in manners for line in directory.manner(name).lines()}
    assert len(lines) > 30
    assert [line for line in lines if len(speech_of(line, 0)) < 800] == []
