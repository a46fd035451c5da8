"""What the customer said, from recognitions and the voice detector's verdicts: turns, their texts, and their lines. Pure.

A turn may be over before its last sentence is final: the driver gets the words there are at once, and the transcript
waits a moment for the final ones. What is recognised later of a sentence that was already answered is no new turn,
unless the customer has spoken again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from media.speech.ports import Recognition
from media.turns import Turn, TurnDetector, join

FINAL_WAIT = 3.0
"""Seconds that a line of the transcript waits for the final text of a turn that was answered before. Recognisers take
0.3 to 0.8, and on a busy machine two; what the line holds so far is on the disk meanwhile (Session._write_so_far)."""


@dataclass(slots=True)
class _Line:
    """A turn's line that waits for the final text of sentence ``index``, of which it has what begins at ``skip``."""

    finals: str
    index: int
    skip: int
    text: str
    turn: Turn
    until: float

    @property
    def whole(self) -> str:
        return join(self.finals, self.text)


class Words:
    """One call's."""

    def __init__(self, turns: TurnDetector, write: Callable[[str, float, float], None]) -> None:
        """``write`` takes a turn's text, when it began and when it ended (monotonic seconds)."""
        self._turns = turns
        self._write = write
        self._finals = ""
        self._partial: Recognition | None = None
        """The sentence that is open, all of it."""
        self._skip = 0
        """Characters of it that were answered before."""
        self._answered = -1
        self._answered_text = ""
        """That sentence, as it was understood when it was answered."""
        self._spoken_since = False
        self._line: _Line | None = None

    @property
    def so_far(self) -> str:
        """All that was said in the turn that is not over."""
        return join(self._finals, self._open_text)

    @property
    def open(self) -> bool:
        """Whether a sentence has begun that is not final."""
        return self._partial is not None or self._line is not None

    @property
    def deadline(self) -> float | None:
        """When ``poll`` or ``flush`` has something to do, if nothing happens before."""
        times = [at for at in (self._turns.deadline, self._line.until if self._line else None) if at is not None]
        return min(times, default=None)

    def speech_started(self, at: float) -> None:
        """The customer began to speak."""
        self._spoken_since = True
        self._turns.speech_started(at)

    def speech_ended(self, at: float) -> None:
        """The customer fell silent."""
        self._turns.speech_ended(at)

    def recognised(self, recognition: Recognition, now: float) -> str | None:
        """Takes a recognition. Returns its text as far as it belongs to the turn that is not over; None if none does."""
        if recognition.index < self._answered:
            return None
        text, skip = recognition.text, 0
        if recognition.index == self._answered:
            if recognition.final:
                self._complete_line(text)
            if not self._spoken_since:
                return None
            text = text[len(self._answered_text) :].lstrip("，。！？,.!? ")
            skip = len(recognition.text) - len(text)
            if not text:
                return None
        if recognition.final:
            self._turns.final(text, now)
            self._finals = join(self._finals, text.strip())
            self._partial = None
        else:
            self._turns.partial(text, now)
            self._partial, self._skip = recognition, skip
        return text

    def poll(self, now: float) -> Turn | None:
        """The turn, once, when it is over. Writes the line of an earlier one that has waited long enough."""
        if self._line is not None and now >= self._line.until:
            self.flush()
        turn = self._turns.poll(now)
        if turn is None:
            return None
        self._close(turn, now)
        return turn

    def flush(self) -> None:
        """Writes the line that waits, as it is."""
        if self._line is not None:
            line, self._line = self._line, None
            self._write(line.whole, line.turn.started, line.turn.ended)

    def unwritten(self, now: float) -> list[tuple[str, float, float]]:
        """What was said and has no line yet: text, beginning and end of each turn. The beginning stays as it is."""
        found = []
        if self._line is not None:
            found.append((self._line.whole, self._line.turn.started, self._line.turn.ended))
        if text := self.so_far:
            found.append((text, self._began(now), now))
        return found

    def end(self, now: float) -> Turn | None:
        """The call is over: what was said in the turn that is not is written too, and is the last turn."""
        text, began = self.so_far, self._began(now)
        unwritten, self._line = self.unwritten(now), None
        for turn in unwritten:
            self._write(*turn)
        self._finals, self._partial = "", None
        return Turn(text, began, now) if text else None

    def _began(self, now: float) -> float:
        """When the turn that is not over began: before the call's end at least, though it be recognised later."""
        return now if self._turns.started is None else min(self._turns.started, now)

    @property
    def _open_text(self) -> str:
        """What was not answered of the sentence that is open."""
        return self._partial.text[self._skip :].strip() if self._partial is not None else ""

    def _close(self, turn: Turn, now: float) -> None:
        self.flush()
        finals, partial, text = self._finals, self._partial, self._open_text
        self._finals, self._partial, self._spoken_since = "", None, False
        if partial is None:
            if finals:
                self._write(finals, turn.started, turn.ended)
            return
        self._answered, self._answered_text = partial.index, partial.text
        self._line = _Line(finals, partial.index, self._skip, text, turn, now + FINAL_WAIT)

    def _complete_line(self, text: str) -> None:
        if self._line is not None:
            self._line.text = text[self._line.skip :].strip()
            self.flush()
