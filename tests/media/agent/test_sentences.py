"""The splitter: cuts early, cuts well, loses nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.agent.sentences import FIRST_LENGTH, LONGEST, SentenceSplitter, speakable

PIECES = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.text(alphabet="您好我是小外，。！？；：、“”（）1234567890.,:!? abc\n", max_size=30),
    ),
    max_size=20,
)


def split(*arrivals: str) -> list[str]:
    splitter = SentenceSplitter()
    return [piece for arrival in arrivals for piece in splitter.feed(arrival)] + splitter.flush()


def test_the_first_piece_ends_at_the_first_mark_that_leaves_enough_to_say() -> None:
    assert split("您好，我是小外，想跟您确认一下预约。") == ["您好，我是小外，", "想跟您确认一下预约。"]


def test_a_chinese_mark_ends_a_piece_without_waiting_for_what_follows() -> None:
    assert SentenceSplitter().feed("您好我是小外。") == ["您好我是小外。"]


def test_later_pieces_are_whole_sentences_and_short_ones_are_joined() -> None:
    pieces = split("这是第一句话。好的。嗯。那么我来跟您说一下这次活动的时间和地点，请您记一下。再见。")
    assert pieces == ["这是第一句话。", "好的。嗯。那么我来跟您说一下这次活动的时间和地点，请您记一下。", "再见。"]


def test_text_without_marks_is_cut_at_the_longest_length() -> None:
    pieces = split("一" * 150)
    assert [len(piece) for piece in pieces] == [LONGEST, LONGEST, 150 - 2 * LONGEST]


def test_text_without_marks_is_cut_at_a_blank_if_there_is_one() -> None:
    text = "word " * 30
    assert all(piece.endswith(" ") and len(piece) <= LONGEST for piece in split(text))


@pytest.mark.parametrize(
    "whole",
    [
        "The price is 3.14 yuan.",
        "请打开https://example.com/a?b=c,d:e看看",
        "Please ask Mr. Wang about it",
        "在10:30开始，地点是1,000号",
        "上午10：30",
        "e.g. this one",
        "版本v2.0.1已经发布",
    ],
)
def test_numbers_addresses_and_abbreviations_stay_whole(whole: str) -> None:
    pieces = split(whole)
    for inner in ("3.14", "https://example.com/a?b=c,d:e", "Mr. Wang", "10:30", "1,000", "10：30", "e.g. ", "v2.0.1"):
        if inner in whole:
            assert any(inner in piece for piece in pieces), pieces


def test_english_sentences_end_at_the_mark_before_a_blank() -> None:
    assert split("Good morning. This is a call about your appointment tomorrow. Goodbye.") == [
        "Good morning.",
        " This is a call about your appointment tomorrow.",
        " Goodbye.",
    ]


def test_a_closing_quotation_mark_stays_with_its_sentence() -> None:
    assert split("他说：“明天我一定会来的。”然后就走了") == ["他说：“明天我一定会来的。”", "然后就走了"]


@given(PIECES)
def test_nothing_is_lost_or_reordered(arrivals: list[str]) -> None:
    assert "".join(split(*arrivals)) == "".join(arrivals)


@given(PIECES)
def test_how_the_text_arrives_does_not_change_where_it_is_cut(arrivals: list[str]) -> None:
    text = "".join(arrivals)
    assert split(*arrivals) == split(text) == split(*text)


@given(PIECES)
def test_no_piece_is_longer_than_the_longest_or_empty(arrivals: list[str]) -> None:
    assert all(0 < len(piece) <= LONGEST + 1 for piece in split(*arrivals))


@given(PIECES)
def test_the_first_piece_is_not_too_short_unless_it_is_all(arrivals: list[str]) -> None:
    pieces = split(*arrivals)
    assert len(pieces) < 2 or len(pieces[0]) >= FIRST_LENGTH


def test_only_what_holds_a_letter_or_digit_is_speakable() -> None:
    assert speakable("好。")
    assert speakable("1")
    assert not speakable("……！ ”")
