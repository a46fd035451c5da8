"""Tracks: what the same and another playId do, what is heard, and how each ends."""

from __future__ import annotations

from media.protocol import events
from media.protocol.commands import Interrupt, Mute, Pause, Play, Resume, Tts, Unmute
from tests.media.twins import Scene, loud, with_options


def test_a_text_is_heard_and_ends_when_its_last_sample_was_heard() -> None:
    scene = Scene(with_options())
    scene.leg.delay_ms = 0
    scene.session.submit(Tts(text="您好", play_id="a"))
    scene.run(0.3)
    assert scene.names == ["answer", "trackStart"]
    scene.run(0.2)
    end = scene.of(events.TrackEnd)[0]
    assert (end.play_id, end.duration, end.track_id) == ("a", 400, "serverSideTrack")
    assert scene.recording.turns == [("assistant", "您好", False)]


def test_what_was_sent_but_not_yet_heard_does_not_end_the_track() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="您", play_id="a"))
    scene.run(0.18)
    assert len(scene.leg.sent) == 10, "the lead is ahead of the clock"
    assert not scene.of(events.TrackEnd)
    scene.run(0.1)
    assert scene.of(events.TrackEnd)


def test_the_same_play_id_is_appended_in_order() -> None:
    scene = Scene()
    for text in ("一二", "三四", "五"):
        scene.session.submit(Tts(text=text, play_id="a"))
    scene.run(2)
    assert scene.names == ["answer", "trackStart", "trackEnd"]
    assert loud(scene.leg.sent)[::10] == [1, 2, 1, 2, 1]
    assert scene.recording.turns == [("assistant", "一二三四五", False)]


def test_the_same_play_id_is_appended_while_the_last_words_are_still_heard() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="一", play_id="a"))
    scene.run(0.14)
    scene.session.submit(Tts(text="二", play_id="a"))
    scene.run(1)
    assert scene.names == ["answer", "trackStart", "trackEnd"]
    assert scene.of(events.TrackEnd)[0].duration == 400


def test_an_ended_play_id_begins_a_new_track() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="一", play_id="a"))
    scene.run(1)
    scene.session.submit(Tts(text="二", play_id="a"))
    scene.run(1)
    assert scene.names == ["answer", "trackStart", "trackEnd", "trackStart", "trackEnd"]


def test_another_play_id_interrupts() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="一二三四五六七八九十", play_id="a"))
    scene.run(1.04)
    scene.session.submit(Tts(text="不好意思", play_id="b"))
    scene.run(2)
    assert scene.names == ["answer", "trackStart", "interruption", "trackEnd", "trackStart", "trackEnd"]
    told = scene.of(events.Interruption)[0]
    assert (told.play_id, told.subtitle, told.position) == ("a", "一二三四五六七八九十", 5)
    assert 1000 <= told.current <= 1040
    assert told.total_duration == 2000
    assert scene.leg.clears == 1
    assert scene.recording.turns == [("assistant", "一二三四五", True), ("assistant", "不好意思", False)]


def test_tracks_without_a_play_id_are_one() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="一二"))
    scene.session.submit(Tts(text="三"))
    scene.run(1)
    assert scene.names == ["answer", "trackStart", "trackEnd"]
    assert scene.of(events.TrackEnd)[0].play_id is None


def test_an_interruption_of_what_has_not_sounded_yet_is_told_at_word_zero() -> None:
    scene = Scene()
    scene.synthesizer.instant = False
    scene.session.submit(Tts(text="您好", play_id="a"))
    scene.run(0.2)
    scene.session.submit(Interrupt())
    scene.run(0.2)
    assert scene.names == ["answer", "interruption", "trackStart", "trackEnd"]
    assert scene.of(events.Interruption)[0].position == 0
    assert scene.synthesizer.streams[0].cancelled
    assert scene.recording.turns == []


def test_an_interrupt_while_nothing_plays_does_nothing() -> None:
    scene = Scene()
    scene.session.submit(Interrupt())
    scene.session.submit(Interrupt(graceful=True))
    scene.run(0.2)
    assert scene.names == ["answer"]
    assert scene.leg.clears == 0


def test_what_was_flushed_is_silent_in_the_recording() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="一二三四五", play_id="a"))
    scene.run(0.5)
    scene.session.submit(Interrupt())
    assert len(scene.recording.erased) == 1
    start, end = scene.recording.erased[0]
    sent_until = scene.recording.said[-1][0] + len(scene.recording.said[-1][1]) // 2
    assert abs(start - 8000 // 2) <= 1
    assert end == sent_until > start


def test_a_graceful_interrupt_lets_the_sentence_end_and_drops_the_rest() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="一二三。", play_id="a"))
    scene.session.submit(Tts(text="四五六。", play_id="a"))
    scene.run(0.3)
    scene.session.submit(Interrupt(graceful=True))
    scene.drain()
    assert scene.names == ["answer", "trackStart", "interruption"]
    scene.run(2)
    assert scene.names == ["answer", "trackStart", "interruption", "trackEnd"]
    assert scene.of(events.TrackEnd)[0].duration == 800
    assert scene.leg.clears == 0
    assert scene.recording.turns == [("assistant", "一二三。", True)]


def test_a_graceful_interrupt_waits_for_the_rest_of_the_sentence_to_be_synthesised() -> None:
    scene = Scene()
    scene.synthesizer.instant = False
    scene.session.submit(Tts(text="一二三。四五六。", play_id="a"))
    scene.drain()
    stream = scene.synthesizer.streams[0]
    stream.speak(2)
    scene.run(0.2)
    scene.session.submit(Interrupt(graceful=True))
    stream.speak(6)
    scene.run(2)
    assert scene.names == ["answer", "trackStart", "interruption", "trackEnd"]
    assert 600 <= scene.of(events.TrackEnd)[0].duration <= 1000


def test_after_a_graceful_interrupt_a_new_text_follows_the_sentence() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="一二三。四五六。", play_id="a"))
    scene.run(0.3)
    scene.session.submit(Interrupt(graceful=True))
    scene.session.submit(Tts(text="好", play_id="b"))
    scene.run(3)
    assert scene.names == ["answer", "trackStart", "interruption", "trackEnd", "trackStart", "trackEnd"]
    assert [turn[1].rstrip("。") for turn in scene.recording.turns] == ["一二三", "好"]


def test_streamed_text_goes_into_one_stream_and_ends_with_it() -> None:
    scene = Scene()
    scene.synthesizer.instant = False
    scene.session.submit(Tts(text="一", play_id="a", streaming=True))
    scene.session.submit(Tts(text="二", play_id="a", streaming=True))
    scene.drain()
    stream = scene.synthesizer.streams[0]
    stream.speak()
    scene.run(1)
    assert scene.names == ["answer", "trackStart"], "the track stays open for more"
    scene.session.submit(Tts(text="三", play_id="a", streaming=True, end_of_stream=True))
    scene.drain()
    assert stream.finished
    stream.speak()
    stream.done()
    scene.run(1)
    assert scene.synthesizer.texts == ["一二三"]
    assert scene.names[-1] == "trackEnd"
    assert scene.recording.turns == [("assistant", "一二三", False)]


def test_the_next_sentence_is_synthesised_while_this_one_plays() -> None:
    scene = Scene()
    scene.synthesizer.instant = False
    for text in ("一。", "二。", "三。"):
        scene.session.say(text, play_id="a", more=True)
    scene.session.say("", play_id="a")
    scene.drain()
    assert scene.synthesizer.texts == ["一。", "二。"]
    scene.synthesizer.streams[1].speak()
    scene.synthesizer.streams[1].done()
    scene.run(0.1)
    assert scene.leg.sent == [], "the second waits for the first"
    scene.synthesizer.streams[0].speak()
    scene.synthesizer.streams[0].done()
    scene.run(0.1)
    assert scene.synthesizer.texts == ["一。", "二。", "三。"]
    scene.synthesizer.streams[2].speak()
    scene.synthesizer.streams[2].done()
    scene.run(3)
    assert scene.recording.turns == [("assistant", "一。二。三。", False)]


def test_an_empty_text_begins_and_ends_at_once() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="", play_id="a"))
    scene.run(0.1)
    assert scene.names == ["answer", "trackStart", "trackEnd"]


def test_a_clip_is_played_under_its_url_and_yields_no_interruption() -> None:
    scene = Scene()
    scene.clips.clips["http://x/a.wav"] = b"\x07\x00" * 8000
    scene.session.submit(Play(url="http://x/a.wav"))
    scene.run(0.5)
    scene.session.submit(Interrupt())
    scene.run(0.5)
    assert scene.names == ["answer", "trackStart", "trackEnd"]
    assert scene.of(events.TrackEnd)[0].play_id == "http://x/a.wav"
    assert scene.recording.turns == []


def test_the_same_clip_again_is_appended() -> None:
    scene = Scene()
    scene.clips.clips["http://x/a.wav"] = b"\x07\x00" * 4000
    scene.session.submit(Play(url="http://x/a.wav"))
    scene.run(0.1)
    scene.session.submit(Play(url="http://x/a.wav"))
    scene.run(2)
    assert scene.names == ["answer", "trackStart", "trackEnd"]
    assert scene.of(events.TrackEnd)[0].duration == 1000


def test_a_clip_that_cannot_be_had_is_an_error_and_still_ends() -> None:
    scene = Scene()
    scene.session.submit(Play(url="http://x/none.wav"))
    scene.run(0.2)
    assert scene.names == ["answer", "error", "trackStart", "trackEnd"]
    assert scene.of(events.Error)[0].sender == "media"


def test_muted_speech_passes_in_silence() -> None:
    scene = Scene()
    scene.session.submit(Mute(track_id="serverSideTrack"))
    scene.session.submit(Tts(text="一二", play_id="a"))
    scene.run(0.2)
    assert set(loud(scene.leg.sent)) == {0}
    scene.session.submit(Unmute())
    scene.run(0.4)
    assert loud(scene.leg.sent)[-1] == 2


def test_what_passed_in_silence_is_not_in_the_transcript() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="一二三四五六七八九十", play_id="a"))
    scene.run(0.54)
    scene.session.submit(Mute(track_id="serverSideTrack"))
    scene.session.submit(Mute(track_id="serverSideTrack"))
    scene.run(0.6)
    scene.session.submit(Unmute())
    scene.run(3)
    heard = {number for number in loud(scene.leg.sent) if loud(scene.leg.sent).count(number) == 10}
    assert heard == {1, 2, 7, 8, 9, 10}, "each whole character"
    assert scene.recording.turns == [("assistant", "一二七八九十", False)]
    assert scene.of(events.TrackEnd)[0].duration == 2000, "its time passed all the same"


def test_speech_that_was_muted_from_end_to_end_leaves_no_line() -> None:
    scene = Scene()
    scene.session.submit(Mute())
    scene.session.submit(Tts(text="一二三四五六七八九十", play_id="a"))
    scene.run(3)
    scene.session.submit(Unmute())
    scene.session.submit(Tts(text="好", play_id="b"))
    scene.run(1)
    assert scene.recording.turns == [("assistant", "好", False)]
    assert scene.recording.survivors == [("assistant", "好")]


def test_an_interrupted_text_is_cut_where_it_was_cut_and_without_what_was_muted() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="一二三四五六七八九十", play_id="a"))
    scene.session.submit(Mute(track_id="serverSideTrack"))
    scene.run(0.54)
    scene.session.submit(Unmute())
    scene.run(0.6)
    scene.session.submit(Interrupt())
    scene.run(0.1)
    assert scene.recording.turns == [("assistant", "四五", True)]


def test_pause_holds_the_voice_and_resume_repeats_little() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="一二三四五", play_id="a"))
    scene.run(0.4)
    scene.session.submit(Pause())
    sent = len(scene.leg.sent)
    scene.run(1)
    assert len(scene.leg.sent) == sent
    scene.session.submit(Resume())
    scene.run(2)
    assert len(scene.leg.sent) <= 50 + 2
    assert scene.of(events.TrackEnd)[0].duration == 1000


def test_nothing_is_sent_while_the_leg_is_not_ready() -> None:
    scene = Scene()
    scene.leg.ready = False
    scene.session.submit(Tts(text="一二", play_id="a"))
    scene.run(1)
    assert scene.leg.sent == []
    scene.leg.ready = True
    scene.run(1)
    assert len(scene.leg.sent) == 20
    assert scene.of(events.TrackEnd)[0].duration == 400


def test_a_graceful_interrupt_when_all_was_sent_lets_the_last_words_be_heard_and_recorded() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="一二三四五", play_id="a"))
    scene.run(1.0)
    scene.session.submit(Interrupt(graceful=True))
    scene.run(1)
    assert scene.leg.clears == 0
    assert [content for _, content, _ in scene.recording.turns] == ["一二三四五"]
    assert [(event.position, event.current) for event in scene.of(events.Interruption)] == [(5, 1000)]
    assert [event.duration for event in scene.of(events.TrackEnd)] == [1000]


def test_a_graceful_interrupt_of_what_has_not_begun_ends_its_track() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="一二三。四五六。", play_id="a"))
    scene.run(0.1)
    scene.session.submit(Interrupt(graceful=True))
    scene.session.submit(Tts(text="七八九", play_id="b"))
    scene.run(0.1)
    scene.session.submit(Interrupt(graceful=True))
    scene.run(3)
    assert [event.play_id for event in scene.of(events.TrackEnd)] == ["b", "a"]
    scene.session.submit(Tts(text="好", play_id="c"))
    scene.run(1)
    assert [event.play_id for event in scene.of(events.TrackStart)][-1] == "c"


def test_texts_of_one_track_in_another_alphabet_stand_apart_in_the_record() -> None:
    scene = Scene()
    for text in ("Hello.", "This is ", "Li.", "你好。", "OK"):
        scene.session.submit(Tts(text=text, play_id="a"))
    scene.run(6)
    assert scene.recording.turns == [("assistant", "Hello. This is Li.你好。OK", False)]
