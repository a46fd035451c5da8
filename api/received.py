"""What came, as messages about it show it: shortened, on one line, and never a whole phone number."""

from __future__ import annotations

from typing import Any

from api.body import type_name
from shared.numbers import mask

LONGEST_SHOWN = 24
"""Characters: enough to find it again in what was sent."""
MANY_DIGITS = 7
"""So many may be a phone number, as in the audit and in logs."""


def received(value: Any) -> str:
    """``收到的是…``: a string or a number itself, masked if it may be a phone number; of anything else its kind."""
    if isinstance(value, str):
        return f"收到的是 {_safe(value.strip())!r}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"收到的是 {_safe(str(value))}"
    return f"收到的是{type_name(value)}"


def shortened(text: str) -> str:
    """The beginning of a text that may be long, with a mark where it was cut."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _safe(text: str) -> str:
    digits = sum(character.isdecimal() for character in text)
    return shortened(text) if digits < MANY_DIGITS else mask(text[:LONGEST_SHOWN])
