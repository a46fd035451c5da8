"""Our voice as the agent sees it: which answer is on its way, and what was heard of it."""

from __future__ import annotations

from collections.abc import Callable

from media.agent.alarm import Alarm
from media.agent.answer import Answer
from media.driver import SessionPort
from media.protocol.commands import Interrupt

PLAY_SECONDS = 20.0
SECONDS_PER_CHARACTER = 0.6
"""A play whose end is not told after so long counts as ended: slower than any voice, so that no call hangs."""


class Speaking:
    """One call's. One answer at a time."""

    def __init__(self, port: SessionPort, ended: Callable[[str], None]) -> None:
        """``ended`` is told of a play whose end nobody told."""
        self._port = port
        self._ended = ended
        self._guard = Alarm(port)
        self._plays = 0
        self.answer: Answer | None = None
        """Which is being said, or thought of."""
        self.cut_short = False
        """What we said last was interrupted, and nothing was said since."""

    def open(self, *, interruptible: bool) -> Answer:
        """A new answer, in place of the one before."""
        if self.answer is not None:
            self.answer.cut = True
        self.cut_short = False
        self._plays += 1
        self.answer = Answer(self._port, f"answer-{self._plays}", interruptible=interruptible)
        return self.answer

    def finish(self, answer: Answer) -> bool:
        """All of it was added. False if it is no longer, or never was, on its way to anybody's ear."""
        if not answer.finish():
            return False
        longest = PLAY_SECONDS + SECONDS_PER_CHARACTER * len(answer.text)
        self._guard.set(longest, lambda: self._ended(answer.play_id))
        return True

    def of(self, play_id: str | None) -> Answer | None:
        """The answer whose play this is, if it is the current one's."""
        return self.answer if self.answer is not None and play_id == self.answer.play_id else None

    def started(self, play_id: str | None) -> None:
        """A play that was given up begins after all if a sentence was handed over in the very moment of the cut."""
        if (answer := self.of(play_id)) is not None:
            answer.started_after = len(self._port.heard())
        elif self.answer is None and play_id is not None:
            self.interrupt()

    def heard_of(self, answer: Answer) -> str:
        """What the customer heard of it."""
        if answer.started_after is None:
            return ""
        turns = self._port.heard()[answer.started_after :]
        return "".join(turn.content for turn in turns if turn.role == "assistant")

    @property
    def speaks(self) -> bool:
        """Whether an answer is on its way to the ear, or thought of, and was not cut."""
        return self.answer is not None and not self.answer.cut

    def interrupt(self) -> None:
        """Stops it, as a word of the customer's would; what was heard of it is told then."""
        self._port.submit(Interrupt())

    def silence(self) -> None:
        """Nobody is there to hear it."""
        if self.answer is not None:
            self.answer.cut = True
            self.interrupt()

    def over(self) -> None:
        """The current play has ended: nothing more is expected of it."""
        self._guard.clear()

    @property
    def greeting_waits(self) -> bool:
        """It was said, and nothing of it has left: the phone system has yet to open its stream."""
        answer = self.answer
        return answer is not None and answer.purpose == "greeting" and answer.started_after is None
