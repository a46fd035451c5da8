"""Speech that comes late or fails: an error, a fallback, and never silence for ever."""

from __future__ import annotations

from itertools import groupby

from media.playout import MAX_PLAYS
from media.protocol import events
from media.protocol.commands import Interrupt, Tts
from media.speech.ports import SpeechFailure
from shared.recordings import Turn
from tests.media.twins import Scene, loud, with_options


def silent_scene(**options: object) -> Scene:
    scene = Scene(with_options(**options))
    scene.synthesizer.instant = False
    return scene


def test_no_audio_in_time_is_an_error_and_the_cached_fallback_is_spoken() -> None:
    scene = silent_scene(fallback_text="不好意思，请稍等。")
    scene.synthesizer.cached.add("不好意思，请稍等。")
    scene.session.submit(Tts(text="您好", play_id="a"))
    scene.run(1.4)
    assert not scene.of(events.Error)
    scene.run(0.2)
    error = scene.of(events.Error)[0]
    assert (error.sender, error.code) == ("tts", 408)
    assert scene.synthesizer.streams[0].cancelled
    scene.run(3)
    assert scene.names == ["answer", "error", "trackStart", "trackEnd"]
    assert scene.recording.turns == [("assistant", "不好意思，请稍等。", False)]


def test_without_a_cached_prompt_the_far_end_plays_a_file() -> None:
    scene = silent_scene(fallback_text="不好意思", fallback_file="sorry", fallback_file_seconds=4.0)
    scene.session.submit(Tts(text="您好", play_id="a"))
    scene.run(2.0)
    assert scene.leg.files == ["sorry"]
    scene.run(3.0)
    assert not scene.of(events.TrackEnd)
    scene.run(1.5)
    assert scene.names == ["answer", "error", "trackStart", "trackEnd"]
    assert scene.leg.file_ends == 1, "frames may follow again"


def test_without_any_fallback_the_track_still_ends() -> None:
    scene = silent_scene()
    scene.session.submit(Tts(text="您好", play_id="a"))
    scene.run(2.0)
    assert scene.names == ["answer", "error", "trackStart", "trackEnd"]


def test_a_file_the_far_end_has_not_does_not_hold_the_track() -> None:
    scene = silent_scene(fallback_file="sorry")
    scene.leg.has_files = False
    scene.session.submit(Tts(text="您好", play_id="a"))
    scene.run(2.0)
    assert scene.names[-1] == "trackEnd"


def test_a_dry_spell_inside_a_text_ends_it_after_what_was_heard() -> None:
    scene = silent_scene()
    scene.session.submit(Tts(text="一二三四", play_id="a"))
    scene.drain()
    scene.synthesizer.streams[0].speak(2)
    scene.run(3.0)
    assert scene.names == ["answer", "trackStart", "error", "trackEnd"]
    assert scene.of(events.TrackEnd)[0].duration == 400
    assert scene.of(events.Error)[0].code == 408


def test_a_sentence_that_breaks_off_is_followed_by_a_breath_and_the_fallback() -> None:
    scene = silent_scene(fallback_text="稍等")
    scene.synthesizer.cached.add("稍等")
    scene.session.submit(Tts(text="一二三四五六七八", play_id="a"))
    scene.drain()
    scene.synthesizer.streams[0].speak(3)
    scene.run(0.1)
    scene.synthesizer.streams[0].fail()
    scene.run(4)
    heard = loud(scene.leg.sent)
    assert [number for number, _ in groupby(heard)] == [1, 2, 3, 0, 1, 2]
    assert 10 <= heard.count(0) <= 14, "a quarter of a second"


def test_a_sentence_that_breaks_off_before_it_is_heard_is_not_begun() -> None:
    scene = silent_scene(fallback_text="稍等")
    scene.synthesizer.cached.add("稍等")
    scene.session.say("一二三。", play_id="a", more=True)
    scene.session.say("四五六七八。", play_id="a")
    scene.drain()
    first, second = scene.synthesizer.streams
    first.speak()
    first.done()
    second.speak(2)
    scene.run(0.3)
    second.fail()
    scene.run(4)
    assert scene.recording.turns == [("assistant", "一二三。稍等", False)]
    assert [number for number, _ in groupby(loud(scene.leg.sent))] == [1, 2, 3, 4, 0, 1, 2]


def test_the_sentences_before_one_that_fails_are_heard_out() -> None:
    scene = silent_scene(fallback_text="稍等")
    scene.synthesizer.cached.add("稍等")
    scene.session.say("一二三四五。", play_id="a", more=True)
    scene.session.say("二。", play_id="a")
    scene.drain()
    first, second = scene.synthesizer.streams
    first.speak(3)
    scene.run(0.2)
    second.fail()
    scene.run(0.2)
    first.speak()
    first.done()
    scene.run(4)
    assert scene.recording.turns == [("assistant", "一二三四五。稍等", False)]


def test_the_far_ends_file_waits_until_what_came_was_heard() -> None:
    scene = silent_scene(fallback_text="不好意思", fallback_file="sorry", fallback_file_seconds=4.0)
    scene.session.submit(Tts(text="一二三四五六七八", play_id="a"))
    scene.drain()
    scene.synthesizer.streams[0].speak(5)
    scene.run(0.3)
    scene.synthesizer.streams[0].fail()
    scene.run(0.6)
    assert scene.leg.files == [], "a second of the sentence is heard first"
    scene.run(1.0)
    assert scene.leg.files == ["sorry"]
    sent = len(scene.leg.sent)
    assert loud(scene.leg.sent)[-1] == 5
    scene.run(2.5)
    assert scene.names == ["answer", "trackStart", "error"]
    scene.run(2.5)
    assert scene.names == ["answer", "trackStart", "error", "trackEnd"]
    assert len(scene.leg.sent) == sent, "nothing of it is left to be said after the file"


def test_a_file_that_is_due_is_not_played_after_an_interruption() -> None:
    scene = silent_scene(fallback_file="sorry")
    scene.session.submit(Tts(text="一二三四五六七八", play_id="a"))
    scene.drain()
    scene.synthesizer.streams[0].speak(5)
    scene.run(0.3)
    scene.synthesizer.streams[0].fail()
    scene.session.submit(Interrupt())
    scene.run(6)
    assert scene.leg.files == []
    assert scene.names[-1] == "trackEnd"


def test_too_little_audio_to_be_sent_is_late_like_none() -> None:
    scene = silent_scene()
    scene.session.submit(Tts(text="您好", play_id="a"))
    scene.drain()
    scene.synthesizer.streams[0].listener.on_audio(bytes(300))
    scene.run(4)
    assert scene.names[-1] == "trackEnd"
    assert scene.of(events.Error)[0].code == 408


def test_a_sentence_that_was_to_be_heard_out_and_never_ends_does_not_hold_up_the_next() -> None:
    scene = silent_scene()
    scene.session.submit(Tts(text="一二三四五六七八。", play_id="a"))
    scene.drain()
    scene.synthesizer.streams[0].speak(3)
    scene.run(0.2)
    scene.session.submit(Interrupt(graceful=True))
    scene.synthesizer.instant = True
    scene.session.submit(Tts(text="甲乙", play_id="b"))
    scene.run(6)
    assert [turn[1] for turn in scene.recording.turns][-1] == "甲乙"
    assert scene.names.count("trackEnd") == 2


def test_more_plays_than_may_wait_are_an_error_of_that_track_alone() -> None:
    scene = silent_scene()
    scene.session.submit(Tts(text="一", play_id="a"))
    scene.drain()
    for number in range(MAX_PLAYS):
        scene.session.playout.open(f"other-{number}")
    scene.synthesizer.streams[0].speak()
    scene.run(0.1)
    assert "expected at most" in scene.of(events.Error)[0].error
    assert not scene.session.over


def test_a_slow_provider_is_no_failure_while_earlier_audio_plays() -> None:
    scene = silent_scene()
    scene.session.say("一二三四五六七八九十一二三四五。", play_id="a", more=True)
    scene.session.say("二。", play_id="a")
    scene.drain()
    scene.synthesizer.streams[0].speak()
    scene.synthesizer.streams[0].done()
    scene.run(3.0)
    assert not scene.of(events.Error)
    scene.synthesizer.streams[1].speak()
    scene.synthesizer.streams[1].done()
    scene.run(3.0)
    assert scene.names == ["answer", "trackStart", "trackEnd"]


def test_a_stream_that_waits_for_text_is_not_late() -> None:
    scene = silent_scene()
    scene.session.submit(Tts(text="一", play_id="a", streaming=True))
    scene.drain()
    scene.synthesizer.streams[0].speak()
    scene.run(10)
    assert not scene.of(events.Error)


def test_a_provider_that_gives_up_is_an_error_with_its_reason() -> None:
    scene = silent_scene(fallback_text="稍等")
    scene.synthesizer.cached.add("稍等")
    scene.session.submit(Tts(text="您好", play_id="a", auto_hangup=True))
    scene.drain()
    scene.synthesizer.streams[0].fail("denied")
    scene.run(2)
    assert scene.of(events.Error)[0].code == 500
    assert "denied" in scene.of(events.Error)[0].error
    assert scene.session.reason == "autohangup", "a goodbye that failed still ends the call"


def test_words_whose_audio_never_came_are_not_in_the_transcript() -> None:
    scene = silent_scene(fallback_text="稍等")
    scene.synthesizer.cached.add("稍等")
    scene.session.submit(Tts(text="一二三四五六七八", play_id="a", auto_hangup=True))
    scene.drain()
    scene.synthesizer.streams[0].speak(3)
    scene.run(0.1)
    scene.synthesizer.streams[0].fail()
    scene.run(4)
    heard = "".join(turn.content for turn in scene.session.heard())
    assert heard.endswith("稍等")
    assert "一" in heard
    assert "四" not in heard


def test_a_provider_that_is_not_available_is_an_error() -> None:
    scene = silent_scene()
    scene.synthesizer.refusing = SpeechFailure("twin", "provider", "no such provider")
    scene.session.submit(Tts(text="您好", play_id="a"))
    scene.run(0.1)
    assert scene.names == ["answer", "error", "trackStart", "trackEnd"]


def test_a_text_answered_with_no_audio_is_a_failure() -> None:
    scene = silent_scene()
    scene.session.submit(Tts(text="您好", play_id="a"))
    scene.drain()
    scene.synthesizer.streams[0].done()
    scene.run(0.1)
    assert scene.names == ["answer", "error", "trackStart", "trackEnd"]


def test_punctuation_alone_is_silent_and_no_failure() -> None:
    scene = silent_scene()
    scene.session.submit(Tts(text="……", play_id="a"))
    scene.drain()
    scene.synthesizer.streams[0].done()
    scene.run(0.1)
    assert scene.names == ["answer", "trackStart", "trackEnd"]


def test_sentences_after_a_failed_one_are_given_up_with_it() -> None:
    scene = silent_scene(fallback_text="稍等")
    scene.synthesizer.cached.add("稍等")
    scene.session.say("一。", play_id="a", more=True)
    scene.session.say("二。", play_id="a", more=True)
    scene.drain()
    scene.synthesizer.streams[0].fail()
    scene.session.say("三。", play_id="a")
    scene.run(2)
    assert scene.recording.turns == [("assistant", "稍等", False)]
    assert scene.names == ["answer", "error", "trackStart", "trackEnd"]


def test_a_notice_of_three_minutes_is_read_once_to_its_end() -> None:
    """Its audio comes far faster than it is spoken; the ledger takes two minutes at the most."""
    notice = "".join(chr(0x4E00 + number % 500) for number in range(900)) + "。"
    scene = Scene()
    scene.session.say(notice, play_id="a")
    scene.run(185)
    assert scene.recording.turns == [("assistant", notice, False)]
    assert not scene.of(events.Error)
    assert len(scene.synthesizer.texts) == 1


def test_what_was_heard_of_a_long_text_is_known_though_the_ledger_has_only_its_beginning() -> None:
    notice = "".join(chr(0x4E00 + number % 500) for number in range(900)) + "。"
    scene = Scene()
    scene.session.say(notice, play_id="a")
    scene.run(40.0)
    scene.session.submit(Interrupt())
    scene.drain()
    [(_, heard, cut)] = scene.recording.turns
    assert cut
    assert 195 <= len(heard) <= 200, "five characters a second, and none that was not spoken"
    assert scene.of(events.Interruption)[0].total_duration == 901 * 200


def test_later_sentences_wait_until_the_ledger_has_room_and_follow_without_a_gap() -> None:
    """The second is not asked for while half a minute of the first is outstanding."""
    scene = Scene()
    first = "".join(chr(0x4E00 + number) for number in range(200)) + "。"
    scene.session.say(first, play_id="a", more=True)
    scene.session.say("二。", play_id="a", more=True)
    scene.session.say("三。", play_id="a")
    scene.run(5.0)
    assert len(scene.synthesizer.texts) == 2
    scene.run(40.0)
    assert scene.recording.turns == [("assistant", f"{first}二。三。", False)]
    assert scene.session.playout.starvations == 0


def test_a_sentence_that_was_heard_while_the_next_one_is_waited_for_counts_whole_and_ends_when_it_did() -> None:
    scene = Scene()
    scene.session.say("一二三四五六七八。", play_id="a", more=True)
    scene.run(8.0)
    scene.session.submit(Interrupt())
    scene.drain()
    assert scene.recording.turns == [("assistant", "一二三四五六七八。", True)]
    [turn] = [line for line in scene.recording.lines if isinstance(line, Turn) and not line.so_far]
    assert 1800 <= turn.end - turn.start <= 2000, "nine characters, not the six seconds that followed"
