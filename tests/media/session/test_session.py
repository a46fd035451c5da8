"""A session's beginning, its end, and what a driver may rely on."""

from __future__ import annotations

import asyncio

import pytest

from media.audio.errors import OddLengthError
from media.driver import SessionPort
from media.playout import Playout
from media.protocol import events
from media.protocol.commands import Hangup, Interrupt, Pause, Tts
from shared import recordings
from tests.media.twins import TICK, Scene, with_options


def test_answer_is_the_first_event_and_hangup_the_last() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="您好", play_id="a"))
    scene.run(0.2)
    scene.session.submit(Hangup(reason="done", initiator="user"))
    scene.drain()
    scene.session.submit(Tts(text="再见", play_id="b"))
    scene.run(1)
    assert scene.names == ["answer", "trackStart", "trackEnd", "hangup"]
    end = scene.of(events.Hangup)[0]
    assert (end.reason, end.initiator, end.track_id) == ("done", "user", "s1")
    assert end.start_time.endswith("Z")
    assert scene.leg.hangups == 1
    assert scene.ended == [scene.session]


def test_events_never_come_from_within_submit() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="", play_id="a"))
    assert scene.names == ["answer"]
    scene.drain()
    assert scene.names == ["answer", "trackStart", "trackEnd"]


def test_the_transcript_begins_and_ends() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="您好", play_id="a"))
    scene.run(1)
    scene.session.note_tag("callback_wanted", "明天")
    scene.session.leg_ended("callee_hung_up")
    scene.session.note_tag("too_late")
    begin, turn, tag, end = scene.recording.lines
    assert begin == recordings.Begin(at=scene.session.moments.epoch_ms, call_id="call-1", part=1)
    assert isinstance(turn, recordings.Turn)
    assert turn.content == "您好"
    assert abs(turn.end - turn.start - 400) <= 25
    assert isinstance(tag, recordings.Tag)
    assert (tag.name, tag.value) == ("callback_wanted", "明天")
    assert isinstance(end, recordings.End)
    assert (end.reason, end.initiator) == ("callee_hung_up", "callee")


def test_a_session_that_dies_loses_less_than_a_second_and_a_word_of_what_was_being_said() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="一二三四五六七八九十", play_id="a"))
    for ticks in range(1, 115):
        scene.run(TICK)
        kept = scene.recording.survivors
        said = "".join(content for _, content in kept)
        heard = min(10, int(ticks * TICK / 0.2 + 1e-9))
        assert len(kept) <= 1
        assert heard - 5 <= len(said) <= heard, "five characters a second"
    assert scene.recording.survivors == [("assistant", "一二三四五六七八九十")]
    assert scene.recording.turns == [("assistant", "一二三四五六七八九十", False)]


def test_what_goes_on_is_written_seldom_and_only_when_there_is_news() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="一二三四五六七八九十", play_id="a"))
    scene.run(0.5)
    scene.session.submit(Pause())
    scene.run(5)
    so_far = [line for line in scene.recording.lines if isinstance(line, recordings.Turn) and line.so_far]
    assert [line.content for line in so_far] == ["一二"]


def test_a_session_that_dies_keeps_what_the_caller_was_saying() -> None:
    scene = Scene()
    scene.speech_starts()
    scene.understood("我想")
    scene.run(1.0)
    assert scene.recording.survivors == [("user", "我想")]
    scene.understood("我想问一下。")
    scene.speech_ends()
    scene.run(1.0)
    assert scene.recording.survivors == [("user", "我想问一下。")]
    scene.understood("我想问一下。", final=True)
    scene.run(2.0)
    assert scene.recording.survivors == [("user", "我想问一下。")]
    assert scene.recording.turns == [("user", "我想问一下。", False)]


def test_auto_hangup_waits_until_the_end_was_heard() -> None:
    scene = Scene(began=False)
    scene.leg.delay_ms = 0
    scene.session.start(scene.driver)
    scene.session.submit(Tts(text="再见", play_id="a", auto_hangup=True))
    scene.run(0.38)
    assert len(scene.leg.sent) == 20, "all of it has left"
    assert not scene.session.over
    scene.run(0.1)
    assert scene.session.over
    assert scene.names == ["answer", "trackStart", "trackEnd", "hangup"]
    assert scene.of(events.Hangup)[0].reason == "autohangup"


def test_auto_hangup_is_kept_by_a_later_text_of_the_same_play_id() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="谢谢", play_id="a", auto_hangup=True))
    scene.session.submit(Tts(text="再见", play_id="a"))
    scene.run(1)
    assert scene.session.over
    assert scene.recording.turns == [("assistant", "谢谢再见", False)]


def test_an_interrupted_goodbye_does_not_hang_up() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="谢谢您，再见", play_id="a", auto_hangup=True))
    scene.run(0.3)
    scene.session.submit(Interrupt())
    scene.run(2)
    assert not scene.session.over


def test_nobody_speaking_after_a_question_is_silence_on_our_track_once() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="好吗", play_id="a", wait_input_timeout=3))
    scene.run(10)
    told = scene.of(events.Silence)
    assert [event.track_id for event in told] == ["serverSideTrack"]
    assert abs(told[0].duration - 3000) <= 40


@pytest.mark.parametrize("given", [2, 2000])
def test_the_wait_is_seconds_below_1000_and_milliseconds_from_there(given: float) -> None:
    scene = Scene()
    scene.session.submit(Tts(text="好", play_id="a", wait_input_timeout=given))
    scene.run(5)
    assert abs(scene.of(events.Silence)[0].duration - 2000) <= 40


def test_speech_ends_the_wait_for_input() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="好", play_id="a", wait_input_timeout=3))
    scene.run(1)
    scene.speech_starts()
    scene.run(10)
    assert not scene.of(events.Silence)


def test_the_next_text_ends_the_wait_for_input() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="好", play_id="a", wait_input_timeout=1))
    scene.run(0.5)
    scene.session.submit(Tts(text="一二三四五六七八九十", play_id="b"))
    scene.run(5)
    assert not scene.of(events.Silence)


def test_the_longest_duration_is_announced_and_kept() -> None:
    scene = Scene(with_options(longest=20.0, polite=5.0))
    scene.run(14.9)
    assert scene.names == ["answer"]
    scene.run(0.2)
    assert scene.of(events.Other)[0].extra == {"ending": 5}
    scene.run(5)
    assert scene.session.reason == "max_duration"
    assert scene.leg.hangups == 1


def test_the_far_end_hanging_up_cuts_what_was_being_said() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="一二三四五六七八九十", play_id="a"))
    scene.run(1.04)
    scene.session.leg_ended("closed")
    scene.drain()
    assert scene.recording.turns == [("assistant", "一二三四五", True)]
    assert scene.names[-2:] == ["trackEnd", "hangup"]
    assert scene.leg.hangups == 0


def test_words_that_were_not_final_are_kept_at_the_end() -> None:
    scene = Scene()
    scene.run(0.5)
    scene.speech_starts()
    scene.understood("我在开会")
    scene.session.leg_ended("closed")
    asyncio.run(scene.session.close())
    assert scene.recording.turns == [("user", "我在开会", False)]
    assert isinstance(scene.recording.lines[-1], recordings.End)


def test_who_hangs_up_with_the_last_word_is_understood() -> None:
    scene = Scene()
    scene.run(0.5)
    scene.speech_starts()
    scene.understood("别再")
    scene.recognizers.opened[0].last_words = ["别再打来了。"]
    scene.session.leg_ended("hangup")
    scene.drain()
    assert scene.ended == [scene.session], "the call is over at once"
    assert "hangup" not in scene.names
    scene.clock.advance(0.4)
    asyncio.run(scene.session.close())
    scene.drain()
    assert scene.names[-3:] == ["asrFinal", "eou", "hangup"]
    assert scene.of(events.Eou)[-1].text == "别再打来了。"
    assert scene.recognizers.opened[0].finishing
    assert scene.recording.turns == [("user", "别再打来了。", False)]
    turn, end = (line for line in scene.recording.lines[-2:])
    assert isinstance(end, recordings.End)
    assert isinstance(turn, recordings.Turn)
    assert turn.end <= end.at, "what is recognised later was said before"


@pytest.mark.parametrize("final", [False, True])
def test_what_was_said_last_can_be_noted_before_the_end(*, final: bool) -> None:
    def react(port: SessionPort, event: events.AnyEvent) -> None:
        if isinstance(event, events.Eou):
            port.note_tag("do_not_call", event.text)

    scene = Scene(react=react)
    scene.run(0.5)
    scene.speech_starts()
    scene.understood("别再打来了。", final=final)
    scene.session.leg_ended("hangup")
    scene.drain()
    asyncio.run(scene.session.close())
    scene.drain()
    assert scene.names[-1] == "hangup"
    kinds = [type(line) for line in scene.recording.lines if not isinstance(line, recordings.Begin)]
    assert kinds[-3:] == [recordings.Turn, recordings.Tag, recordings.End]


def test_words_that_nobody_recognises_are_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media.session.listening.LAST_WORDS_SECONDS", 0.01)
    scene = Scene()
    scene.run(0.5)
    scene.speech_starts()
    scene.understood("别再")

    async def never() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(scene.recognizers.opened[0], "finished", never)
    scene.session.leg_ended("hangup")
    asyncio.run(scene.session.close())
    scene.drain()
    assert scene.recording.turns == [("user", "别再", False)]
    assert scene.names[-2:] == ["eou", "hangup"]


def test_the_end_of_a_call_in_which_nothing_is_outstanding_is_told_at_once() -> None:
    scene = Scene()
    scene.run(0.5)
    scene.speech_starts()
    scene.understood("好的。", final=True)
    scene.speech_ends()
    scene.run(2.0)
    assert scene.names[-1] == "eou"
    scene.session.leg_ended("hangup")
    scene.drain()
    assert scene.names[-1] == "hangup"
    assert isinstance(scene.recording.lines[-1], recordings.End)


def test_a_driver_that_raises_ends_its_own_call() -> None:
    def react(port: SessionPort, event: events.AnyEvent) -> None:
        if isinstance(event, events.Answer):
            raise ZeroDivisionError

    scene = Scene(react=react)
    scene.run(0.1)
    assert (scene.session.reason, scene.session.initiator) == ("driver_failed", "error")
    assert scene.leg.hangups == 1


def test_a_drivers_timer_rings_by_the_sessions_clock_and_not_after_the_end() -> None:
    scene = Scene()
    rung: list[str] = []
    scene.session.after(1.0, lambda: rung.append("first"))
    scene.session.after(2.0, lambda: rung.append("second")).cancel()
    scene.session.after(3.0, lambda: rung.append("third"))
    scene.run(0.9)
    assert rung == []
    scene.run(0.2)
    assert rung == ["first"]
    scene.session.end("stopped", "system")
    scene.run(5)
    assert rung == ["first"]


def test_the_driver_sees_the_transcript_as_soon_as_the_event() -> None:
    seen: list[int] = []

    def react(port: SessionPort, event: events.AnyEvent) -> None:
        if isinstance(event, events.TrackEnd):
            seen.append(len(port.heard()))

    scene = Scene(react=react)
    scene.session.submit(Tts(text="您好", play_id="a"))
    scene.run(1)
    assert seen == [1]


def test_audio_that_is_none_is_refused_and_harms_nothing() -> None:
    scene = Scene()
    with pytest.raises(OddLengthError):
        scene.session.audio(b"\x00", scene.clock.monotonic())
    scene.run(0.2)
    assert not scene.session.over


def test_both_sides_are_recorded_at_their_place_in_time() -> None:
    scene = Scene()
    scene.run(0.5)
    scene.session.submit(Tts(text="一", play_id="a"))
    scene.run(0.5)
    assert abs(scene.recording.said[0][0] - 4000) <= 320
    assert sum(len(pcm) for _, pcm in scene.recording.said) == 3200
    assert scene.recording.heard[0][0] <= 160


def test_closing_gives_everything_back() -> None:
    scene = Scene()
    scene.session.end("stopped", "system")
    asyncio.run(scene.session.close())
    assert scene.recognizers.opened[0].closed
    assert scene.leg.closed
    assert scene.recording.closed
    scene.session.audio(bytes(320), scene.clock.monotonic())
    scene.session.frames_due(scene.clock.monotonic())


def test_what_the_recogniser_says_after_the_end_is_told_to_nobody() -> None:
    scene = Scene()
    scene.run(0.2)
    scene.session.end("stopped", "system")
    scene.understood("迟到的话", final=True)
    scene.recognizers.opened[0].fails()
    scene.run(0.2)
    assert scene.names == ["answer", "hangup"]


def test_a_session_that_fails_at_its_end_too_is_hung_up_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    scene.session.submit(Tts(text="您好", play_id="a"))
    scene.run(0.2)
    monkeypatch.setattr(Playout, "cut", lambda playout, now: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        scene.session.end("session_failed", "error")
    scene.drain()
    assert scene.leg.hangups == 1
    assert scene.ended == [scene.session]
    assert isinstance(scene.recording.lines[-1], recordings.End)


def test_a_recogniser_that_cannot_be_closed_keeps_neither_leg_nor_recording_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene()
    scene.session.end("stopped", "system")

    async def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(scene.recognizers.opened[0], "close", broken)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(scene.session.close())
    assert scene.leg.closed
    assert scene.recording.closed


@pytest.mark.parametrize("offset_ms", range(20))
def test_frames_are_never_due_just_where_ticks_are(offset_ms: int) -> None:
    scene = Scene()
    scene.session.submit(Tts(text="一" * 100, play_id="a"))
    scene.run(0.1)
    scene.clock.advance(offset_ms / 1000)  # ticks come so much off those at which the voice began, and jitter
    counts: list[int] = []
    for number in range(100):
        scene.clock.advance(0.021 if number % 2 else 0.019)
        before = len(scene.leg.sent)
        scene.session.frames_due(scene.clock.monotonic())
        counts.append(len(scene.leg.sent) - before)
    assert set(counts[10:]) == {1}


def test_a_line_that_is_dead_for_long_costs_neither_the_call_nor_the_audio_before() -> None:
    scene = Scene()
    scene.run(0.5)
    scene.session.audio(b"\x07\x07" * 160, scene.clock.monotonic())
    scene.run(30, audio=False)
    assert scene.recording.heard[-1][1].endswith(b"\x07\x07" * 160)
    scene.session.audio(b"\x08\x08" * 160, scene.clock.monotonic())
    scene.session.end("stopped", "system")
    assert scene.recording.heard[-1][1] == b"\x08\x08" * 160
    assert abs(scene.recording.heard[-1][0] - 30.5 * 8000) <= 1000


def test_half_a_character_of_a_driver_ends_no_call() -> None:
    scene = Scene()
    scene.session.say("好的\ud83d。", play_id="a")
    scene.run(2)
    assert not scene.session.over
    assert scene.recording.turns == [("assistant", "好的\ufffd。", False)]
