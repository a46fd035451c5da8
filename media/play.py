"""One play of the ledger: its audio, its text, and where on the call's timeline it was sent. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from media.audio.errors import AudioError, OddLengthError
from media.subtitle import HeardText, Mark, WordOffset, heard_text, next_sentence_end

_NOTHING = memoryview(b"")

REPEAT_MS = 40
"""The most that a resumed play repeats: enough to hear a broken syllable whole, too little to be taken for a stutter."""


class PlayoutFullError(AudioError):
    """More is queued than a play or a call may hold: the feeder is too far ahead and must wait."""

    code = "playout.full"
    retryable = True


class Play:
    """A handle that TTS and file players write to. Once it is over, ``append`` takes nothing and returns False."""

    __slots__ = (
        "_at", "_begun_at", "_chunks", "_end", "_frame", "_head", "_heard", "_keep", "_limit", "_longest", "_marks",
        "_past", "_rate", "_runs", "_shift",
        "appended", "begun", "ended", "interrupted", "over", "play_id", "starving", "taken",
    )  # fmt: skip

    def __init__(self, play_id: str, rate: int, frame: int, tail: int, longest: int) -> None:
        """``frame`` samples leave at a time; ``tail`` frames that left are kept to be repeated; ``longest`` samples
        may wait. Made by ``Playout.open``."""
        self.play_id = play_id
        self.appended = 0
        """Samples that have come."""
        self.taken = 0
        """Samples that have left, less what was taken back to be sent again."""
        self.begun = False
        """Whether its first frame has left."""
        self.ended = False
        """Whether no more audio will come."""
        self.over = False
        """Cut, or heard to its end."""
        self.interrupted = False
        """Cut short: at once, or at the end of a sentence."""
        self.starving = False
        self._rate = rate
        self._frame = frame
        self._longest = longest
        self._limit: int | None = None
        self._keep = tail * frame * 2
        self._past: deque[memoryview] = deque()
        """Chunks that have left: as many as hold, with what has left of the next, ``_keep`` bytes."""
        self._chunks: deque[memoryview] = deque()
        self._head = _NOTHING
        self._end = 0
        """The first of the chunks, and its length: what each frame asks for."""
        self._at = 0
        """Bytes of it that have left."""
        self._marks: list[Mark] = []
        self._runs: list[tuple[int, int, int]] = []
        """Where samples that left in one go are on the timeline and in the play, and how many; without the last such run."""
        self._begun_at = 0
        self._shift: int | None = None
        """The last run began at that sample of the play, and lies that much later on the timeline. It reaches to ``taken``.
        None: there is none."""
        self._heard = 0

    # --- what TTS does ------------------------------------------------------------------------------------------------

    def append(self, pcm: bytes | memoryview) -> bool:
        """Queues s16le audio. False if the play takes no more: it is over, ended, or being cut at a sentence's end.

        Raises OddLengthError, and PlayoutFullError when more than ``longest`` would wait; nothing was taken then.
        """
        if len(pcm) & 1:
            raise OddLengthError(f"expected whole 16-bit samples, got {len(pcm)} bytes; keep the odd byte for the next")
        if self.over or self.ended:
            return False
        samples = len(pcm) // 2
        if self.unsent + samples > self._longest:
            raise PlayoutFullError(
                f"expected at most {self._longest} samples to wait, got {self.unsent + samples}; feed more slowly"
            )
        if self._limit is not None and self.appended + samples >= self._limit:
            samples = self._limit - self.appended
            self.ended = True
        if samples:
            self._chunks.append(memoryview(pcm)[: samples * 2])
            self.appended += samples
            self._look()
        return not self.ended

    def mark(self, text: str, *, extend: bool = False) -> None:
        """The audio from here on speaks ``text``; with ``extend`` it is added to the text already being spoken.

        A text whose audio has not begun shares what follows with the next one.
        """
        last = self._marks[-1] if self._marks else None
        if last is not None and (extend or last.start == self.appended):
            last.text += text
            return
        if last is not None:
            last.end = self.appended
        self._marks.append(Mark(text, self.appended))

    def offsets(self, words: Sequence[WordOffset]) -> None:
        """The provider's word times for the current text, in order; they replace interpolation as far as they reach, and
        what was told before of the same words and those behind them.

        Raises ValueError if there is no text yet.
        """
        if not self._marks:
            raise ValueError(f"expected a text before word times for play {self.play_id!r}; call mark first")
        told = self._marks[-1].offsets
        for word in words:
            while told and told[-1].text_start >= word.text_start:
                told.pop()
            told.append(word)

    def break_off(self) -> None:
        """The current text's audio stopped short. If none of it has left, none of it will; else what came is played, and
        the words that it can have spoken are kept.

        What a text's whole audio would have taken nobody knows then; the guess of media.subtitle is slow speech, so
        that rather too few words count as spoken than one too many.
        """
        if self.over or self.ended or not self._marks or self._marks[-1].end is not None:
            return
        last = self._marks[-1]
        if last.start >= self.taken:
            self._marks.pop()
            self._drop_last(self.appended - last.start)
            self.appended = last.start
            return
        last.text = last.text_spoken(self.appended, self._rate)
        last.end = self.appended

    def foresee(self, samples: int) -> None:
        """So many more samples will come of the current text, and then it is complete."""
        if self._marks and self._marks[-1].end is None:
            self._marks[-1].foreseen = self.appended - self._marks[-1].start + samples

    def complete(self) -> None:
        """The current text's audio has come to its end; another text may follow, at once or after a while."""
        if self._marks and self._marks[-1].end is None:
            self._marks[-1].end = self.appended

    def end(self) -> None:
        """No more audio will come. Twice is harmless."""
        self.ended = True
        self.complete()

    # --- what the ledger does ------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """All its texts."""
        return "".join(mark.text for mark in self._marks)

    @property
    def unsent(self) -> int:
        """Samples that wait."""
        return 0 if self.over else self.appended - self.taken

    @property
    def exhausted(self) -> bool:
        """Nothing waits and nothing will come."""
        return self.ended and not self.unsent

    @property
    def hollow(self) -> bool:
        """Nothing of it has left, and less than a frame has come that could."""
        return not self.begun and self.unsent < self._frame

    @property
    def total(self) -> int:
        """Samples it has, or will have as far as can be guessed while they still come."""
        if self.ended or not self._marks:
            return self.appended
        last = self._marks[-1]
        return max(self.appended, last.start + last.span(self.appended, self._rate))

    def next_frame(self) -> memoryview | None:
        """Takes the next frame; the last one is padded with zeros. None while too little has come."""
        waiting = self.unsent
        if waiting >= self._frame:
            self.taken += self._frame
            return self._cut(self._frame * 2)
        if not (self.ended and waiting):
            return None
        self.taken += waiting
        return memoryview(bytes(self._cut(waiting * 2)).ljust(self._frame * 2, b"\0"))

    def next_in_run(self, at: int) -> memoryview | None:
        """``next_frame`` and ``sent`` in one for the usual case: a whole frame of what was appended in one piece, for
        timeline sample ``at``, where the one before it ended. None, and nothing taken, in every other case."""
        begin = self._at
        end = begin + self._frame * 2
        shift = self._shift
        if end >= self._end or shift is None or self.taken + shift != at:
            return None
        self._at = end
        self.taken += self._frame
        return self._head[begin:end]

    def _cut(self, size: int) -> memoryview:
        """``size`` bytes from as many chunks as they lie in."""
        pieces: list[memoryview] = []
        while size:
            piece = self._head[self._at : self._at + size]
            pieces.append(piece)
            size -= len(piece)
            self._at += len(piece)
            if self._at == self._end:
                self._past.append(self._chunks.popleft())
                self._at = 0
                self._look()
                self._forget()
        return pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces))

    def _look(self) -> None:
        """The chunks have changed."""
        self._head = self._chunks[0] if self._chunks else _NOTHING
        self._end = len(self._head)

    def _forget(self) -> None:
        """Lets go of what will not be repeated any more."""
        held = sum(map(len, self._past))
        while held - len(self._past[0]) >= self._keep:
            held -= len(self._past.popleft())

    def sent(self, start: int, samples: int, clock: int) -> None:
        """Notes that the last ``samples`` taken were sent for timeline sample ``start`` on."""
        position = self.taken - samples
        if self._shift is None or position + self._shift != start:
            self._close_run(position)
            self._heard = self.heard(clock)
            self._runs = [run for run in self._runs if run[0] + run[2] > clock]
            self._begun_at, self._shift = position, start - position

    def _close_run(self, end: int) -> None:
        """The last run reaches to sample ``end`` of the play: what leaves next is of another."""
        if self._shift is not None:
            self._runs.append((self._begun_at + self._shift, self._begun_at, end - self._begun_at))
            self._shift = None

    def _all_runs(self) -> list[tuple[int, int, int]]:
        if self._shift is None:
            return self._runs
        return [*self._runs, (self._begun_at + self._shift, self._begun_at, self.taken - self._begun_at)]

    def heard(self, clock: int) -> int:
        """Samples of it that the far end has played by timeline sample ``clock``. Never falls, never beyond what left."""
        best = self._heard
        for start, position, samples in self._all_runs():
            if clock > start:
                best = max(best, position + min(samples, clock - start))
        return best

    @property
    def heard_until(self) -> int:
        """The timeline sample at which the last that was sent is over."""
        return max((start + samples for start, _, samples in self._all_runs()), default=0)

    def rewind(self, samples: int) -> int:
        """Takes up to ``samples`` of what left back to the front of the queue; returns how many. None of a play that is over."""
        if self.over:
            return 0
        self._close_run(self.taken)
        size = min(samples * 2, self._keep, self._at + sum(map(len, self._past)))
        self._at -= size
        while self._at < 0:
            self._chunks.appendleft(self._past.pop())
            self._at += len(self._chunks[0])
        self._look()
        self.taken -= size // 2
        return size // 2

    def unsend(self, clock: int) -> int:
        """The far end dropped what it had not played by ``clock``: takes that back to be sent; returns how much."""
        self._heard = self.heard(clock)
        self._runs.clear()
        self._shift = None
        return self.rewind(max(0, self.taken - self._heard))

    def finish(self) -> None:
        """It is over: whatever TTS still brings is refused, and its audio is let go."""
        self.over = self.ended = True
        self._chunks.clear()
        self._past.clear()
        self._look()
        self._at = 0

    def stop_at_sentence(self) -> int:
        """Lets it end with the sentence that is being sent; returns the sample at which that is (maybe a guess)."""
        found = next_sentence_end(self._marks, self.taken, self.appended, self._rate)
        stop = max(self.taken, min(found, self.total) if found is not None else self.taken)
        self.interrupted = True
        if stop > self.appended and not self.ended:
            self._limit = stop
            return stop
        stop = min(stop, self.appended)
        self._drop_last(self.appended - stop)
        self.appended = stop
        self.ended = True
        return stop

    def _drop_last(self, samples: int) -> None:
        """The newest ``samples`` that wait are gone. ``appended`` is for the caller to set right."""
        left = samples * 2
        while left:
            chunk = self._chunks.pop()
            begin = self._at if not self._chunks else 0
            kept = max(begin, len(chunk) - left)
            left -= len(chunk) - kept
            if kept:
                self._chunks.append(chunk[:kept])
        self._look()

    def text_at(self, sample: int) -> HeardText:
        """What has been heard of its texts when ``sample`` samples have."""
        return heard_text(self._marks, sample, self.appended, self._rate)
