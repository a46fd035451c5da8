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


class Dialable(NamedTuple):
    """``number`` identifies the customer's line; ``exten`` is what the switchboard is asked for, "" if none."""

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
    match = _NUMBER.fullmatch(_LANDLINE.sub(r"\1\2", compact, count=1))
    if match is None:
        raise NumberError("expected digits with an optional leading + and an optional extension after - or ,")
    number, exten = match.group(1), match.group(2) or ""
    if exten and len(number.lstrip("+")) < _SHORTEST_WITH_EXTENSION:
        raise NumberError(
            f"expected a complete number of at least {_SHORTEST_WITH_EXTENSION} digits before the extension"
        )
    return Dialable(number, exten)


def mask(number: str) -> str:
    """``13800138000`` as ``138****8000``, with at least four digits hidden: for logs, metrics and whoever may not see all."""
    digits = number.strip()
    shown = max(0, len(digits) - 4)
    tail = min(4, shown)
    head = min(3, shown - tail)
    return digits[:head] + "*" * (len(digits) - head - tail) + digits[len(digits) - tail :]
