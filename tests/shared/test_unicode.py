"""What nobody can store is shown as U+FFFD, and nothing else is touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.unicode import ends_in_half, storable, storable_document


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("好的\ud83d。", "好的\ufffd。"),
        ("\ud83d\ude00", "😀"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("a\0b", "a\ufffdb"),
        ("😀\ud83d", "😀\ufffd"),
        ("\ufeff好", "\ufeff好"),
        ("", ""),
    ],
)
def test_halves_and_nul_are_replaced(text: str, stored: str) -> None:
    assert storable(text) == stored


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_what_can_be_stored_stays_as_it_is(text: str) -> None:
    assert storable(text) == text


@given(st.text(st.characters(categories=("Cs", "Cc", "Lo", "So"))))
def test_whatever_came_can_be_written(text: str) -> None:
    assert b"\0" not in storable(text).encode()


def test_a_first_half_is_told_from_a_second_one() -> None:
    assert ends_in_half("好\ud83d")
    assert not ends_in_half("好\ude00")
    assert not ends_in_half("")


def test_of_a_document_every_text_is_storable() -> None:
    given = {"a\0": ["\0", 1, None, {"b": "\ud800", "c": "😀 as it is"}]}
    assert storable_document(given) == {"a\ufffd": ["\ufffd", 1, None, {"b": "\ufffd", "c": "😀 as it is"}]}
