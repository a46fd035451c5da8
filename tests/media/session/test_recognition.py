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
    assert abs(second.options.origin_ms - 1000) <= 25
    assert len(second.pushed) >= 8000, "half a second was waiting in the ring"


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
