"""What was heard in a call, line by line, as it happens (shared.recordings)."""

from __future__ import annotations

import logging
from typing import Literal, Protocol

from shared import recordings

MAX_TURNS = 5_000
"""A turn takes a second at least, and no call lasts more than an hour; more than this is a driver that runs wild."""

SO_FAR_S = 0.8
"""How often the turns that go on are written as far as they have come. With the recorder's look for lines that do not
hurry (0.1 s) and a tick, a process that dies loses less than a second of them."""

log = logging.getLogger(__name__)


class LineWriter(Protocol):
    """Where lines go: media.recorder.Recording.line."""

    def __call__(self, encoded: bytes, *, hurry: bool = True) -> None:
        """Appends one line, with its newline. Without ``hurry`` it may wait for the recorder's next look."""


class Transcript:
    """Hands each line to the recording at once, and keeps the turns for the driver."""

    def __init__(self, write: LineWriter) -> None:
        self.turns: list[recordings.Turn] = []
        self._write = write
        self._so_far: dict[tuple[str, int], str] = {}
        """What was written of turns that go on, by role and beginning."""
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

    def so_far(self, role: Literal["assistant", "user"], content: str, start: int, end: int) -> None:
        """What was heard until now of a turn that goes on, in case this process dies before its end."""
        content = content.strip()
        if self._ended or not content or self._so_far.get((role, start)) == content:
            return
        self._so_far[role, start] = content
        turn = recordings.Turn(role=role, content=content, start=start, end=end, so_far=True)
        self._write(recordings.encode_line(turn), hurry=False)

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
        written = self._so_far.pop((turn.role, turn.start), "")
        if self._ended or not (turn.content or written):
            return
        if not turn.content:  # it must not stand as it was written so far
            self._write(recordings.encode_line(turn))
            return
        if len(self.turns) >= MAX_TURNS:
            log.warning("too many turns in one call; the rest is not written")
            return
        self.turns.append(turn)
        self._write(recordings.encode_line(turn))
