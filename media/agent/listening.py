"""What the agent remembers of the customer's speech between two turns. Pure: the time is told."""

from __future__ import annotations

EARLY_SECONDS = 0.8
"""What was said so shortly before our voice ended, without stopping it, is an answer and no murmur."""
LONGEST_TURN = 500
"""Characters of a turn that are kept: two minutes of speech."""
PRESSED = "（按了电话键{key}）"
"""What a key is in words, for a model and for a turn that goes on after it."""
WORDLESS_MS = 500
MOST_WORDLESS = 2
"""Speech of so long without a word, so often in a row, is no cough: we do not hear what is said."""


class TurnMemory:
    """The last turn, and whether it is still to be answered."""

    def __init__(self) -> None:
        self.unanswered = False
        """Nobody heard an answer to the last turn: what is said next belongs to it."""
        self._text = ""
        self._early = ""
        self._early_at = 0.0

    def take(self, said: str) -> str:
        """The customer's turn: what was said now, behind what was not answered yet."""
        if self.unanswered:
            said = "，".join(filter(None, (self._text.rstrip("。，？！,.?!"), said)))
        self._text, self.unanswered, self._early = said[-LONGEST_TURN:], False, ""
        return self._text

    def pressed(self, key: str) -> None:
        """A key of the phone: a turn of its own, not the rest of the one before."""
        self._text, self.unanswered, self._early = PRESSED.format(key=key), False, ""

    def overlapped(self, said: str, now: float) -> None:
        """Words over our voice, which went on."""
        self._early, self._early_at = said, now

    def early_answer(self, now: float) -> str:
        """Our voice has ended ``now``: what was said into its last words, such as 好的 into "…可以吗？", or ""."""
        return self._early if now - self._early_at <= EARLY_SECONDS else ""


class Comprehension:
    """Whether words come of what the customer says."""

    def __init__(self) -> None:
        self.failures = 0
        """Times in a row that we had to own up to not hearing."""
        self._recogniser_failed = False
        self._wordless = 0

    def words(self) -> None:
        """The recogniser understands something."""
        self._recogniser_failed = False

    def recogniser_failed(self) -> None:
        """It says that it is out of order, at least for now."""
        self._recogniser_failed = True

    def turn(self, said: str, length_ms: int) -> None:
        """A turn is over."""
        if said:
            self._wordless = self.failures = 0
        elif length_ms >= WORDLESS_MS:
            self._wordless += 1

    @property
    def lacking(self) -> bool:
        """Whether a turn without words means that we do not hear, rather than that nothing was said."""
        return self._recogniser_failed or self._wordless >= MOST_WORDLESS
