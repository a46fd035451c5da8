"""What one playId holds: its pieces of speech, its play in the ledger, and what is to happen at its end."""

from __future__ import annotations

import secrets
from collections import deque
from typing import Literal

from media.play import Play
from media.session.utterance import Utterance


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
        self.file_playing = False
        """Whether a file at the far end speaks for it."""
        self.started_at: int | None = None
        """Timeline sample at which it was first heard."""
        self.told = False
        """Whether its ``trackStart`` was."""
        self.heard: list[str] = []
        self.heard_ms = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is outstanding: no text to be spoken, no audio to be heard."""
        return not (self.pieces or self.plays or self.file_playing or (self.open and not self.cut))

    def drop(self, *, keep_first: bool = False) -> None:
        """Gives up its pieces, but for the first if that is to be heard out."""
        kept = [self.pieces.popleft()] if keep_first and self.pieces else []
        for piece in self.pieces:
            piece.cancel()
        self.pieces = deque(kept)
        self.streaming = None
        self.open = False
