"""CosyVoice's word times, of all the text and audio of a task. Pure.

Each sentence of a task comes with its ``index``, its ``original_text``, and its words again and again as they become
known. Documented is that a word's indexes count within its sentence, and not what its times count from; a server has
been seen that counts both from the task's beginning. So the text decides where a sentence lies, and the sentence before
it whether times begin anew.
"""

from __future__ import annotations

from media.speech.aliyun import Sentence
from media.speech.ports import SpokenWord


class WordTimes:
    """One task's."""

    def __init__(self) -> None:
        self._text = ""
        self._index = 0
        self._original = ""
        self._begins = self._ends = 0
        """Characters of the text before the sentence, and with it."""
        self._spoken_ms = self._ended_ms = 0
        """When the sentences before it ended: what came of their audio, and their last word's time."""
        self._heard_ms = 0
        self._last_ms = 0
        self._told: list[SpokenWord] = []

    def sent(self, text: str) -> None:
        """More text goes to the service."""
        self._text += text

    def take(self, sentence: Sentence, original: str, heard_ms: int) -> list[SpokenWord]:
        """All words of the sentence that are known by now, if there is news of it; they replace what was told of it.

        ``heard_ms``: audio that has come so far. None of it belongs to a sentence that has not been mentioned, if the one
        before it has ended.
        """
        index = self._index if sentence.index is None else sentence.index
        if index != self._index:
            self._turn_to(index)
        self._original = original or self._original
        self._heard_ms = heard_ms
        words = self._place(sentence)
        if not words or words == self._told:
            return []
        self._told = words
        self._last_ms = words[-1].end_ms
        self._ends = max(self._ends, words[-1].text_end)
        return words

    def _turn_to(self, index: int) -> None:
        """The next sentence begins where the one before it ended."""
        self._locate()
        self._index, self._original, self._told = index, "", []
        self._begins = self._ends
        self._spoken_ms, self._ended_ms = self._heard_ms, self._last_ms

    def _locate(self) -> None:
        """Where the sentence lies in the text, as far as it says what it is."""
        found = self._text.find(self._original, self._begins) if self._original else -1
        if found >= 0:
            self._begins, self._ends = found, found + len(self._original)

    def _place(self, sentence: Sentence) -> list[SpokenWord]:
        known = [
            (word.text, word.begin_index, word.end_index, word.begin_time, word.end_time)
            for word in sentence.words
            if word.begin_index is not None
            and word.end_index is not None
            and word.begin_time is not None
            and word.end_time is not None
        ]
        if not known:
            return []
        self._locate()
        within = [(text, begin, end) for text, begin, end, _, _ in known]
        base = max((self._begins, self._anchor(within), 0), key=lambda base: self._fits(within, base))
        shift = self._spoken_ms if known[0][3] < self._ended_ms else 0
        return [SpokenWord(base + b, base + e, shift + start, shift + end) for _, b, e, start, end in known]

    def _anchor(self, words: list[tuple[str, int, int]]) -> int:
        """Where the sentence would begin if its first word is the next of that text."""
        text, begin, _ = words[0]
        return max(self._begins, self._text.find(text, self._begins) - begin)

    def _fits(self, words: list[tuple[str, int, int]], base: int) -> int:
        """How many of the words stand in the text where they should if the sentence begins at ``base``."""
        return sum(self._text[base + begin : base + end] == text for text, begin, end in words)
