"""espeak-ng behind a function."""

import threading

import numpy as np
import pytest

from sandbox.voice.espeak import MAX_CHARACTERS, _Phrases, speak, speak_timed
from sandbox.voice.espeak import Spoken as SpokenPhrase


def test_mandarin_is_spoken_at_a_human_pace() -> None:
    seconds = len(speak("您好，请问是张先生吗？", 8000)) / 8000
    assert 1.5 < seconds < 4.0


def test_the_same_text_lasts_as_long_at_any_rate() -> None:
    lengths = [len(speak("您的工单已经处理完毕。", rate)) / rate for rate in (8000, 16000, 22050, 24000)]
    assert max(lengths) - min(lengths) < 0.005


def test_latin_words_in_mandarin_are_spoken_too() -> None:
    assert len(speak("请说 hello world")) > len(speak("请说")) * 1.5


def test_english_has_its_own_voice() -> None:
    assert 0.5 < len(speak("Hello, who is calling?", voice="en-us")) / 8000 < 3


def test_speakers_sound_different_and_faster_is_shorter() -> None:
    low, high = speak("你好", voice="cmn+m1"), speak("你好", voice="cmn+f3")
    assert len(low) != len(high) or not np.array_equal(low, high)
    assert len(speak("今天天气很好", speed=300)) < len(speak("今天天气很好", speed=150))


def test_characters_end_in_order_and_within_the_speech() -> None:
    text = "工单号是12345，对吗？"
    spoken = speak_timed(text)
    assert len(spoken.ends) == len(text)
    assert list(spoken.ends) == sorted(spoken.ends)
    assert 0 < spoken.ends[0] < spoken.ends[-1] <= len(spoken.pcm)


@pytest.mark.parametrize("text", ["", "   ", "😀", "\0", "\x01\x1b\x7f"])
def test_what_has_nothing_to_say_is_as_good_as_silent(text: str) -> None:
    spoken = speak_timed(text)
    assert len(spoken.pcm) < 800
    assert len(spoken.ends) == len(text)


def test_a_nul_does_not_cut_the_text() -> None:
    assert len(speak("你好\0今天天气很好")) > len(speak("你好")) * 2


def test_an_unknown_voice_is_named() -> None:
    with pytest.raises(ValueError, match="klingonese"):
        speak("你好", voice="klingonese")


def test_a_text_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="2000"):
        speak("好" * (MAX_CHARACTERS + 1))


def test_threads_get_the_speech_they_asked_for() -> None:
    texts = [f"第{number}个工单已经处理完毕" for number in range(12)]
    alone = {text: speak_timed(text, 16000).pcm.copy() for text in texts}
    got: dict[str, np.ndarray] = {}
    threads = [
        threading.Thread(target=lambda text=text: got.update({text: speak(text, 16000, speed=201)})) for text in texts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {text: abs(len(got[text]) - len(alone[text])) < 2000 for text in texts} == dict.fromkeys(texts, True)


def test_the_cache_keeps_the_newest_within_its_bound() -> None:
    phrases = _Phrases(1000)
    for number in range(5):
        phrases.put((number,), SpokenPhrase(np.zeros(200, np.int16), ()))
        phrases.get((3,))
    assert [phrases.get((number,)) is not None for number in range(5)] == [False, False, False, True, True]
