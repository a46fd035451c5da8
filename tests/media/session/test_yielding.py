"""Barge-in and its reversal, as a session does it."""

from __future__ import annotations

import pytest

from media.protocol import events
from media.protocol.commands import Pause, Tts
from media.turns import TurnRule
from tests.media.twins import Scene, loud, with_options

LONG = "一二三四五六七八九十一二三四五六七八九十"


def talking(**options: object) -> Scene:
    scene = Scene(with_options(**options))
    scene.session.submit(Tts(text=LONG, play_id="a"))
    scene.run(1.04)
    return scene


def test_our_voice_stops_at_the_onset() -> None:
    scene = talking()
    sent = len(scene.leg.sent)
    scene.speech_starts()
    scene.run(0.4)
    assert len(scene.leg.sent) == sent
    assert scene.names[-1] == "speaking"


def test_speech_that_goes_on_interrupts_within_half_a_second() -> None:
    scene = talking()
    scene.speech_starts()
    scene.run(0.52)
    assert scene.names == ["answer", "trackStart", "speaking", "interruption", "trackEnd"]
    assert scene.leg.clears == 1
    told = scene.of(events.Interruption)[0]
    assert told.position == 5
    assert scene.recording.turns == [("assistant", "一二三四五", True)]


def test_real_words_interrupt_at_once() -> None:
    scene = talking()
    scene.speech_starts()
    scene.run(0.1)
    scene.understood("等一下")
    assert scene.names[-2:] == ["interruption", "trackEnd"]


def test_a_backchannel_lets_the_voice_go_on_with_little_repeated() -> None:
    scene = talking()
    scene.speech_starts()
    scene.run(0.2)
    scene.understood("嗯")
    scene.run(0.1)
    scene.speech_ends()
    scene.run(0.1)
    assert not scene.of(events.Interruption)
    scene.run(5)
    assert scene.of(events.TrackEnd)[0].duration == 4000
    assert ("assistant", LONG, False) in scene.recording.turns
    assert len(scene.leg.sent) * 20 <= 4000 + 40, "at most 40 ms are repeated"


def test_a_cough_lets_the_voice_go_on() -> None:
    scene = talking()
    scene.speech_starts()
    scene.run(0.3)
    scene.speech_ends()
    scene.run(0.1)
    assert loud(scene.leg.sent)[-1] > 0
    assert not scene.of(events.Interruption)


def test_words_that_come_late_still_interrupt() -> None:
    scene = talking()
    scene.speech_starts()
    scene.run(0.3)
    scene.speech_ends()
    scene.run(0.1)
    scene.understood("不需要", final=True)
    assert scene.names[-2:] == ["interruption", "trackEnd"]


def test_the_turn_of_a_backchannel_is_marked_overlapped() -> None:
    scene = talking()
    scene.speech_starts()
    scene.understood("嗯", final=True)
    scene.speech_ends()
    scene.run(1.5)
    assert [(turn.text, turn.overlapped) for turn in scene.of(events.Eou)] == [("嗯", True)]


def test_the_turn_of_an_interruption_is_not() -> None:
    scene = talking()
    scene.speech_starts()
    scene.understood("不需要。", final=True)
    scene.speech_ends()
    scene.run(1.5)
    assert [(turn.text, turn.overlapped) for turn in scene.of(events.Eou)] == [("不需要。", False)]


def test_a_play_that_cannot_be_interrupted_is_heard_out() -> None:
    scene = Scene()
    scene.session.say("一二三四五", play_id="a", interruptible=False)
    scene.run(0.4)
    scene.speech_starts()
    scene.understood("等一下")
    scene.run(2)
    assert not scene.of(events.Interruption)
    assert scene.recording.turns == [("assistant", "一二三四五", False)]


def test_without_barge_in_the_driver_decides_alone() -> None:
    scene = talking(barge_in=False)
    sent = len(scene.leg.sent)
    scene.speech_starts()
    scene.understood("等一下")
    scene.run(1)
    assert len(scene.leg.sent) > sent
    assert not scene.of(events.Interruption)


def test_a_barge_in_taken_back_does_not_resume_what_the_driver_paused() -> None:
    scene = talking()
    scene.session.submit(Pause())
    sent = len(scene.leg.sent)
    scene.speech_starts()
    scene.run(0.2)
    scene.speech_ends()
    scene.run(1)
    assert len(scene.leg.sent) == sent


def test_a_result_of_a_turn_already_answered_does_not_interrupt_the_answer() -> None:
    scene = Scene()
    scene.run(0.5)
    scene.speech_starts()
    scene.understood("你是谁啊？")
    scene.speech_ends()
    scene.run(0.6)
    assert scene.of(events.Eou)[0].text == "你是谁啊？"
    scene.session.submit(Tts(text=LONG, play_id="a"))
    scene.run(0.3)
    scene.understood("你是谁呀？", final=True)
    scene.run(1)
    assert not scene.of(events.Interruption)
    assert scene.recording.turns == [("user", "你是谁呀？", False)], "the line has the final text"


def test_a_backchannel_that_was_final_before_the_verdict_does_not_interrupt() -> None:
    scene = talking()
    scene.speech_starts()
    scene.run(0.3)
    scene.understood("嗯。", final=True)
    scene.run(0.3)
    scene.speech_ends()
    scene.run(0.5)
    assert not scene.of(events.Interruption)


@pytest.mark.parametrize("heard", [1.9, 1.94, 1.96, 1.98])
def test_who_answers_into_our_last_syllable_still_hears_what_we_say_next(heard: float) -> None:
    """All of the track has left by then: it ends within the pause, which must not outlive it."""
    scene = Scene(with_options(barge_in=True))
    scene.session.submit(Tts(text=LONG[:10], play_id="a"))
    scene.run(heard)
    scene.speech_starts()
    scene.run(0.3)
    scene.understood("好的")
    scene.speech_ends()
    scene.run(1)
    sent = len(scene.leg.sent)
    scene.session.submit(Tts(text="一二三四五", play_id="b"))
    scene.run(2)
    assert len(scene.leg.sent) - sent == 50
    assert scene.recording.turns[-1] == ("assistant", "一二三四五", False)


def test_a_pause_of_the_drivers_ends_with_the_track_it_was_for() -> None:
    scene = Scene(with_options(barge_in=False))
    scene.session.submit(Tts(text="一二三四五", play_id="a"))
    scene.run(0.98)
    scene.session.submit(Pause())
    scene.run(1)
    assert scene.names[-1] == "trackEnd"
    scene.session.submit(Tts(text="一二三四五", play_id="b"))
    scene.run(2)
    assert scene.recording.turns[-1] == ("assistant", "一二三四五", False)
    assert len(scene.leg.sent) == 100


def test_our_voice_does_not_begin_over_words_that_are_still_being_said() -> None:
    scene = Scene(with_options(turns=TurnRule()))
    scene.synthesizer.instant = False
    scene.session.say("好的，我这就帮您看一下。", play_id="a")
    scene.run(0.1)
    scene.speech_starts()
    scene.run(0.4)
    scene.understood("等一下我还")
    scene.run(0.3)
    scene.synthesizer.streams[-1].speak()
    scene.synthesizer.streams[-1].done()
    scene.run(0.3)
    assert sum(map(bool, loud(scene.leg.sent))) <= 3, "the lead alone, which is flushed: the customer speaks"
    assert scene.of(events.Interruption)


def test_words_of_a_turn_that_is_over_hold_no_voice_back_in_a_noisy_line() -> None:
    scene = Scene(with_options(turns=TurnRule()))
    scene.speech_starts()
    scene.run(0.4)
    scene.understood("等一下", final=True)
    scene.run(2.0)
    assert scene.of(events.Eou)
    scene.session.say("一二三四五", play_id="a")
    scene.run(2.0)
    assert not scene.of(events.Interruption)
    assert ("assistant", "一二三四五", False) in scene.recording.turns
