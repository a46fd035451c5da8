"""What the caller's audio becomes: events, turns, lines of the transcript."""

from __future__ import annotations

from media.driver import SessionOptions
from media.protocol import events
from media.protocol.commands import Mute, Tts
from media.protocol.options import SynthesisOption
from shared import recordings
from tests.media.twins import Scene, with_options


def test_speech_and_silence_tell_when_they_really_were() -> None:
    scene = Scene()
    scene.run(1.0)
    began = scene.session.moments.epoch_ms
    scene.speech_starts()
    scene.run(1.0)
    scene.speech_ends()
    speaking, silence = scene.of(events.Speaking)[0], scene.of(events.Silence)[0]
    assert abs(speaking.start_time - (began + 1000 - 128)) <= 25
    assert abs(silence.start_time - (began + 2000 - 200)) <= 25
    assert abs(silence.duration - 200) <= 25
    assert speaking.track_id == silence.track_id == "s1"


def test_silence_begins_where_the_sound_ended_not_where_the_detector_noticed() -> None:
    scene = Scene()
    for pcm in [b"\x00\x20" * 160] * 25 + [bytes(320)] * 15:
        scene.clock.advance(0.02)
        scene.session.audio(pcm, scene.clock.monotonic())
    scene.session.listening.speech_started(0)
    scene.session.listening.speech_ended(30 * 160)
    scene.drain()
    assert abs(scene.of(events.Silence)[0].start_time - scene.session.moments.epoch_ms - 500) <= 25


def test_what_was_heard_was_said_by_now_also_where_the_audio_reaches_ahead_of_the_clock() -> None:
    scene = Scene()
    for _ in range(50):  # a second of audio at once, in front of which the first frame waited
        scene.session.audio(b"\x00\x20" * 160, scene.clock.monotonic())
    scene.session.listening.dtmf("1", 7900)
    scene.session.say("好的。")
    scene.run(2.0)
    scene.session.listening.speech_started(8000 * 60)
    scene.drain()
    assert scene.of(events.Speaking)[0].start_time <= scene.of(events.Speaking)[0].timestamp
    turns = [line for line in scene.recording.lines if isinstance(line, recordings.Turn) and not line.so_far]
    assert [turn.role for turn in sorted(turns, key=lambda turn: turn.start)] == ["user", "assistant"]


def test_the_end_of_a_turn_carries_all_that_was_said() -> None:
    scene = Scene()
    scene.run(0.5)
    scene.speech_starts()
    scene.understood("你好，", final=True)
    scene.understood("我想问一下")
    scene.run(0.3)
    scene.understood("我想问一下价格。", final=True)
    scene.speech_ends()
    scene.run(0.2)
    assert [event.text for event in scene.of(events.AsrFinal)] == ["你好，", "我想问一下价格。"]
    assert [event.index for event in scene.of(events.AsrDelta)] == [1]
    scene.run(1.3)
    assert [turn.text for turn in scene.of(events.Eou)] == ["你好，我想问一下价格。"]
    assert scene.recording.turns == [("user", "你好，我想问一下价格。", False)]


def test_recognition_times_are_milliseconds_since_1970() -> None:
    scene = Scene()
    scene.recognizers.opened[0].says("好", final=True, start_ms=200, end_ms=400)
    scene.drain()
    final = scene.of(events.AsrFinal)[0]
    epoch = scene.session.moments.epoch_ms
    assert (final.start_time, final.end_time) == (epoch + 200, epoch + 400)


def test_speech_without_words_is_a_turn_without_text_and_without_a_line() -> None:
    scene = Scene()
    scene.run(0.5)
    scene.speech_starts()
    scene.run(0.5)
    scene.speech_ends()
    scene.run(1.5)
    assert [turn.text for turn in scene.of(events.Eou)] == [""]
    assert scene.recording.turns == []


def test_silence_is_told_again_and_again_when_asked_for() -> None:
    scene = Scene(with_options(silence_timeout=1.0))
    scene.run(3.1)
    told = scene.of(events.Silence)
    assert len(told) == 3
    assert told[2].duration >= 2900


def test_without_vad_there_are_no_speech_events() -> None:
    scene = Scene(with_options(vad=None, silence_timeout=0.5))
    scene.run(0.5)
    scene.speech_starts()
    scene.speech_ends()
    scene.run(1.0)
    assert scene.names == ["answer"]


def test_without_turns_there_is_no_eou_and_the_words_are_kept() -> None:
    scene = Scene(with_options(turns=None))
    scene.understood("你好。", final=True)
    scene.run(2)
    assert scene.names == ["answer", "asrFinal"]
    scene.session.end("stopped", "system")
    assert scene.recording.turns == [("user", "你好。", False)]


def test_without_asr_nothing_is_recognised() -> None:
    scene = Scene(SessionOptions(tts=SynthesisOption()))
    scene.run(0.5)
    assert scene.recognizers.opened == []


def test_keys_are_told_and_count_as_input() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="请按一", play_id="a", wait_input_timeout=2))
    scene.run(1.0)
    scene.session.listening.dtmf("1", 100)
    scene.run(3.0)
    assert [key.digit for key in scene.of(events.Dtmf)] == ["1"]
    assert not scene.of(events.Silence)
    assert ("user", "[按键 1]", False) in scene.recording.turns


def test_a_muted_caller_is_silence_to_us_and_audible_in_the_recording() -> None:
    scene = Scene()
    scene.session.submit(Mute(track_id="s1"))
    scene.session.audio(b"\x05\x05" * 800, scene.clock.monotonic())
    assert set(scene.recognizers.opened[0].pushed) == {0}
    assert scene.recording.heard[-1][1] == b"\x05\x05" * 800


def test_audio_goes_up_in_blocks_of_100_ms_without_a_hole() -> None:
    scene = Scene()
    for number in range(50):
        scene.clock.advance(0.02)
        scene.session.audio(number.to_bytes(2, "little") * 160, scene.clock.monotonic())
    assert set(scene.recognizers.opened[0].blocks) == {1600}
    expected = b"".join(number.to_bytes(2, "little") * 160 for number in range(50))
    assert bytes(scene.recognizers.opened[0].pushed) == expected


def test_a_line_that_falls_silent_is_heard_as_silence() -> None:
    scene = Scene()
    scene.run(0.5)
    pushed = len(scene.recognizers.opened[0].pushed)
    scene.run(3.0, audio=False)
    assert len(scene.recognizers.opened[0].pushed) - pushed > 16_000


def test_the_recogniser_is_told_when_a_result_is_due() -> None:
    scene = Scene()
    scene.run(0.5)
    scene.speech_starts()
    scene.speech_ends()
    assert scene.recognizers.opened[0].expected == 1


def test_how_long_the_first_words_took_is_measured() -> None:
    scene = Scene()
    scene.run(0.5)
    scene.speech_starts()
    scene.run(0.2)
    scene.understood("你")
    metric = next(event for event in scene.of(events.Metrics) if event.key == "ttfb.asr.twin")
    assert abs(metric.duration - 328) <= 25
