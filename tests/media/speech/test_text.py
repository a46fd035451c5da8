"""What a voice is given to say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.speech.text import places, spoken


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("您好😀，再见👋🏽", "您好，再见"),
        ("**重要**：请看[这里](https://a.b/c)。", "重要：请看这里。"),
        ("# 标题\n- 第一\n- 第二", "标题 第一 第二"),
        ("多个   空格\t和\n换行", "多个 空格 和 换行"),
        ("3.5℃，a_b，2-1", "3.5℃，a_b，2-1"),
        ("零宽\u200d字符\x00", "零宽字符"),
        ("ends with blank ", "ends with blank "),
    ],
)
def test_pictures_and_markup_are_not_spoken(text: str, said: str) -> None:
    assert spoken(text) == said


@given(st.text())
def test_no_picture_control_or_mark_up_character_is_ever_left(text: str) -> None:
    assert not any(character in spoken(text) for character in "😀\n\x00\x1b\u200d*`")


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("您好😀，**再见**👋🏽", "您好，再见"),
        ("# 标题\n- 第一\n- 第二", "标题第一第二"),
        ("请看[这里](https://a.b/c)。好", "请看这里。好"),
    ],
)
def test_what_is_spoken_is_found_in_the_text(text: str, letters: str) -> None:
    found = [text[place] for place in places(text, spoken(text))]
    assert "".join(found).translate({ord(blank): None for blank in " \n"}) == letters


@given(st.text())
def test_places_follow_one_another_within_the_text(text: str) -> None:
    found = places(text, spoken(text))
    assert found == sorted(found)
    assert all(0 <= place < len(text) for place in found)
