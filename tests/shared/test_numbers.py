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
        ("13800571-8800123", "13800571", "8800123"),
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


@pytest.mark.parametrize(
    "number",
    ["13800138000", "+8613800138000", "8613800138000", "008613800138000", "013800138000", "+86013800138000"],
)
def test_a_mobile_number_is_one_line_however_it_is_written(number: str) -> None:
    assert numbers.line(number, "86") == "+8613800138000"


@pytest.mark.parametrize(
    ("number", "line"),
    [
        ("057188001234", "+8657188001234"),
        ("+8657188001234", "+8657188001234"),
        ("+86057188001234", "+8657188001234"),
        ("8657188001234", "+8657188001234"),
        ("57188001234", "+8657188001234"),
        ("01088001234", "+861088001234"),
        ("861088001234", "+861088001234"),
        ("4008123123", "+864008123123"),
        ("10086", "10086"),
        ("+8610086", "10086"),
        ("110", "110"),
        ("88001234", "88001234"),
        ("86001234", "86001234"),
        ("+14155550100", "+14155550100"),
        ("0014155550100", "+14155550100"),
        ("+85212345678", "+85212345678"),
        ("0085212345678", "+85212345678"),
        ("057112345", "057112345"),
        ("", ""),
    ],
)
def test_other_numbers_are_lines_too(number: str, line: str) -> None:
    assert numbers.line(number, "86") == line


def test_a_number_without_a_country_code_belongs_to_the_house_s_country() -> None:
    assert numbers.line("4155550100", "1") == numbers.line("14155550100", "1") == "+14155550100"
    assert numbers.line("13800138000", "1") == "+13800138000"
    assert numbers.line("+8613800138000", "1") == "+8613800138000"


COUNTRIES = st.sampled_from(["86", "1", "852", "49", "7"])
NUMBERS = st.one_of(
    st.from_regex(r"\+?[0-9]{3,20}", fullmatch=True),
    st.builds(
        str.__add__,
        st.sampled_from(["", "0", "86", "+86", "0086", "860", "+860", "1", "+1"]),
        st.from_regex(r"[0-9]{3,11}", fullmatch=True),
    ),
)


@given(NUMBERS, COUNTRIES)
def test_a_line_is_its_own_line_and_every_spelling_ends_in_its_digits(number: str, country: str) -> None:
    line = numbers.line(number, country)
    assert numbers.line(line, country) == line
    assert number.endswith(line.removeprefix(f"+{country}").removeprefix("+"))


@pytest.mark.parametrize(
    "text",
    [
        "138 0013 8000",
        "138-0013-8000",
        "+86 138 0013 8000",
        "0086-138-0013-8000",
        "(+86) 138.0013.8000",
        "138 0013　8000",
    ],
)
def test_a_number_in_a_letter_is_read_with_its_separators(text: str) -> None:
    assert numbers.line(numbers.parse_loosely(text).number, "86") == "+8613800138000"


@pytest.mark.parametrize("text", ["", "call me", "1 2", "138 0013 8000 x", "1" * 500, "- - -"])
def test_what_is_no_number_is_refused_however_loosely_it_is_read(text: str) -> None:
    with pytest.raises(NumberError):
        numbers.parse_loosely(text)


def test_an_extension_is_still_one() -> None:
    assert numbers.parse_loosely("057188001234-8001") == ("057188001234", "8001")
