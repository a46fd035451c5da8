"""Phone numbers: what is accepted, what is dialled, what may be shown (reading.md, "Phone number")."""

from __future__ import annotations

import re
from typing import NamedTuple

from shared.errors import NumberError

MAX_LENGTH = 40
"""Longer than any number with an extension; bounds the work on hostile input."""

_LANDLINE = re.compile(r"(0\d{2,3})-(\d{7,8})(?=$|[-,])")
_NUMBER = re.compile(r"(\+?\d{3,20})(?:[-,](\d{1,10}))?")
_SHORTEST_WITH_EXTENSION = 7
_SEPARATORS = re.compile(r"[ \u00a0\u3000\-\u2010-\u2015.()（）]")
_TRUNK = "0"
CHINA = "86"
"""What WAIHU_COUNTRY_CODE is unless it is set."""
SHORTEST_NATIONAL = 9
"""Digits of a number with its area code and without the trunk 0: with fewer it is short, or of an unknown area."""
SHORTEST_ABROAD = 7
"""Characters of a number that begins with 00."""


class Dialable(NamedTuple):
    """``number`` is dialled, and says whose line it is (``line``); ``exten`` is what the switchboard is asked for, "" if none."""

    number: str
    exten: str


def parse(text: str) -> Dialable:
    """Digits with an optional leading +; ``0571-88001234`` is one landline; an extension follows ``-`` or ``,``.

    Raises NumberError, without the number in its message.
    """
    compact = text.strip()
    if not compact or len(compact) > MAX_LENGTH or not compact.isascii():
        raise NumberError(
            f"expected 3 to 20 digits with an optional leading +, got {len(text)} characters of another kind"
        )
    match = _NUMBER.fullmatch(_joined(compact))
    if match is None:
        raise NumberError("expected digits with an optional leading + and an optional extension after - or ,")
    number, exten = match.group(1), match.group(2) or ""
    if exten and len(number.lstrip("+")) < _SHORTEST_WITH_EXTENSION:
        raise NumberError(
            f"expected a complete number of at least {_SHORTEST_WITH_EXTENSION} digits before the extension"
        )
    return Dialable(number, exten)


def _joined(text: str) -> str:
    """A landline's area code and number without the dash between them; another dash is an extension's."""
    match = _LANDLINE.match(text)
    return text if match is None else match[1] + match[2] + text[match.end() :]


def parse_loosely(text: str) -> Dialable:
    """As ``parse``, but also with spaces, dashes, dots and brackets as people write them in letters and lists.

    For numbers that are compared and never dialled. Raises NumberError.
    """
    try:
        return parse(text)
    except NumberError:
        return parse(_SEPARATORS.sub("", text[: 2 * MAX_LENGTH]))


def line(number: str, country: str) -> str:
    """One spelling for each line, to compare numbers by: ``+8613800138000``, however it was written.

    ``number`` is as ``parse`` returns it. A number without a country code belongs to ``country`` (WAIHU_COUNTRY_CODE,
    digits only). Short and local numbers (10086, 88001234) have no country code, and are left as they are. What is
    dialled is the number, never this. Lines that are stored, or looked for, come from ``shared.lines``.
    """
    if number.startswith("+"):
        digits, national = number[1:], number[1:].removeprefix(country)
        if national == digits:
            return number
    elif number.startswith("00") and len(number) >= SHORTEST_ABROAD:
        digits, national = number[2:], number[2:].removeprefix(country)
        if national == digits:
            return f"+{digits}"
    elif number.startswith(country) and len(number) >= len(country) + SHORTEST_NATIONAL:
        national = number[len(country) :]
    else:
        national = number
    if len(national) > SHORTEST_NATIONAL:
        national = national.removeprefix(_TRUNK)
    if national.startswith(_TRUNK):
        return number
    return f"+{country}{national}" if len(national) >= SHORTEST_NATIONAL else national


def mask(number: str) -> str:
    """``13800138000`` as ``138****8000``, with at least four digits hidden: for logs, metrics and whoever may not see all."""
    digits = number.strip()
    shown = max(0, len(digits) - 4)
    tail = min(4, shown)
    head = min(3, shown - tail)
    return digits[:head] + "*" * (len(digits) - head - tail) + digits[len(digits) - tail :]
