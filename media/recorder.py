"""Recordings and transcripts, written as the call goes, by one thread per process.

The loop copies frames into a small stage of each call (``media.stage``); blocks of 0.4 s go to the thread, which
interleaves the two channels and writes them at their place in the file. Late audio is written over its place. What
nobody said is a hole: zeros that take no room.

After ``kill -9`` a file holds all but the last BLOCK_S + SETTLE_S + POLL_S = 0.75 s of audio, and every transcript
line that the thread had a moment to write. The header is patched with every block, so the file is valid as it
stands; a reader that goes by the file's size (``media.audio.wav.parse``) misses nothing that was written. A closed
recording has been fsynced: a process may die at any time, only a machine that loses power loses what its kernel held.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import enum
import errno
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from media.part import PartFiles
from media.priority import give_way, step_back
from media.stage import Block, Late, Pcm, Stage
from shared.errors import RecordingPathError
from shared.recordings import MAX_PARTS, part

POLL_S = 0.1
"""How often the thread looks for blocks; a transcript line wakes it at once."""
LATEST_S = 10.0
"""Audio later than this is dropped: no stalled network gives it back so late."""
BACKLOG_BYTES = 2 << 20
"""What one recording may have waiting for a disk that has stalled or is full: a minute at 8 kHz. Then audio is dropped, counted
and reported; so are transcript lines, by a bound of their own."""
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a full disk says, or a limit; room comes again, so what it refuses is tried again."""
STRETCH = 8
"""Recordings written one after the other before the loop may go first again: a fifth of a millisecond of work."""

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Closed:
    """What a closed recording holds. Dropped samples and lines are those that the disk refused or took too late."""

    part: int
    wav: Path | None
    transcript: Path
    samples: int
    dropped_samples: int
    dropped_lines: int


class _Outcome(enum.Enum):
    """Of one write."""

    WRITTEN = enum.auto()
    NO_ROOM = enum.auto()
    FAILED = enum.auto()


class Desk(Protocol):
    """What a recording needs of its recorder."""

    def wake(self) -> None:
        """Something waits that should not wait for the next poll."""

    def report(self, recording: Recording, failure: Exception) -> None:
        """Tells the owner, from either thread."""

    def closing(self, recording: Recording) -> asyncio.Future[Closed]:
        """Resolves when ``recording`` is on the disk."""


class Recording:
    """One owner's part of one call. All methods are for the event loop, and none of them blocks."""

    def __init__(self, desk: Desk, files: PartFiles) -> None:
        self.part = files.number
        self.wav = files.wav
        self.transcript = files.transcript
        self._desk = desk
        self._files = files
        self._stage = Stage(files.rate) if files.wav is not None else None
        self._latest = int(LATEST_S * files.rate)
        self._audio: deque[Block | Late] = deque()
        self._lines: deque[bytes] = deque()
        # Each counter has one writer: the loop counts what goes in, the thread what comes out.
        self._audio_in = self._audio_out = self._lines_in = self._lines_out = 0
        self._refused_samples = self._refused_lines = 0
        self._lost_samples = self._lost_lines = 0
        self._overflowing = False
        self._failing: set[Callable[..., None]] = set()
        self._closed: asyncio.Future[Closed] | None = None

    @property
    def samples(self) -> int:
        """The length of this part so far."""
        return self._stage.end if self._stage is not None else 0

    @property
    def dropped_samples(self) -> int:
        """Samples that the disk refused or would have taken too late."""
        return self._refused_samples + self._lost_samples

    @property
    def dropped_lines(self) -> int:
        """Transcript lines of the same fate."""
        return self._refused_lines + self._lost_lines

    def customer(self, start: int, pcm: Pcm) -> None:
        """Customer audio whose first sample is ``start`` on the call's timeline (left channel).

        ``pcm`` holds whole samples (``Ears.hear`` has refused others). Raises ValueError for an impossible ``start``.
        """
        if self._stage is not None and self._closed is None and (left := self._stage.put(0, start, pcm)):
            self._hand_over(left)

    def ours(self, start: int, frames: Sequence[Pcm]) -> None:
        """Consecutive frames of ours from ``start`` on (right channel). Raises ValueError as ``customer`` does."""
        stage = self._stage
        if stage is None or self._closed is not None:
            return
        for pcm in frames:
            if left := stage.put(1, start, pcm):
                self._hand_over(left)
            start += len(pcm) >> 1

    def erase_ours(self, start: int, end: int) -> None:
        """Silence on our channel: what was sent, and flushed before it was heard (``Cut.unheard``)."""
        if end > start:
            self.ours(start, (bytes((end - start) * 2),))

    def line(self, encoded: bytes, *, hurry: bool = True) -> None:
        """Appends one transcript line (with its newline), and wakes the thread to write it if there is ``hurry``."""
        if self._closed is not None:
            return
        if self._lines_in - self._lines_out + len(encoded) > BACKLOG_BYTES:
            self._refused_lines += 1
            self._overflow()
            return
        self._lines_in += len(encoded)
        self._lines.append(encoded)
        if hurry:
            self._desk.wake()

    async def close(self) -> Closed:
        """Writes all that is left and returns when it is on the disk; what the disk refused was reported by then.

        Nothing is taken any more once this was called. A second call waits for the first.
        """
        if self._closed is None:
            if self._stage is not None:
                self._hand_over(self._stage.rest())
            self._closed = self._desk.closing(self)
        return await asyncio.shield(self._closed)

    def _hand_over(self, pieces: Sequence[Block | Late]) -> None:
        for piece in pieces:
            samples = piece.size // 4
            if isinstance(piece, Late) and self.samples - piece.start > self._latest:
                self._refused_samples += samples
            elif self._audio_in - self._audio_out + piece.size > BACKLOG_BYTES:
                self._refused_samples += samples
                self._overflow()
            else:
                self._audio_in += piece.size
                self._audio.append(piece)
                if self._audio_in - self._audio_out < BACKLOG_BYTES // 2:
                    self._overflowing = False

    def _overflow(self) -> None:
        if not self._overflowing:
            self._overflowing = True
            self._desk.report(self, OSError(errno.EBUSY, "the disk is too slow: audio or lines are dropped"))

    # --- the thread's side ---------------------------------------------------------------------------------------------

    def write_waiting(self, *, last: bool = False) -> bool:
        """Writes what waits, lines first. On the thread. False if nothing did.

        What a full disk has no room for goes on waiting, as behind a disk that has stalled, until there is room or too
        much waits; if this is the ``last`` time, it is lost.
        A failure is reported if the last write of its kind succeeded: a disk may have room for a line and none for audio.
        """
        if not self._lines and not self._audio:
            return False
        while self._lines:
            encoded = self._lines[0]
            outcome = self._attempt(self._files.append_line, encoded)
            if outcome is _Outcome.NO_ROOM and not last:
                break
            self._lines.popleft()
            self._lines_out += len(encoded)
            self._lost_lines += outcome is not _Outcome.WRITTEN
        while self._audio:
            piece = self._audio[0]
            outcome = self._attempt(self._files.write, piece)
            if outcome is _Outcome.NO_ROOM and not last:
                break
            self._audio.popleft()
            self._audio_out += piece.size
            if outcome is not _Outcome.WRITTEN:
                self._lost_samples += piece.size // 4
        return True

    def finish(self) -> Closed:
        """Writes the rest and closes the files. On the thread."""
        self.write_waiting(last=True)
        self._attempt(self._files.close)
        files = self._files
        return Closed(self.part, self.wav, self.transcript, files.frames, self.dropped_samples, self.dropped_lines)

    def _attempt(self, work: Callable[..., None], *arguments: object) -> _Outcome:
        """Whatever goes wrong with one recording is reported and counted, and harms no other: here is the boundary."""
        try:
            work(*arguments)
        except Exception as failure:  # noqa: BLE001 - reported
            if work not in self._failing:
                self._failing.add(work)
                self._desk.report(self, failure)
            return _Outcome.NO_ROOM if getattr(failure, "errno", None) in NO_ROOM else _Outcome.FAILED
        self._failing.discard(work)
        return _Outcome.WRITTEN


class Recorder:
    """The thread, and the recordings it writes."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        root: Path,
        on_failure: Callable[[Recording, Exception], None],
    ) -> None:
        """``on_failure`` is called on the loop, once each time a recording starts to fail; the call goes on."""
        self._loop = loop
        self._root = root
        self._on_failure = on_failure
        self.failures = 0
        """How often a recording began to fail."""
        self.trouble = asyncio.Event()
        """Set when something could not be written; cleared by whoever looks into it."""
        self._recordings: set[Recording] = set()
        self._requests: deque[Callable[[], None]] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Starts the thread. Once."""
        self._thread.start()

    async def open(self, stem: str, *, rate: int = 8000, audio: bool = True) -> Recording:
        """A part of its own for the call whose files begin with ``stem`` (``shared.recordings.stem``).

        Part 1 is ``<stem>.wav`` and ``<stem>.jsonl``, part 2 ``<stem>.2.wav`` and so on: the first that nobody has
        made yet (O_EXCL, so two owners never share one). ``audio=False`` keeps a transcript only. Raises OSError if
        the directory cannot be made or written, RecordingPathError after MAX_PARTS parts.
        """
        opening = self._on_thread(lambda: self._open(stem, rate, audio))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._close_unclaimed)
            raise
        except OSError:
            self.trouble.set()
            raise

    def ask(self, question: Callable[[], T]) -> asyncio.Future[T]:
        """Has a question to the disk answered on the thread, which all writing waits for."""
        return self._on_thread(question)

    async def stop(self) -> None:
        """Closes every open recording and ends the thread. Nothing can be opened afterwards."""
        await asyncio.gather(*(recording.close() for recording in list(self._recordings)))
        self._stopping = True
        self._wake.set()
        await asyncio.to_thread(self._thread.join)

    def _close_unclaimed(self, opening: asyncio.Future[Recording]) -> None:
        """Whoever asked for it has gone: its files stay, and no descriptor stays open."""
        if not opening.cancelled() and opening.exception() is None:
            self.closing(opening.result())

    def _failed(self, recording: Recording, failure: Exception) -> None:
        self.failures += 1
        self.trouble.set()
        self._on_failure(recording, failure)

    # --- for Recording -------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Something waits that should not wait for the next poll."""
        self._wake.set()

    def report(self, recording: Recording, failure: Exception) -> None:
        """Tells the owner, from either thread."""
        foreseen = isinstance(failure, OSError)
        _log.warning(
            "a recording cannot be written",
            extra={"part": recording.part, "error": type(failure).__name__, "errno": getattr(failure, "errno", None)},
            exc_info=None if foreseen else failure,
        )
        self._loop.call_soon_threadsafe(self._failed, recording, failure)

    def closing(self, recording: Recording) -> asyncio.Future[Closed]:
        """Resolves when ``recording`` is on the disk."""

        def finish() -> Closed:
            self._recordings.discard(recording)
            return recording.finish()

        return self._on_thread(finish)

    # --- the thread ----------------------------------------------------------------------------------------------------

    def _on_thread(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Runs ``work`` on the thread; its result or its exception comes back to the loop."""
        if self._stopping or not self._thread.is_alive():
            raise RuntimeError("expected a recorder that was started and not stopped")
        promise: concurrent.futures.Future[T] = concurrent.futures.Future()

        def run() -> None:
            if not promise.set_running_or_notify_cancel():
                return
            try:
                promise.set_result(work())
            except Exception as error:  # noqa: BLE001 - handed to whoever waits
                promise.set_exception(error)

        self._requests.append(run)
        self._wake.set()
        return asyncio.wrap_future(promise, loop=self._loop)

    def _open(self, stem: str, rate: int, audio: bool) -> Recording:
        part(self._root, stem, 1, "wav").parent.mkdir(parents=True, exist_ok=True)
        for number in range(1, MAX_PARTS + 1):
            wav = part(self._root, stem, number, "wav") if audio else None
            try:
                files = PartFiles(number, rate, part(self._root, stem, number, "jsonl"), wav)
            except FileExistsError:
                continue
            recording = Recording(self, files)
            self._recordings.add(recording)
            return recording
        raise RecordingPathError(f"expected at most {MAX_PARTS} parts of one call; its socket comes and goes")

    def _run(self) -> None:
        step_back()
        while not self._stopping or self._requests:
            self._wake.wait(POLL_S)
            self._wake.clear()
            while self._requests:
                self._requests.popleft()()
            wrote = 0
            for recording in list(self._recordings):
                wrote += recording.write_waiting()
                if wrote >= STRETCH:
                    wrote = 0
                    give_way()
