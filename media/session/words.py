"""What the customer said, from recognitions and the voice detector's verdicts: turns, their texts, and their lines. Pure.

A turn may be over before its last sentence is final: the driver gets the words there are at once, and the transcript
waits a moment for the final ones. What is recognised later of a sentence that was already answered is no new turn,
unless the customer has spoken again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from media.speech.ports import Recognition
from media.turns import Turn, TurnDetector

FINAL_WAIT = 1.0
"""Seconds that a line of the transcript waits for the final text of a turn that was answered before; recognisers
take 0.3 to 0.8."""


@dataclass(slots=True)
class _Line:
    """A turn's line that waits for the final text of sentence ``index``."""

    finals: str
    index: int
    text: str
    turn: Turn
    until: float


class Words:
    """One call's."""

    def __init__(self, turns: TurnDetector, write: Callable[[str, float, float], None]) -> None:
        """``write`` takes a turn's text, when it began and when it ended (monotonic seconds)."""
        self._turns = turns
        self._write = write
        self._finals: list[str] = []
        self._partial: Recognition | None = None
        self._answered = -1
        self._answered_text = ""
        self._spoken_since = False
        self._line: _Line | None = None

    @property
    def so_far(self) -> str:
        """All that was said in the turn that is not over."""
        return "".join(self._finals) + (self._partial.text if self._partial is not None else "")

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
        text = recognition.text
        if recognition.index == self._answered:
            if recognition.final:
                self._complete_line(text)
            if not self._spoken_since:
                return None
            text = (
                text[len(self._answered_text) :].lstrip("，。！？,.!? ") if len(text) > len(self._answered_text) else ""
            )
            if not text:
                return None
        if recognition.final:
            self._turns.final(text, now)
            self._finals.append(text)
            self._partial = None
        else:
            self._turns.partial(text, now)
            self._partial = Recognition(recognition.index, text, recognition.start_ms, recognition.end_ms, False)
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
            self._write(line.finals + line.text, line.turn.started, line.turn.ended)

    def unwritten(self, now: float) -> list[tuple[str, float, float]]:
        """What was said and has no line yet: text, beginning and end of each turn. The beginning stays as it is."""
        found = []
        if self._line is not None:
            found.append((self._line.finals + self._line.text, self._line.turn.started, self._line.turn.ended))
        if text := self.so_far:
            began = self._turns.started
            found.append((text, now if began is None else began, now))
        return found

    def end(self, now: float) -> None:
        """The call is over: what was said in the turn that is not is written too."""
        unwritten, self._line = self.unwritten(now), None
        for turn in unwritten:
            self._write(*turn)
        self._finals, self._partial = [], None

    def _close(self, turn: Turn, now: float) -> None:
        self.flush()
        finals, partial = "".join(self._finals), self._partial
        self._finals, self._partial, self._spoken_since = [], None, False
        if partial is None:
            if finals:
                self._write(finals, turn.started, turn.ended)
            return
        self._answered_text = self._answered_text + partial.text if partial.index == self._answered else partial.text
        self._answered = partial.index
        self._line = _Line(finals, partial.index, partial.text, turn, now + FINAL_WAIT)

    def _complete_line(self, text: str) -> None:
        if self._line is not None:
            earlier = len(self._answered_text) - len(self._line.text)
            self._line.text = text[earlier:]
            self.flush()
