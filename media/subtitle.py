"""What text has been heard when so much of its audio has. Pure.

Words are counted as Active Call does in its ``interruption`` event: a CJK character is a word, other scripts have
words of letters and digits. Without word times from the provider, a text's characters are laid evenly over its
audio; the answer is always rounded down, to whole words that have ended.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

_CJK = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_CJK}]|(?:(?![{_CJK}_])\w)+(?:['’.-](?:(?![{_CJK}_])\w)+)*")
_SENTENCE_END = re.compile(r"(?:[。！？!?…；;]|\.(?!\w))+[”’」』）)\"']*")
_PAUSE = frozenset("，。！？；：、,.!?;:…—")

UNIT_S = 0.25
"""Slow speech, four Chinese characters a second: the guess for audio that has not all come yet. Too slow a guess
reports too little heard, never too much."""
_LETTER = 0.35
"""A letter of an alphabet, measured in Chinese characters: some fourteen letters are spoken in a second, or five characters."""


def words(text: str) -> list[tuple[int, int]]:
    """Where each word of ``text`` begins and ends."""
    return [match.span() for match in _WORD.finditer(text)]


def sentence_ends(text: str) -> list[int]:
    """The positions behind each sentence's final mark; the end of the text is always one."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return ends if ends and ends[-1] == len(text) else [*ends, len(text)]


def _weight(character: str) -> float:
    if character in _PAUSE:
        return 1.0
    if not character.isalnum():
        return 0.0
    return _LETTER if character.isascii() and character.isalpha() else 1.0


def _weights(text: str) -> list[float]:
    """For each position, how much of the speaking lies before it. Closing marks take no time of their own."""
    spoken = len(text.rstrip("".join(_PAUSE) + " \n”’」』）)\"'"))
    return [0.0, *accumulate(_weight(c) if at < spoken else 0.0 for at, c in enumerate(text))]


@dataclass(frozen=True, slots=True)
class WordOffset:
    """Where a provider says a piece of text sounds: characters of the text, samples from where its audio begins."""

    text_start: int
    text_end: int
    start: int
    end: int


@dataclass(slots=True)
class Mark:
    """A text and the samples of a play that speak it: from ``start`` to ``end``, or on and on while ``end`` is None."""

    text: str
    start: int
    end: int | None = None
    offsets: list[WordOffset] = field(default_factory=list)
    foreseen: int | None = None
    """How many samples it will take, if that is known before all have come."""
    _weighed: str = ""
    _weights: list[float] = field(default_factory=lambda: [0.0])
    """``_weights(_weighed)``: a live text is asked about every second, and grows seldom."""

    def weights(self) -> list[float]:
        """As ``_weights`` of its text."""
        if self._weighed != self.text:
            self._weighed, self._weights = self.text, _weights(self.text)
        return self._weights

    def span(self, appended: int, rate: int) -> int:
        """Samples that the text takes: all of them if they have come, else the greater of what came and a guess."""
        if self.end is not None:
            return self.end - self.start
        if self.foreseen is not None:
            return max(appended - self.start, self.foreseen)
        return max(appended - self.start, int(self.weights()[-1] * UNIT_S * rate))

    def text_spoken(self, appended: int, rate: int) -> str:
        """The whole words that the audio so far can have spoken, if it is never completed."""
        return _whole_words(self.text, self.characters_at(appended - self.start, self.span(appended, rate))).text

    def characters_at(self, sample: int, span: int) -> int:
        """How many characters have been spoken ``sample`` samples into a mark of ``span``. Rounded down."""
        if sample >= span:
            return len(self.text)
        told = [word for word in self.offsets if word.end <= sample]
        done, begun = (told[-1].text_end, told[-1].end) if told else (0, 0)
        if len(told) < len(self.offsets):
            return done
        weights = self.weights()
        rest = weights[-1] - weights[done]
        reached = weights[done] + rest * (sample - begun) / max(1, span - begun) + 1e-9
        return max(done, bisect_right(weights, reached, lo=done) - 1)

    def sample_at(self, character: int, span: int) -> int:
        """Where ``character`` begins to sound, in samples from the mark's beginning."""
        if character >= len(self.text):
            return span
        for word in self.offsets:
            if word.text_end >= character:
                return min(span, word.end if word.text_end == character else word.start)
        weights = self.weights()
        done, begun = (self.offsets[-1].text_end, self.offsets[-1].end) if self.offsets else (0, 0)
        rest = max(weights[-1] - weights[done], 1e-9)
        return min(span, begun + int((weights[character] - weights[done]) / rest * (span - begun)))


@dataclass(frozen=True, slots=True)
class HeardText:
    """``text`` cut after its last word that was wholly heard; ``position`` counts those words."""

    text: str
    position: int


def heard_text(marks: Sequence[Mark], heard: int, appended: int, rate: int) -> HeardText:
    """What was heard of a play's texts after ``heard`` of its samples, of which ``appended`` have come so far."""
    characters = 0
    for mark in marks:
        if heard < mark.start:
            break
        characters += mark.characters_at(heard - mark.start, mark.span(appended, rate))
        if heard < mark.start + mark.span(appended, rate):
            break
    text = "".join(mark.text for mark in marks)
    return _whole_words(text, characters)


def _whole_words(text: str, characters: int) -> HeardText:
    """Its first ``characters`` without the word that was broken off; a mark that closes the last heard word stays with it."""
    if characters >= len(text):
        return HeardText(text, len(words(text)))
    whole, heard_to = 0, characters
    for match in _WORD.finditer(text):
        if match.end() > characters:
            heard_to = min(characters, match.start())
            break
        whole += 1
    return HeardText(text[:heard_to].rstrip() if whole else "", whole)


def next_sentence_end(marks: Sequence[Mark], sample: int, appended: int, rate: int) -> int | None:
    """The first sample at or after ``sample`` at which a sentence ends; None if no text says."""
    text = "".join(mark.text for mark in marks)
    ends = sentence_ends(text)
    before = 0
    for mark in marks:
        span = mark.span(appended, rate)
        for end in ends:
            if before < end <= before + len(mark.text):
                at = mark.start + mark.sample_at(end - before, span)
                if at >= sample:
                    return at
        before += len(mark.text)
    return None
