"""Text that can be written down everywhere: what JSON can carry and neither UTF-8 nor PostgreSQL takes. Pure."""

from __future__ import annotations

import re

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


def ends_in_half(text: str) -> bool:
    """Whether its last character is the first half of a surrogate pair, whose other half may be on its way."""
    return "\ud800" <= text[-1:] <= "\udbff"
