"""What came, as messages show it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.received import received


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("abc", "收到的是 'abc'"),
        ("  ", "收到的是 ''"),
        ("139abc", "收到的是 '139abc'"),
        ("1391234567x", "收到的是 '139****567x'"),
        ("139 1234 5678", "收到的是 '139******5678'"),
        ("１３９１２３４５６７８", "收到的是 '１３９****５６７８'"),
        ("x" * 30, f"收到的是 '{'x' * 24}…'"),
        ("a\x1b\n", "收到的是 'a\\x1b'"),
        (1001, "收到的是 1001"),
        (13912345678, "收到的是 139****5678"),
        (1.5, "收到的是 1.5"),
        (True, "收到的是布尔值"),
        (None, "收到的是 null"),
        ([1], "收到的是数组"),
    ],
)
def test_what_came_is_shown_short_and_without_numbers(value: Any, shown: str) -> None:
    assert received(value) == shown


@given(st.from_regex(r"[+x ]{0,3}[0-9]{7,20}[x ]{0,30}", fullmatch=True))
def test_no_whole_number_is_shown(text: str) -> None:
    assert sum(character.isdecimal() for character in received(text)) <= 7
    assert text.strip() not in received(text)
