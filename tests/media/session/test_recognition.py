"""A recogniser that fails is opened again, a bounded number of times, and the call goes on."""

from __future__ import annotations

from media.protocol import events
from media.session.recognition import REOPEN_AFTER
from media.speech.ports import SpeechFailure
from tests.media.twins import Scene


def test_a_recogniser_that_fails_is_opened_again_and_hears_what_it_missed() -> None:
    scene = Scene()
    scene.run(1.0)
    scene.recognizers.opened[0].fails()
    scene.run(0.3)
    assert len(scene.recognizers.opened) == 1
    assert (scene.of(events.Error)[0].sender, scene.of(events.Error)[0].code) == ("asr", 500)
    scene.run(0.4)
    second = scene.recognizers.opened[1]
    assert second.options.origin_ms == 0
    assert len(second.pushed) >= 1.5 * 16_000, "the first second was not understood, and half a second waited"


def test_sentences_are_counted_on_across_recognisers() -> None:
    scene = Scene()
    scene.understood("一", final=True)
    scene.recognizers.opened[0].fails()
    scene.run(0.6)
    scene.understood("二", final=True)
    assert [event.index for event in scene.of(events.AsrFinal)] == [0, 1]


def test_it_is_given_up_after_a_bounded_number_of_tries() -> None:
    scene = Scene()
    for _ in range(len(REOPEN_AFTER)):
        scene.recognizers.opened[-1].fails()
        scene.run(10)
    scene.recognizers.opened[-1].fails()
    scene.run(60)
    assert len(scene.recognizers.opened) == len(REOPEN_AFTER) + 1
    assert scene.of(events.Error)[-1].code == 503
    assert not scene.session.over


def test_a_word_between_failures_starts_the_count_anew() -> None:
    scene = Scene()
    for _ in range(20):
        scene.understood("喂", final=True)
        scene.recognizers.opened[-1].fails()
        scene.run(1)
    assert len(scene.recognizers.opened) == 21


def test_a_provider_that_is_not_there_is_not_asked_again() -> None:
    scene = Scene(began=False)
    scene.recognizers.refusing = SpeechFailure("x", "provider", "no such provider")
    scene.session.start(scene.driver)
    scene.run(30)
    assert [error.code for error in scene.of(events.Error)] == [503]


def test_what_is_said_while_the_provider_is_away_is_heard_by_the_next_recogniser() -> None:
    scene = Scene()
    scene.run(2.0)
    scene.recognizers.opened[0].says("喂？", final=True, start_ms=500, end_ms=1000)
    scene.run(3.0)
    first = scene.recognizers.opened[0]
    assert len(first.pushed) == 5 * 16_000, "it takes the audio while it cannot reach its provider"
    first.fails()
    scene.run(0.6)
    second = scene.recognizers.opened[1]
    assert abs(second.options.origin_ms - 1000) <= 25, "all behind the last final text"
    assert len(second.pushed) >= 4.4 * 16_000


def test_what_was_made_final_is_not_heard_again_whatever_the_provider_says_of_its_end() -> None:
    scene = Scene()
    scene.run(2.0)
    scene.recognizers.opened[0].says("喂？", final=True, start_ms=500, end_ms=60_000)
    scene.recognizers.opened[0].fails()
    scene.run(0.6)
    assert abs(scene.recognizers.opened[1].options.origin_ms - 2000) <= 25


def test_of_a_long_silence_of_the_provider_the_ring_keeps_the_last_ten_seconds() -> None:
    scene = Scene()
    scene.run(20.0)
    scene.recognizers.opened[0].fails()
    scene.run(0.6)
    second = scene.recognizers.opened[1]
    assert abs(second.options.origin_ms - (20_500 - 10_240)) <= 125


def test_a_sentence_that_was_open_keeps_its_number_when_it_is_heard_again() -> None:
    scene = Scene()
    scene.run(2.0)
    scene.recognizers.opened[0].says("我想", start_ms=1000, end_ms=1500)
    scene.recognizers.opened[0].fails()
    scene.run(0.6)
    scene.recognizers.opened[1].says("我想问一下。", final=True, start_ms=1000, end_ms=2100)
    scene.run(2.0)
    assert [event.index for event in scene.of(events.AsrFinal)] == [0]
    assert [content for role, content, _ in scene.recording.turns if role == "user"] == ["我想问一下。"]


def test_a_sentence_whose_audio_is_gone_is_not_taken_for_the_next_one() -> None:
    scene = Scene()
    scene.run(1.0)
    scene.recognizers.opened[0].says("我想", start_ms=200, end_ms=800)
    scene.run(14.0)
    scene.recognizers.opened[0].fails()
    scene.run(0.6)
    scene.recognizers.opened[1].says("喂？", final=True, start_ms=14_000, end_ms=15_000)
    scene.drain()
    assert [event.index for event in scene.of(events.AsrFinal)] == [1]
