"""Text against heard audio."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.subtitle import Mark, WordOffset, heard_text, next_sentence_end, sentence_ends, words

RATE = 8000


def spoken(text: str, start: int = 0, end: int = 8000) -> list[Mark]:
    """One text over one second."""
    return [Mark(text, start, end)]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("您好，请问。", 4),
        ("Hello, this is a test.", 5),
        ("don't stop", 2),
        ("您的 order 12345 已发", 6),
        ("ABC公司", 3),
        ("……！", 0),
        ("こんにちは", 5),
        ("version 1.5", 2),
    ],
)
def test_a_cjk_character_is_a_word(text: str, count: int) -> None:
    assert len(words(text)) == count


@pytest.mark.parametrize(("characters", "text", "position"), [(7, "Hello", 1), (9, "Hello big", 2), (3, "", 0)])
def test_only_whole_words_were_heard(characters: int, text: str, position: int) -> None:
    mark = Mark("Hello big world", 0, 15_000, [WordOffset(at, at + 1, at * 1000, at * 1000 + 1000) for at in range(15)])
    heard = heard_text([mark], characters * 1000, 15_000, 8000)
    assert (heard.text, heard.position) == (text, position)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("您好。请问？", [3, 6]),
        ("他说：“好。”然后走了。", [7, 12]),
        ("It costs 3.50. Fine!", [14, 20]),
        ("没有标点", [4]),
        ("好的。谢谢", [3, 5]),
    ],
)
def test_sentences_end_with_their_closing_marks(text: str, ends: list[int]) -> None:
    assert sentence_ends(text) == ends


def test_half_the_audio_is_half_the_characters() -> None:
    heard = heard_text(spoken("一二三四五六七八九十"), 4000, 8000, RATE)
    assert (heard.text, heard.position) == ("一二三四五", 5)


def test_a_character_that_was_broken_off_was_not_heard() -> None:
    assert heard_text(spoken("一二三四五六七八九十"), 4799, 8000, RATE).text == "一二三四五"
    assert heard_text(spoken("一二三四五六七八九十"), 4800, 8000, RATE).text == "一二三四五六"


def test_a_broken_word_is_given_up() -> None:
    heard = heard_text(spoken("Hello wonderful world"), 4000, 8000, RATE)
    assert (heard.text, heard.position) == ("Hello", 1)


def test_nothing_heard_is_no_text() -> None:
    assert heard_text(spoken("“你好”"), 0, 8000, RATE).text == ""
    assert heard_text([], 0, 0, RATE).text == ""


def test_all_heard_is_all_text_with_its_mark() -> None:
    assert heard_text(spoken("你好。"), 8000, 8000, RATE).text == "你好。"


def test_texts_follow_one_another() -> None:
    marks = [Mark("一二三四", 0, 4000), Mark("五六七八", 4000, 8000)]
    assert heard_text(marks, 4000, 8000, RATE).text == "一二三四"
    assert heard_text(marks, 6000, 8000, RATE).text == "一二三四五六"


def test_the_providers_word_times_count() -> None:
    mark = Mark("一二三四", 1000, 9000)
    mark.offsets = [WordOffset(0, 2, 0, 500), WordOffset(2, 3, 3000, 3500), WordOffset(3, 4, 7000, 8000)]
    assert heard_text([mark], 1499, 9000, RATE).text == ""
    assert heard_text([mark], 1500, 9000, RATE).text == "一二"
    assert heard_text([mark], 4499, 9000, RATE).text == "一二"
    assert heard_text([mark], 4500, 9000, RATE).text == "一二三"


def test_beyond_the_providers_word_times_interpolation_goes_on() -> None:
    mark = Mark("一二三四", 0, 8000, [WordOffset(0, 2, 0, 2000)])
    assert heard_text([mark], 5000, 8000, RATE).text == "一二三"


def test_audio_that_is_still_coming_is_not_taken_for_all() -> None:
    # One second of ten characters has come; at slow speech the ten would take 2.5 s.
    mark = Mark("一二三四五六七八九十", 0)
    assert heard_text([mark], 8000, 8000, RATE).text == "一二三四"


@pytest.mark.parametrize(
    ("sample", "end"), [(0, 4000), (3999, 4000), (4000, 4000), (4001, 8000), (8000, 8000), (8001, None)]
)
def test_the_next_sentence_end_lies_ahead(sample: int, end: int | None) -> None:
    # Four characters before the first mark, five and a pause after it: 一二三四。五六七八 -> 9 units, 5 in the first.
    marks = [Mark("一二三四。", 0, 4000), Mark("五六七八。", 4000, 8000)]
    assert next_sentence_end(marks, sample, 8000, RATE) == end


def test_sentences_within_one_text_are_found_by_interpolation() -> None:
    marks = spoken("一二三四。五六七八九", 0, 10_000)
    assert next_sentence_end(marks, 100, 10_000, RATE) == 5000


@given(
    st.text(alphabet="一二三。，ab 1'“”", max_size=30),
    st.integers(1, 20_000),
    st.lists(st.integers(0, 20_000), min_size=2, max_size=2),
    st.booleans(),
)
def test_heard_text_grows_and_is_always_a_beginning(text: str, total: int, moments: list[int], closed: bool) -> None:
    marks = [Mark(text, 0, total if closed else None)]
    less, more = (heard_text(marks, moment, total, RATE) for moment in sorted(moments))
    assert text.startswith(more.text)
    assert more.text.startswith(less.text)
    assert less.position <= more.position
    assert len(words(less.text)) == less.position
