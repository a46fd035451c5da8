"""What was heard in a call, line by line, as it happens (shared.recordings)."""

from __future__ import annotations

import logging
from collections.abc import Callable

from shared import recordings

MAX_TURNS = 5_000
"""A turn takes a second at least, and no call lasts more than an hour; more than this is a driver that runs wild."""

log = logging.getLogger(__name__)


class Transcript:
    """Hands each line to the recording at once, and keeps the turns for the driver."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.turns: list[recordings.Turn] = []
        self._write = write
        self._ended = False

    def begin(self, at: int, call_id: str, part: int) -> None:
        """The first line."""
        self._write(recordings.encode_line(recordings.Begin(at=at, call_id=call_id, part=part)))

    def assistant(self, content: str, start: int, end: int, *, cut: bool) -> None:
        """What we said, as far as it was heard; nothing heard leaves no line."""
        self._turn(recordings.Turn(role="assistant", content=content.strip(), start=start, end=end, cut=cut))

    def user(self, content: str, start: int, end: int) -> None:
        """What the customer said; a turn without words leaves no line."""
        self._turn(recordings.Turn(role="user", content=content.strip(), start=start, end=end))

    def tag(self, at: int, name: str, value: str) -> None:
        """An outcome."""
        if not self._ended:
            self._write(recordings.encode_line(recordings.Tag(at=at, name=name, value=value)))

    def end(self, at: int, reason: str, initiator: str) -> None:
        """The last line; what comes later is not written."""
        if not self._ended:
            self._ended = True
            self._write(recordings.encode_line(recordings.End(at=at, reason=reason, initiator=initiator)))

    def _turn(self, turn: recordings.Turn) -> None:
        if self._ended or not turn.content:
            return
        if len(self.turns) >= MAX_TURNS:
            log.warning("too many turns in one call; the rest is not written")
            return
        self.turns.append(turn)
        self._write(recordings.encode_line(turn))
