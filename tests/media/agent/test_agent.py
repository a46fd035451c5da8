"""The agent's manners, one conversation each, against a session in memory on a clock that tests move."""

from __future__ import annotations

import dataclasses

import pytest

from media.agent.agent import Agent
from media.agent.brain import ScriptedBrain
from media.agent.loading import load_playbook
from media.agent.parting import CUT_GOODBYE_SECONDS
from media.agent.scripted import MAX_RESUMED
from media.agent.templates import compile_text
from media.agent.ticket import sample_fields
from media.protocol import events
from tests.media.twins import Scene, with_options

from .conftest import CONTENT, PLAYBOOKS, Call


def greeted(playbook: str = "活动通知", **more: str) -> Call:
    """A call in which the customer said hello and heard the greeting."""
    call = Call(playbook, **more).answer()
    call.wait(0.4)
    call.speak("喂，你好。")
    call.listen()
    return call


# --- opening -------------------------------------------------------------------------------------------------------


def test_it_lets_the_customer_say_hello_first() -> None:
    call = Call("活动通知").answer()
    call.wait(0.4)
    call.speak("喂，你好。")
    assert call.said == []
    assert call.listen() == "您好，请问是张三吗？"


def test_it_greets_whoever_says_nothing() -> None:
    call = Call("活动通知").answer()
    call.wait(0.85)
    assert call.listen() == "您好，请问是张三吗？"


def test_a_hello_that_runs_into_the_greeting_gets_the_greeting_again() -> None:
    call = Call("活动通知").answer()
    call.wait(1.2)
    call.speak("喂？你好。")
    assert call.listen() == "您好，请问是张三吗？"
    assert "对，我是" not in call.said


def test_a_hello_while_the_stream_is_not_open_yet_does_not_cost_the_greeting() -> None:
    scene = Scene(with_options(), began=False)
    book = load_playbook(PLAYBOOKS / "活动通知.md")
    agent = Agent(scene.session, book, sample_fields(), lambda host: ScriptedBrain(host, book, sample_fields()))
    scene.leg.ready = False
    scene.session.start(agent)
    for _ in range(2):
        scene.run(0.3)
        scene.speech_starts()
        scene.run(0.4)
        scene.understood("喂？", final=True)
        scene.speech_ends()
        scene.run(1.5)
    scene.leg.ready = True
    scene.run(5)
    assert scene.recording.turns == [
        ("user", "喂？", False),
        ("user", "喂？", False),
        ("assistant", "您好，请问是张三吗？", False),
    ]


def test_a_cough_that_cut_the_greeting_gets_the_greeting_again() -> None:
    call = Call("活动通知").answer()
    call.wait(1.2)
    call.speak("")
    assert call.listen() == "您好，请问是张三吗？"


def test_who_is_busy_with_the_first_words_is_not_greeted() -> None:
    call = Call("活动通知").answer()
    call.wait(0.3)
    call.speak("喂，我在开会呢。")
    assert "什么时候方便" in call.listen()


def test_somebody_who_never_stops_talking_is_greeted_in_the_end() -> None:
    call = Call("活动通知").answer()
    call.wait(0.3)
    call.speak("嗯" * 30, 9.0)
    call.listen()
    assert call.said[0] == "您好，请问是张三吗？"


# --- conversations -------------------------------------------------------------------------------------------------


def test_a_customer_who_agrees_hears_all_and_the_call_ends_after_the_goodbye() -> None:
    call = greeted()
    assert "优惠活动" in call.talk("对，我是。")
    assert "期待您的到来" in call.talk("可以，我会去的。")
    assert call.over
    assert call.reason == "goodbye"
    assert call.tags == [("attending", "yes")]


def test_questions_are_answered_from_the_ticket() -> None:
    call = greeted()
    assert "明天下午三点" in call.talk("几点开始？")
    assert "人民广场" in call.talk("在哪里？")
    assert "再见" in call.talk("好的，谢谢，再见。")
    assert call.over


def test_who_is_busy_is_asked_when_and_called_back() -> None:
    call = greeted()
    call.talk("我在开会，晚点再打。")
    assert "再见" in call.talk("下午三点以后吧。")
    assert call.over
    assert ("callback_wanted", "下午三点以后吧。") in call.tags


def test_a_wrong_number_is_noted() -> None:
    call = greeted()
    call.talk("你打错了")
    assert call.over
    assert ("wrong_number", "") in call.tags


@pytest.mark.parametrize("playbook", ["default", "活动通知", "新用户回访", "预约提醒"])
def test_who_wants_no_more_calls_is_let_go_at_once(playbook: str) -> None:
    call = greeted(playbook)
    said = call.talk("别再打给我了。")
    assert "不会再给您打电话" in said
    assert call.over
    assert call.tags == [("do_not_call", "别再打给我了。")]


def test_who_wants_no_more_calls_may_say_so_with_the_first_words() -> None:
    call = Call("default").answer()
    call.speak("不要再给我打电话了")
    call.listen()
    assert call.over
    assert call.tags[0][0] == "do_not_call"


def test_who_says_so_over_our_goodbye_is_heard_too() -> None:
    call = greeted()
    call.talk("对")
    call.speak("不用了，我不需要。")
    call.murmur("以后别再打了")
    call.listen()
    assert ("do_not_call", "以后别再打了") in call.tags
    assert call.over


def test_a_customer_who_repeats_nonsense_is_asked_again_and_then_left_alone() -> None:
    call = greeted()
    for _ in range(2):
        assert "没有听清" in call.talk("哈利路亚阿弥陀佛")
    assert "再见" in call.talk("哈利路亚阿弥陀佛")
    assert call.over
    assert ("unclear", "") in call.tags


def test_asked_to_repeat_it_says_the_same_again() -> None:
    call = greeted()
    first = call.talk("对，我是。")
    assert first == f"打扰您一分钟。{call.talk('什么？再说一遍。')}"


def test_keys_of_the_phone_answer_too() -> None:
    call = greeted()
    call.press("1")
    assert "方便参加" in call.listen()
    call.press("9")
    call.press("2")
    call.listen()
    assert call.over
    assert call.tags == [("attending", "no")]


def test_a_key_pressed_before_its_question_was_heard_is_asked_for_again() -> None:
    call = greeted()
    call.speak("对，我是。")
    call.wait(2.0)
    call.press("1")
    assert call.listen() == f"{CONTENT}请问您到时候方便参加吗？"
    assert call.tags == []
    call.press("1")
    call.listen()
    assert call.tags == [("attending", "yes")]


def test_a_key_pressed_into_our_first_syllable_does_not_join_the_turns_around_it() -> None:
    call = greeted()
    call.speak("对，我是。")
    call.wait(0.3)
    call.press("1")
    assert call.listen() == f"{CONTENT}请问您到时候方便参加吗？"
    call.talk("可以")
    assert call.tags == [("attending", "yes")]


def test_a_key_without_a_meaning_does_not_stop_our_voice() -> None:
    call = greeted()
    call.speak("对，我是。")
    call.wait(2.0)
    call.press("9")
    assert "方便参加吗" in call.listen()
    assert not any(turn.cut for turn in call.turns)


def test_a_key_pressed_long_after_the_question_stops_the_reminder() -> None:
    call = greeted()
    call.wait(5.5)
    call.press("1")
    call.wait(3.0)
    assert "方便参加" in call.listen()


def test_it_does_not_say_the_same_for_ever() -> None:
    call = greeted()
    call.talk("对")
    for _ in range(8):
        if not call.over:
            call.talk("什么？")
    assert call.over
    assert ("unclear", "") in call.tags


# --- interruptions -------------------------------------------------------------------------------------------------


def test_an_interruption_is_answered_and_then_what_was_not_heard_is_said() -> None:
    call = greeted()
    call.speak("对，我是。")
    call.wait(3.0)
    call.speak("等一下，你是哪里的？")
    assert call.listen().endswith(
        f"我是活动组委会的智能语音助手，给您来电是想通知您一个活动。{CONTENT}请问您到时候方便参加吗？"
    )
    heard = [turn for turn in call.turns if turn.cut]
    assert len(heard) == 1
    assert heard[0].content == "打扰您一分钟。提醒您明天下午三点在"[: len(heard[0].content)]
    call.talk("可以")
    assert call.tags == [("attending", "yes")]


def test_a_yes_after_an_interruption_counts_only_once_the_notice_was_heard() -> None:
    call = greeted()
    call.speak("对，我是。")
    call.wait(2.0)
    call.speak("等一下，你是哪里的？")
    call.wait(3.0)
    call.speak("可以")
    assert call.tags == []
    assert call.listen() == f"{CONTENT}请问您到时候方便参加吗？"
    call.talk("可以")
    assert call.tags == [("attending", "yes")]


def test_a_goodbye_into_a_notice_that_was_not_heard_is_no_yes() -> None:
    call = greeted()
    call.speak("对，我是。")
    call.wait(2.0)
    call.speak("好的，谢谢，再见。")
    call.listen()
    assert call.over
    assert call.tags == []


def test_a_refusal_needs_no_notice() -> None:
    call = greeted()
    call.speak("对，我是。")
    call.wait(2.0)
    call.speak("不用了，我没兴趣。")
    call.listen()
    assert call.tags == [("attending", "no")]


def test_who_cuts_in_again_and_again_is_left_alone() -> None:
    call = greeted()
    call.speak("对，我是。")
    times = 0
    while not call.tags and times < 10:
        call.wait(2.0)
        call.speak("等一下，你是谁？")
        times += 1
    assert times == 1 + MAX_RESUMED
    call.listen()
    assert call.over
    assert call.tags == [("unheard", "")]
    assert call.said[-1].endswith("再见。")


def test_after_a_long_cough_we_go_on_with_the_sentence_that_it_cut() -> None:
    call = greeted()
    call.speak("对，我是。")
    call.wait(2.0)
    call.speak("")
    call.wait(1.5)
    assert call.listen() == f"{CONTENT}请问您到时候方便参加吗？", "without waiting for a reminder"
    call.talk("可以，我会去的。")
    assert call.tags == [("attending", "yes")]


def test_who_coughs_on_is_told_that_we_do_not_hear() -> None:
    call = greeted()
    call.speak("对，我是。")
    for _ in range(2):
        call.wait(2.0)
        call.speak("", 0.8)
    call.listen()
    assert CONTENT in call.said[-1]
    assert not call.said[-1].startswith(CONTENT)


@pytest.mark.parametrize("then", ["好的。", "在什么地方？"])
def test_noises_are_not_the_customer_cutting_in(then: str) -> None:
    call = greeted()
    call.speak("对，我是。")
    for _ in range(3):
        call.wait(2.0)
        call.speak("", 0.45)
    assert call.talk(then)
    assert not call.over
    assert call.tags == []


def test_where_it_is_noisy_our_voice_does_not_begin_again_and_again() -> None:
    call = greeted()
    call.speak("对，我是。")
    for _ in range(6):
        call.wait(1.5)
        call.speak("", 0.45)
    assert sum(said.startswith(CONTENT[:6]) for said in call.said) <= 2


def test_who_asks_what_it_is_about_hears_it_once() -> None:
    call = greeted()
    call.speak("对，我是。")
    call.wait(2.0)
    call.speak("什么事啊？")
    assert call.listen() == f"{CONTENT}请问您到时候方便参加吗？"


def test_a_murmur_while_we_speak_changes_nothing() -> None:
    call = greeted()
    call.speak("对，我是。")
    call.wait(1.0)
    call.murmur("嗯。")
    assert "方便参加吗" in call.listen()
    call.wait(1.0)
    assert not call.over
    assert call.tags == []


def test_a_yes_to_a_question_that_was_not_heard_is_none() -> None:
    call = greeted()
    call.speak("对，我是。")
    call.wait(1.5)
    call.speak("嗯，好的，我知道了。")
    assert "方便参加吗" in call.listen()
    assert call.tags == []
    call.talk("可以")
    assert call.tags == [("attending", "yes")]


def test_an_answer_into_our_last_word_counts() -> None:
    call = greeted()
    call.speak("对，我是。")
    play = 0.2 * len("打扰您一分钟。提醒您明天下午三点在人民广场参加优惠活动。请问您到时候方便参加吗？")
    call.wait(play - 1.2)
    call.murmur("好的")
    call.listen()
    assert call.tags == [("attending", "yes")]


def test_a_turn_that_goes_on_after_a_pause_is_answered_as_a_whole() -> None:
    call = greeted()
    call.speak("我是", 0.5)
    call.wait(0.1)
    call.speak("不是张三，你打错了", 1.0)
    call.listen()
    assert call.over
    assert ("wrong_number", "") in call.tags
    assert call.said[-1].startswith("不好意思，打扰您了")


def test_a_courtesy_over_our_goodbye_does_not_keep_the_line() -> None:
    call = greeted()
    call.talk("对")
    call.speak("可以")
    call.murmur("好，再见")
    call.listen()
    assert call.over
    assert call.tags == [("attending", "yes")]


def test_a_question_over_our_goodbye_is_still_answered_once() -> None:
    call = greeted()
    call.talk("对")
    call.speak("可以")
    call.murmur("在哪里啊")
    assert call.listen() == "活动地点在人民广场。好的，感谢您的接听，再见。"
    assert call.over
    assert call.tags == [("attending", "yes")]


def agreed() -> Call:
    """A call whose goodbye has just begun."""
    call = greeted()
    call.talk("对")
    call.speak("可以")
    call.wait(1.0)
    return call


@pytest.mark.parametrize(
    "said", ["等一下，先别挂，我还有个问题要问。", "别挂。", "不要挂电话", "等一下，可以带孩子吗？"]
)
def test_who_asks_us_to_wait_stops_the_goodbye_and_is_listened_to(said: str) -> None:
    call = agreed()
    call.speak(said)
    assert call.listen() == "好的，您请说。"
    assert not any("期待您的到来" in text for text in call.said), "it was stopped"
    assert call.talk("在什么地方？") == "活动地点在人民广场。好的，感谢您的接听，再见。"
    assert call.over
    assert call.tags == [("attending", "yes")]


def test_a_change_of_mind_after_the_goodbye_counts() -> None:
    call = agreed()
    call.speak("等一下，我那天去不了。")
    assert "没关系" in call.listen()
    assert call.tags == [("attending", "yes"), ("attending", "no")]
    assert call.over


def test_who_asked_us_to_wait_and_says_no_more_is_left_with_a_goodbye() -> None:
    call = agreed()
    call.speak("等一下。")
    call.listen()
    call.wait(30)
    assert call.over
    assert call.said[-1] == "好的，感谢您的接听，再见。"
    assert call.tags == [("attending", "yes")]


def test_what_the_script_cannot_answer_after_its_goodbye_is_asked_about_and_let_go() -> None:
    call = agreed()
    call.speak("等一下，先别挂。")
    for _ in range(4):
        if not call.over:
            call.talk("那个安装费的事情")
    assert call.over
    assert call.said[-1].endswith("再见。")
    assert call.tags == [("attending", "yes")]


def test_who_asks_us_to_wait_for_ever_is_left_in_the_end() -> None:
    call = agreed()
    for _ in range(20):
        if not call.over:
            call.speak("等一下，先别挂")
            call.wait(0.5)
    call.wait(60)
    assert call.over
    assert call.said[-1].endswith("再见。")


@pytest.mark.parametrize("said", ["等一下，还有个问题，在哪里？", "在什么地方？"])
def test_who_still_speaks_when_our_goodbye_ends_is_heard_out(said: str) -> None:
    call = agreed()
    call.wait(0.2 * len("太好了，已经帮您登记，期待您的到来。再见。") - 1.5)
    call.speak(said, 3.0, interrupts=False)
    assert not call.over
    assert "人民广场" in call.listen()
    assert call.over


def test_a_noise_at_the_end_of_our_goodbye_does_not_hold_the_line() -> None:
    call = agreed()
    call.wait(0.2 * len("太好了，已经帮您登记，期待您的到来。再见。") - 1.5)
    call.make_noise()
    call.wait(0.6 + CUT_GOODBYE_SECONDS)
    assert call.over
    assert call.reason == "goodbye"


def test_words_without_end_after_our_goodbye_do_not_hold_the_line() -> None:
    call = agreed()
    call.wait(0.2 * len("太好了，已经帮您登记，期待您的到来。再见。") - 1.5)
    call.make_noise()
    for _ in range(40):
        call.wait(0.5)
        call._recognise(events.AsrDelta, "今天的新闻", call.clock.now_ms())
    assert call.over


def test_after_a_failure_nobody_is_promised_an_answer() -> None:
    call = greeted()
    call.ending()
    call.wait(1.0)
    call.murmur("等一下，先别挂")
    assert "时间快到了" in call.listen()
    assert call.over


# --- silence, machines, time ---------------------------------------------------------------------------------------


def test_silence_is_asked_about_then_the_call_ends_with_a_goodbye() -> None:
    call = Call("活动通知").answer()
    call.wait(60)
    assert call.said == [
        "您好，请问是张三吗？",
        "您好，请问您还在听吗？请问是张三吗？",
        "好像听不到您的声音，那先不打扰您了，再见。",
    ]
    assert call.over
    assert call.tags == [("no_input", "")]


def test_an_answer_after_a_reminder_starts_the_count_again() -> None:
    call = greeted()
    call.wait(8.0)
    call.talk("对，我是")
    call.wait(7.0)
    call.listen()
    assert not call.over
    assert call.said[-1].startswith("您好，请问您还在听吗？")


def test_a_cough_only_starts_the_wait_again() -> None:
    call = greeted()
    for _ in range(3):
        call.wait(5.0)
        call.speak("", 0.4)
    call.wait(4.0)
    assert call.said == ["您好，请问是张三吗？"]


@pytest.mark.parametrize("into_our_voice", [True, False])
def test_noise_that_never_ends_does_not_hold_the_line(into_our_voice: bool) -> None:
    call = greeted()
    if into_our_voice:
        call.speak("对，我是。")
        call.wait(1)
    call.make_noise()
    call.wait(80)
    assert call.over
    assert ("no_input", "") in call.tags
    assert "再见" in call.said[-1]


def test_words_that_go_on_and_on_are_no_noise() -> None:
    call = greeted()
    call.speak("我想问一下你们的活动" * 4, 9.5)
    call.listen()
    assert not [text for text in call.said if "还在听" in text]


def test_a_mailbox_whose_music_never_ends_is_left() -> None:
    book = dataclasses.replace(load_playbook(PLAYBOOKS / "default.md"), voicemail=compile_text("请回电。"))
    call = Call(book).answer()
    call.wait(0.4)
    call.speak("您拨打的用户暂时无法接听，请在提示音后留言。", 5.0)
    call.make_noise()
    call.wait(40)
    assert call.over
    assert call.reason == "voicemail"


def test_a_mailbox_is_hung_up_on_without_a_word() -> None:
    call = Call("default").answer()
    call.wait(0.4)
    call.speak("您拨打的用户暂时无法接听，请在提示音后留言。", 5.0)
    assert call.over
    assert call.reason == "voicemail"
    assert call.said == []
    assert call.tags == [("voicemail", "")]


def test_a_mailbox_that_answers_into_the_greeting_is_left_too() -> None:
    call = Call("default").answer()
    call.wait(1.0)
    call.speak("您好，您拨打的用户已关机。", 3.0)
    assert call.over
    assert ("voicemail", "") in call.tags


def test_when_time_is_up_it_says_so_and_goodbye() -> None:
    call = greeted()
    call.ending()
    assert "时间快到了" in call.listen()
    assert call.over
    assert call.tags == [("max_duration", "")]


def test_a_customer_who_hangs_up_leaves_nothing_behind() -> None:
    call = greeted()
    call.speak("对，我是。")
    call.wait(1.0)
    call.leave()
    assert call.over
    assert call.alarms == 0
    assert call.initiator == "callee"


# --- failures ------------------------------------------------------------------------------------------------------


def test_speech_that_fails_once_is_said_again() -> None:
    call = Call("活动通知").answer()
    call.speech_fails = 1
    call.wait(0.9)
    assert call.listen() == "您好，请问是张三吗？"
    assert "优惠活动" in call.talk("对")


def test_speech_that_keeps_failing_ends_the_call_with_what_the_cache_holds() -> None:
    call = Call("活动通知").answer()
    call.speech_fails = 2
    call.wait(1.0)
    call.listen()
    assert call.over
    assert "稍后再和您联系" in call.said[-1]
    assert ("speech_failed", "tts") in call.tags


def test_a_voice_that_is_gone_altogether_still_hangs_up() -> None:
    call = Call("活动通知").answer()
    call.speech_fails = 99
    call.wait(60.0)
    assert call.over
    assert ("speech_failed", "tts") in call.tags


def test_a_deaf_recogniser_is_owned_up_to_and_the_call_ended() -> None:
    call = greeted()
    call.recogniser_fails()
    call.speak("")
    assert "没有听清" in call.listen()
    call.speak("")
    call.listen()
    assert call.over
    assert ("speech_failed", "asr") in call.tags


def test_speech_that_never_becomes_words_is_owned_up_to_as_well() -> None:
    call = greeted()
    call.speak("", 1.0)
    call.wait(1.0)
    call.speak("", 1.0)
    assert "没有听清" in call.listen()
    call.wait(1.0)
    call.speak("", 1.0)
    call.listen()
    assert call.over


def test_a_recogniser_that_came_back_is_trusted_again() -> None:
    call = greeted()
    call.recogniser_fails()
    assert "优惠活动" in call.talk("对，我是")
    assert not call.over


def test_quiet_words_that_the_voice_detector_missed_meet_no_reminder() -> None:
    call = greeted()
    call.wait(5.9)
    call._recognise(events.AsrDelta, "对，", call.clock.now_ms())
    call.wait(0.5)
    assert call._voice is None, "somebody is speaking"
    call.wait(5.6)
    assert call._voice is not None
