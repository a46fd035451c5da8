"""From audio to a recogniser's sentences."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.cloud.transcript import Sentence, Transcriber
from sandbox.voice.speech import utterance

RATE = 8000


def transcribe(audio: bytes, size: int = 1600, rate: int = RATE, silence: int = 800) -> list[Sentence]:
    transcriber = Transcriber(rate, silence)
    sentences = [found for at in range(0, len(audio), size) for found in transcriber.feed(audio[at : at + size])]
    return sentences + transcriber.finish()


def spoken(text: str, pause_ms: int = 20) -> bytes:
    return utterance(text, RATE).pcm.tobytes() + bytes(RATE * pause_ms // 1000 * 2)


def ended(sentences: list[Sentence]) -> list[str]:
    return [sentence.text for sentence in sentences if sentence.ended]


def test_a_sentence_grows_and_then_ends() -> None:
    sentences = transcribe(spoken("您好，请问是张先生吗？"))
    assert ended(sentences) == ["您好，请问是张先生吗？"]
    growing = [sentence.text for sentence in sentences if not sentence.ended]
    assert len(growing) > 4
    assert all("您好，请问是张先生吗？".startswith(text) for text in growing)
    assert growing == sorted(growing, key=len)
    assert {sentence.sentence_id for sentence in sentences} == {1}


@settings(max_examples=20, deadline=None)
@given(size=st.integers(1, 9000))
def test_the_size_of_messages_does_not_matter_even_if_it_is_odd(size: int) -> None:
    assert ended(transcribe(spoken("好的，谢谢。"), size)) == ["好的，谢谢。"]


def test_each_utterance_is_a_sentence_of_its_own() -> None:
    sentences = transcribe(spoken("喂？") + spoken("您好。") + spoken("喂？"))
    assert ended(sentences) == ["喂？", "您好。", "喂？"]
    assert [sentence.sentence_id for sentence in sentences if sentence.ended] == [1, 2, 3]


def test_an_utterance_cut_off_ends_after_the_silence_and_not_before() -> None:
    cut = utterance("今天的天气非常好，我们出去走走。", RATE).pcm[:12000].tobytes()
    assert ended(transcribe(cut + bytes(RATE * 2 // 2), silence=2000)[:-1]) == []
    transcriber = Transcriber(RATE, 800)
    sentences = transcriber.feed(cut)
    text = sentences[-1].text
    assert not sentences[-1].ended
    assert transcriber.feed(bytes(RATE // 2 * 2)) == []
    (last,) = [found for _ in range(5) for found in transcriber.feed(bytes(RATE // 10 * 2))]
    assert last.ended
    assert last.text == text
    assert transcriber.finish() == []


def test_the_end_of_the_audio_ends_the_sentence() -> None:
    cut = utterance("今天的天气非常好，我们出去走走。", RATE).pcm[:12000].tobytes()
    sentences = transcribe(cut)
    assert sentences[-1].ended
    assert "今天的天气非常好，我们出去走走。".startswith(sentences[-1].text)


def test_an_utterance_that_another_one_cuts_ends_before_it() -> None:
    cut = utterance("今天的天气非常好，我们出去走走。", RATE).pcm[:12000].tobytes()
    texts = ended(transcribe(cut + spoken("不用了，再见。")))
    assert len(texts) == 2
    assert texts[0].startswith("今天")
    assert texts[1] == "不用了，再见。"


def test_words_are_characters_latin_words_and_their_punctuation() -> None:
    words = transcribe(spoken("请说 hello world，123。好！"))[-1].words
    assert [(word.text, word.punctuation) for word in words] == [
        ("请", ""),
        ("说", ""),
        ("hello", ""),
        ("world", "，"),
        ("123", "。"),
        ("好", "！"),
    ]


def test_times_are_those_of_the_audio() -> None:
    sentence = transcribe(bytes(RATE * 2) + spoken("您好，再见。"))[-1]
    seconds = utterance("您好，再见。", RATE).seconds
    assert 1000 <= sentence.begin_ms <= 1300
    assert abs(sentence.end_ms - (1000 + seconds * 1000)) < 60
    edges = [edge for word in sentence.words for edge in (word.begin_ms, word.end_ms)]
    assert edges == sorted(edges)


def test_audio_without_tones_gives_nothing() -> None:
    noise = np.random.default_rng(5).normal(0, 2000, RATE * 5).astype("<i2").tobytes()
    assert transcribe(noise) == []
