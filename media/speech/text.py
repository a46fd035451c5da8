"""What a voice can say of a text: no emoji, no Markdown, single blanks. Pure."""

from __future__ import annotations

import re
import unicodedata

_LINK = re.compile(r"!?\[([^\]]*)\]\([^)\s]*\)")
_MARKUP = re.compile(r"[*`~]+|(?m:^\s{0,3}(?:#{1,6}|>+|[-+•])\s+)|_{2,}")
_PICTURES = re.compile(
    "[\U0001f000-\U0001faff\U0001fb00-\U0001fbff\u2600-\u27bf\u2b00-\u2bff\ufe0e\ufe0f\u200d\u20e3\U000e0000-\U000e007f]"
)
_BLANKS = re.compile(r"\s+")


def spoken(text: str) -> str:
    """``text`` for a synthesiser; one blank at either end is kept, since more text may follow."""
    plain = _LINK.sub(r"\1", unicodedata.normalize("NFC", text))
    plain = _PICTURES.sub("", _MARKUP.sub("", plain))
    plain = "".join(
        character for character in plain if character.isspace() or unicodedata.category(character)[0] != "C"
    )
    return _BLANKS.sub(" ", plain)


def places(text: str, said: str) -> list[int]:
    """Where each character of ``said``, which is ``spoken(text)``, stands in ``text``."""
    found, at = [], 0
    for character in said:
        place = _next_blank(text, at) if character == " " else text.find(character, at)
        place = at if place < 0 else place
        found.append(min(place, max(0, len(text) - 1)))
        at = place + 1
    return found


def _next_blank(text: str, at: int) -> int:
    match = _BLANKS.search(text, at)
    return match.start() if match else -1
