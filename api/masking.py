"""Numbers as whoever asks may see them: whole, or as 138****8000."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from api.keys import principal
from shared.numbers import mask

_FIELDS = ("phone", "telephone", "number")
_LONG_NUMBER = re.compile(r"\+?\d{5,}")


def shown_number(number: str) -> str:
    """A customer's number for the current request."""
    return number if principal().sees_numbers else mask(number)


def shown_file(name: str) -> str:
    """A recording's name as the phone system gave it, which ends in the customer's number (phone-system.txt, 3.3)."""
    return name if principal().sees_numbers else _LONG_NUMBER.sub(lambda digits: mask(digits[0]), name)


def shown_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of an answer, in which ``phone``, ``telephone`` and ``number`` are customers' numbers."""
    if principal().sees_numbers:
        return list(rows)
    return [row | {name: mask(row[name]) for name in _FIELDS if row.get(name)} for row in rows]
