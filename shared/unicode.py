"""Text that can be written down everywhere: what JSON can carry and neither UTF-8 nor PostgreSQL takes. Pure."""

from __future__ import annotations

import re
from typing import Any

REPLACEMENT = "\ufffd"
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """``text`` without NUL and without halves of surrogate pairs; each becomes U+FFFD.

    JSON may escape either (``"\\u0000"``, ``"\\ud83d"``), and Python's reader lets them through. Half a pair cannot be
    encoded as UTF-8, and PostgreSQL stores no NUL, in a text or in a JSON. Halves that belong together are joined first.
    """
    if _UNSTORABLE.search(text) is None:
        return text
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\0", REPLACEMENT)


def storable_document(value: Any) -> Any:
    """As ``storable``, of every text in a JSON document, keys included."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [storable_document(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): storable_document(item) for key, item in value.items()}
    return value


def ends_in_half(text: str) -> bool:
    """Whether its last character is the first half of a surrogate pair, whose other half may be on its way."""
    return "\ud800" <= text[-1:] <= "\udbff"
