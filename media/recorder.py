"""Recordings and transcripts, written as the call goes, by one thread per process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Closed:
    """What a closed recording holds."""

    part: int
    wav: Path | None
    transcript: Path
    samples: int
    dropped_samples: int
    dropped_lines: int


class Recording:
    """One owner's part of one call. All methods are for the event loop, and none of them blocks."""

    part: int
    wav: Path | None
    transcript: Path

    def customer(self, start: int, pcm: bytes | bytearray | memoryview) -> None:
        """Customer audio whose first sample is ``start`` on the call's timeline (left channel)."""
        raise NotImplementedError

    def ours(self, start: int, frames: Sequence[memoryview]) -> None:
        """Consecutive frames of ours from ``start`` on (right channel)."""
        raise NotImplementedError

    def erase_ours(self, start: int, end: int) -> None:
        """Silence on our channel: what was sent and flushed before it was heard (``Cut.unheard``)."""
        raise NotImplementedError

    def line(self, encoded: bytes) -> None:
        """Appends one transcript line (with its newline) and wakes the thread to write it."""
        raise NotImplementedError

    async def close(self) -> Closed:
        """Writes all that is left and returns when it is on the disk (fsync)."""
        raise NotImplementedError


class Recorder:
    """The thread, and the recordings it writes."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        root: Path,
        on_failure: Callable[[Recording, OSError], None],
    ) -> None:
        """``on_failure`` is called on the loop, once each time a recording starts to fail; the call goes on."""
        raise NotImplementedError

    def start(self) -> None:
        """Starts the thread."""
        raise NotImplementedError

    async def open(self, stem: str, *, rate: int = 8000, audio: bool = True) -> Recording:
        """A part of its own for the call whose files begin with ``stem`` (relative to the root).

        Part 1 is ``<stem>.wav`` and ``<stem>.jsonl``, part 2 ``<stem>.2.wav``, and so on: the first that nobody made
        (O_EXCL). Raises OSError if the directory cannot be made or written.
        """
        raise NotImplementedError

    async def stop(self) -> None:
        """Closes every open recording and ends the thread."""
        raise NotImplementedError
