"""Cuts a text that arrives in pieces into what can be spoken at once. Pure.

The pieces joined are the text, character for character, and where they are cut does not depend on how it arrived.
Chinese marks end a piece without waiting for what follows; Latin ones only with a blank (or a Chinese character)
behind them, so that 3.14, 10:30, e.g. and https://host/?a=b stay whole.
"""

from __future__ import annotations

import unicodedata

FIRST_LENGTH = 6
"""The first piece is cut at any mark from here on: about 1.5 s of speech, which covers the synthesis of the next."""
SENTENCE_LENGTH = 20
"""Later pieces end with a sentence of at least this length: longer ones sound better, and there is time by then."""
CLAUSE_LENGTH = 40
"""From here on a comma is enough."""
LONGEST = 60
"""A piece without any mark is cut here: about 15 s of speech."""

_STRONG = frozenset("。！？；\n")
_WEAK = frozenset("，、：")
_LATIN_STRONG = frozenset(".!?;")
_LATIN_WEAK = frozenset(",:")
_CLOSERS = frozenset("”’」』）】》〉\"')]")
_QUOTES = {"”": "“", "’": "‘", "」": "「", "』": "『", "）": "（", "】": "【", "》": "《"}
_ABBREVIATIONS = frozenset(
    (
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "no",
        "vs",
        "etc",
        "inc",
        "ltd",
        "co",
        "jr",
        "sr",
        "e.g",
        "i.e",
        "a.m",
        "p.m",
    )
)


class SentenceSplitter:
    """One utterance's. ``feed`` what arrives, ``flush`` when no more comes."""

    def __init__(self) -> None:
        self._text = ""
        self._seen = 0
        self._pieces = 0

    def feed(self, text: str) -> list[str]:
        """The pieces that are complete now; may be none."""
        self._text += text
        pieces = []
        while (end := self._find_end()) is not None:
            pieces.append(self._text[:end])
            self._text, self._seen = self._text[end:], 0
            self._pieces += 1
        return pieces

    def flush(self) -> list[str]:
        """What is left, as one last piece; afterwards the splitter is as new."""
        rest = [self._text] if self._text else []
        self._text, self._seen, self._pieces = "", 0, 0
        return rest

    def _find_end(self) -> int | None:
        """Length of the next piece, or None if its end has not come (or cannot be told yet)."""
        text = self._text
        while self._seen < len(text):
            index = self._seen
            if index >= LONGEST:
                return _break(text)
            if _is_mark(text[index]):
                needs_next = _needs_next(text, index)
                if needs_next and index + 1 == len(text):
                    return None
                following = text[index + 1] if needs_next else ""
                if self._is_long_enough(text, index) and _ends_here(text, index, following):
                    return index + 1
            self._seen += 1
        return None

    def _is_long_enough(self, text: str, index: int) -> bool:
        length = len(text[: index + 1].strip())
        if self._pieces == 0:
            return length >= FIRST_LENGTH
        return length >= (SENTENCE_LENGTH if text[index] in _STRONG or text[index] in _LATIN_STRONG else CLAUSE_LENGTH)


def split(text: str) -> list[str]:
    """The pieces that a whole text is spoken in, those without anything to say left out."""
    splitter = SentenceSplitter()
    return [piece for piece in splitter.feed(text) + splitter.flush() if speakable(piece)]


def speakable(piece: str) -> bool:
    """Whether there is anything in it to say: a letter, a digit, a character."""
    return any(character.isalnum() for character in piece)


def _is_mark(character: str) -> bool:
    return (
        character in _STRONG
        or character in _WEAK
        or character in _LATIN_STRONG
        or character in _LATIN_WEAK
        or (character in _CLOSERS)
    )


def _needs_next(text: str, index: int) -> bool:
    """Whether only the next character tells if a piece ends at ``index``."""
    mark = text[index]
    if mark in _STRONG or mark in _WEAK:
        return _follows_digit(text, index) or _inside_quotes(text[:index])
    return True


def _ends_here(text: str, index: int, following: str) -> bool:
    """``following``: the next character, "" where it does not matter."""
    mark = text[index]
    if following in _CLOSERS:
        return False
    if mark in _STRONG or mark in _WEAK:
        return not (_follows_digit(text, index) and following.isdigit())
    if mark in _CLOSERS:
        return index > 0 and text[index - 1] in _STRONG
    if not (following.isspace() or _is_wide(following)):
        return False
    return mark != "." or not _is_abbreviation(text[:index])


def _follows_digit(text: str, index: int) -> bool:
    return index > 0 and text[index - 1].isdigit()


def _inside_quotes(text: str) -> bool:
    return any(text.count(opening) > text.count(closing) for closing, opening in _QUOTES.items())


def _is_abbreviation(text: str) -> bool:
    word = text.rsplit(maxsplit=1)[-1].lower() if text.strip() and not text[-1].isspace() else ""
    return word in _ABBREVIATIONS or (len(word) == 1 and word.isascii() and word.isalpha())


def _is_wide(character: str) -> bool:
    return character != "" and unicodedata.east_asian_width(character) in "WF"


def _break(text: str) -> int:
    """Where to cut ``LONGEST`` characters without a mark: at a blank, or before a word or number, or just there."""
    for index in range(LONGEST, SENTENCE_LENGTH, -1):
        if text[index - 1].isspace():
            return index
    for index in range(LONGEST, SENTENCE_LENGTH, -1):
        if not (_is_latin(text[index - 1]) and _is_latin(text[index])) and not _joins(text[index]):
            return index
    return LONGEST


def _is_latin(character: str) -> bool:
    return character.isascii() and not character.isspace()


def _joins(character: str) -> bool:
    """Whether it belongs to the character before it: combining marks, variation selectors, joiners."""
    return unicodedata.combining(character) != 0 or character in "\u200d\ufe0e\ufe0f"
