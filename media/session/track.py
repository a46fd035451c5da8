"""What one playId holds: its pieces of speech, its play in the ledger, and what is to happen at its end."""

from __future__ import annotations

import itertools
import secrets
import sys
from collections import deque
from typing import Literal

from media.play import Play
from media.session.utterance import Utterance
from media.turns import join

FOREVER = sys.maxsize


class Track:
    """Alive from the command that made it to its ``trackEnd``."""

    def __init__(
        self, name: str, play_id: str | None, kind: Literal["tts", "play"], *, interruptible: bool = True
    ) -> None:
        self.name = name
        """Ours, unique in the call: a client may use one playId again and again."""
        self.play_id = play_id
        self.kind = kind
        """Only speech yields an ``interruption``."""
        self.interruptible = interruptible
        self.ssrc = secrets.randbits(32)
        self.open = False
        """Whether the driver said that more is to come."""
        self.auto_hangup = False
        self.wait_input: float | None = None
        self.pieces: deque[Utterance] = deque()
        self.text_end = ""
        """The last character of its text so far."""
        self.streaming: Utterance | None = None
        """The piece that takes streamed text, if one does."""
        self.play: Play | None = None
        """The ledger's play that takes audio now."""
        self.plays = 0
        """Plays of the ledger that have not ended."""
        self.starved = False
        """Whether the far end has run dry within it."""
        self.cut = False
        """Interrupted, or ending with its current sentence: takes no more."""
        self.failed = False
        """Given up for a fallback: what is added is passed over until it ends."""
        self.file_due = False
        """Whether a file at the far end is to speak for it when what it has said was heard."""
        self.file_playing = False
        """Whether that file speaks."""
        self.started_at: int | None = None
        """Timeline sample at which it was first heard."""
        self.told = False
        """Whether its ``trackStart`` was."""
        self.heard: list[str] = []
        """The texts of its plays that are over, as far as they were played."""
        self.heard_ms = 0
        self.heard_until: int | None = None
        """Timeline sample at which the last of it that was heard was over."""
        self._silenced: list[tuple[int, int]] = []
        """Characters of its text that were played while our voice was muted."""

    @property
    def idle(self) -> bool:
        """Whether nothing is outstanding: no text to be spoken, no audio to be heard."""
        waits = self.pieces or self.plays or self.file_due or self.file_playing
        return not (waits or (self.open and not self.cut))

    def silence(self, played: str, *, muted: bool) -> None:
        """Our voice falls silent, or is heard again, when so much of its text was ``played``.

        A word of which a part was silent was not heard.
        """
        if muted:
            self._silenced.append((len(played), FOREVER))
        elif self._silenced:
            self._silenced[-1] = (self._silenced[-1][0], len(played))

    def audible(self, played: str) -> str:
        """What of the text ``played`` was heard: all of it unless our voice was muted."""
        kept, at = [], 0
        for start, end in self._silenced:
            kept.append(played[at:start])
            at = max(at, end)
        return "".join([*kept, played[at:]])

    def continued(self, text: str) -> str:
        """A text that is to follow what it has: with a blank before it where the record wants one."""
        text = join(self.text_end, text)[len(self.text_end) :]
        self.text_end = text[-1:] or self.text_end
        return text

    def give_up(self, piece: Utterance) -> None:
        """Gives up a piece that failed, and all behind it; what comes before it will be spoken."""
        kept = list(itertools.takewhile(lambda each: each is not piece, self.pieces))
        for each in itertools.islice(self.pieces, len(kept), None):
            each.cancel()
        self.pieces = deque(kept)
        self.streaming = None
        self.open = False
        self.failed = True

    def drop(self, *, keep_first: bool = False) -> None:
        """Gives up its pieces, but for the first if that is to be heard out."""
        kept = [self.pieces.popleft()] if keep_first and self.pieces else []
        for piece in self.pieces:
            piece.cancel()
        self.file_due = False
        self.pieces = deque(kept)
        self.streaming = None
        self.open = False
