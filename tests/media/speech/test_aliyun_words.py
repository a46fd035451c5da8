"""Word times of sentences become those of all the text, however the service counts."""

from __future__ import annotations

from media.speech.aliyun import Sentence, Word
from media.speech.aliyun_words import WordTimes
from media.speech.ports import SpokenWord

A, B = "您好，我是小张。", "请问您是张先生吗？"


def sentence(index: int | None, text: str, at: int = 0, since: int = 0, upto: int | None = None) -> Sentence:
    """A word for each character: its indexes count from ``at``, its times, of 200 ms each, from ``since``."""
    words = [
        Word(since + 200 * i, since + 200 * (i + 1), character, at + i, at + i + 1)
        for i, character in enumerate(text[:upto])
    ]
    return Sentence(index=index, words=words)


def expected(text: str, upto: int) -> list[SpokenWord]:
    return [SpokenWord(i, i + 1, 200 * i, 200 * (i + 1)) for i in range(upto)]


def test_indexes_within_a_sentence_count_on_from_the_sentences_before_it() -> None:
    times = WordTimes()
    times.sent(A)
    times.sent(B)
    told = times.take(sentence(0, A), A, 1600)
    told += times.take(sentence(1, B, since=1600), B, 3400)
    assert told == expected(A + B, 17)


def test_times_that_begin_anew_with_a_sentence_count_on_from_the_audio_before_it() -> None:
    times = WordTimes()
    times.sent(A + B)
    assert times.take(Sentence(index=0), A, 0) == []
    told = times.take(sentence(0, A), "", 1600)
    assert times.take(Sentence(index=1), B, 1600) == []
    told += times.take(sentence(1, B), "", 3400)
    assert told == expected(A + B, 17)


def test_a_service_that_counts_from_the_tasks_beginning_is_believed() -> None:
    times = WordTimes()
    times.sent(A + B)
    told = times.take(sentence(0, A), A, 1600)
    told += times.take(sentence(1, B, at=8, since=1600), B, 3400)
    assert told == expected(A + B, 17)


def test_words_that_are_told_again_are_news_only_if_there_are_more_of_them() -> None:
    times = WordTimes()
    times.sent(A)
    assert len(times.take(sentence(0, A, upto=3), "", 400)) == 3
    assert times.take(sentence(0, A, upto=3), "", 600) == []
    assert times.take(sentence(0, A), A, 1600) == expected(A, 8)
    assert times.take(Sentence(index=0), A, 1600) == []


def test_blanks_between_sentences_are_counted() -> None:
    text = "Yes, this is Li.  Is Mr. Zhang there?"
    words = [("Yes", 0, 3), ("this", 5, 9), ("is", 10, 12), ("Li", 13, 15)]
    more = [("Is", 0, 2), ("Mr", 3, 5), ("Zhang", 7, 12), ("there", 13, 18)]
    times = WordTimes()
    times.sent(text)
    for index, (spoken, original) in enumerate(((words, "Yes, this is Li."), (more, "Is Mr. Zhang there?"))):
        known = [Word(1000 * index + i, 1000 * index + i + 1, *each) for i, each in enumerate(spoken)]
        told = times.take(Sentence(index=index, words=known), original, 1000 * (index + 1))
        assert [text[word.text_start : word.text_end] for word in told] == [word for word, _, _ in spoken]


def test_without_the_sentences_text_its_first_word_shows_where_it_lies() -> None:
    times = WordTimes()
    times.sent("好的。再见。")
    times.take(sentence(0, "好的"), "", 400)
    told = times.take(sentence(1, "再见", since=600), "", 1000)
    assert [(word.text_start, word.text_end) for word in told] == [(3, 4), (4, 5)]


def test_a_text_that_the_service_spells_otherwise_lies_behind_the_one_before() -> None:
    times = WordTimes()
    times.sent("尾号5。对吗？")
    times.take(sentence(0, "尾号五。"), "尾号五。", 800)
    told = times.take(sentence(1, "对吗？", since=800), "对吗？", 1400)
    assert [(word.text_start, word.text_end) for word in told] == [(4, 5), (5, 6), (6, 7)]


def test_sentences_without_a_number_are_taken_as_one() -> None:
    times = WordTimes()
    times.sent(A)
    assert times.take(sentence(None, A), "", 1600) == expected(A, 8)
