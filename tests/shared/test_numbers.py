"""Phone numbers: reading.md, "Phone number"."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import numbers
from shared.errors import NumberError


@pytest.mark.parametrize(
    ("text", "number", "exten"),
    [
        ("13800138000", "13800138000", ""),
        (" 13800138000 ", "13800138000", ""),
        ("+8613800138000", "+8613800138000", ""),
        ("10086", "10086", ""),
        ("110", "110", ""),
        ("0571-88001234", "057188001234", ""),
        ("010-8800123", "0108800123", ""),
        ("057188001234-8001", "057188001234", "8001"),
        ("057188001234,8001", "057188001234", "8001"),
        ("0571-88001234-8001", "057188001234", "8001"),
        ("0571-88001234,1", "057188001234", "1"),
        ("8800123-12", "8800123", "12"),
    ],
)
def test_what_is_dialled_is_the_line_and_its_extension(text: str, number: str, exten: str) -> None:
    assert numbers.parse(text) == (number, exten)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "12",
        "call me",
        "1380013800a",
        "138 0013 8000",
        "138-0013-8000",
        "(0571)88001234",
        "++8613800138000",
        "86+13800138000",
        "13800138000-",
        "13800138000-80-01",
        "10086-1",
        "13800138000;8001",
        "13800138000x8001",
        "１３８００１３８０００",
        "١٣٨٠٠١٣٨٠٠٠",
        "📞13800138000",
        "1" * 21,
        "1" * 500,
        "13800138000-12345678901",
        "13800138000\n13800138001",
    ],
)
def test_what_is_no_number_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(NumberError) as raised:
        numbers.parse(text)
    if len(text.strip()) > 3:
        assert text.strip() not in str(raised.value)


@given(st.text(max_size=60))
def test_any_text_is_a_number_or_a_number_error(text: str) -> None:
    try:
        number, exten = numbers.parse(text)
    except NumberError:
        return
    assert 3 <= len(number.lstrip("+")) <= 20
    assert (number.lstrip("+") + exten).isascii()
    assert (number.lstrip("+") + exten).isdigit()
    assert numbers.parse(f"{number},{exten}" if exten else number) == (number, exten)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("13800138000", "138****8000"),
        ("057188001234", "057*****1234"),
        ("8800123", "****123"),
        ("10086", "****6"),
        ("110", "***"),
        ("", ""),
    ],
)
def test_a_masked_number_hides_at_least_four_digits(number: str, shown: str) -> None:
    assert numbers.mask(number) == shown


@given(st.from_regex(r"\+?[0-9]{1,20}", fullmatch=True))
def test_a_masked_number_is_as_long_and_tells_at_most_seven(number: str) -> None:
    masked = numbers.mask(number)
    assert len(masked) == len(number)
    assert masked.count("*") >= min(4, len(number), max(4, len(number) - 7))
