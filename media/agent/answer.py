"""One answer of ours on its way to the customer's ear: text in, one play of sentences out."""

from __future__ import annotations

from typing import Literal

from media.agent.sentences import SentenceSplitter, speakable
from media.driver import SessionPort

Purpose = Literal["greeting", "turn", "other"]
"""Whether it opens the call, answers the customer's turn, or comes of our own accord."""


class Answer:
    """Opened empty; the play begins with the first sentence. One play id for all of it."""

    def __init__(self, port: SessionPort, play_id: str, *, interruptible: bool = True) -> None:
        self._port = port
        self._interruptible = interruptible
        self._splitter = SentenceSplitter()
        self.play_id = play_id
        self.purpose: Purpose = "turn"
        self.text = ""
        """What was handed to the session so far; all of the text if synthesis failed."""
        self.complete = False
        self.cut = False
        """Interrupted or given up: nothing is added any more."""
        self.started_after: int | None = None
        """How many turns had been heard when it began; None before."""
        self.over = False
        """Its play has ended."""
        self.failed = False
        """Synthesis failed; what is heard in its place is the session's fallback."""

    @property
    def begun(self) -> bool:
        """Whether anything was said yet."""
        return self.text != ""

    def add(self, text: str) -> None:
        """More of the text, cut wherever it may be."""
        for piece in self._splitter.feed(text):
            self._say(piece)

    def pause(self) -> None:
        """What was added is a text of its own: it is spoken (and cached) apart from what follows."""
        for piece in self._splitter.flush():
            self._say(piece)

    def drop(self) -> str:
        """Gives up what was added and is not spoken yet, the piece of a sentence that will get no end; returns it."""
        return "".join(self._splitter.flush())

    def finish(self) -> bool:
        """No more text. False if there was nothing to say, and so no play."""
        self.pause()
        self.complete = True
        if self.cut or not self.begun:
            return False
        self._port.say("", play_id=self.play_id)
        return True

    def _say(self, piece: str) -> None:
        """Marks alone are not spoken."""
        if self.failed:
            self.text += piece
        if self.cut or not speakable(piece):
            return
        self._port.say(piece, play_id=self.play_id, more=True, interruptible=self._interruptible)
        self.text += piece
