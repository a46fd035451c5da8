"""Text that others wrote, made harmless to show: in logs, and in what the ``waihu`` command prints."""

from __future__ import annotations

import json
import re
from typing import Any

UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, other ends of lines, and what turns the direction of reading: in a terminal they forge what a
line says, and some act on the terminal itself."""


def visible(text: str, *, keep: str = "") -> str:
    """``text`` with what no terminal shows, or what would act on one, written out: ``\\n``, ``\\x1b``, ``\\u202e``.

    ``keep``: characters that stay, for text whose lines or columns are our own.
    """
    return UNSEEN.sub(lambda found: found[0] if found[0] in keep else found[0].encode("unicode_escape").decode(), text)


def visible_json(document: Any, *, indent: int | None = None) -> str:
    """JSON of the same document in which everything reads as it is, but for what no terminal shows."""
    written = json.dumps(document, ensure_ascii=False, default=str, indent=indent)
    # Within a string the end of a line is escaped already: what is left of them is the indentation's.
    return UNSEEN.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", written)
