"""One play of the ledger: its audio, its text, and where on the call's timeline it was sent. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from media.audio.errors import AudioError, OddLengthError
from media.subtitle import HeardText, Mark, WordOffset, heard_text, next_sentence_end

REPEAT_MS = 40
"""The most that a resumed play repeats: enough to hear a broken syllable whole, too little to be taken for a stutter."""


class PlayoutFullError(AudioError):
    """More is queued than a play or a call may hold: the feeder is too far ahead and must wait."""

    code = "playout.full"
    retryable = True


class Play:
    """A handle that TTS and file players write to. Once it is over, ``append`` takes nothing and returns False."""

    __slots__ = (
        "_at", "_chunks", "_frame", "_heard", "_limit", "_longest", "_marks", "_rate", "_runs", "_tail",
        "appended", "begun", "ended", "interrupted", "over", "play_id", "starving", "taken", "unsent",
    )  # fmt: skip

    def __init__(self, play_id: str, rate: int, frame: int, tail: int, longest: int) -> None:
        """``frame`` samples leave at a time; ``tail`` frames that left are kept to be repeated; ``longest`` samples
        may wait. Made by ``Playout.open``."""
        self.play_id = play_id
        self.appended = 0
        """Samples that have come."""
        self.taken = 0
        """Samples that have left, less what was taken back to be sent again."""
        self.unsent = 0
        """Samples that wait."""
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
        self._chunks: deque[memoryview] = deque()
        self._at = 0
        self._tail: deque[memoryview] = deque(maxlen=tail)
        self._marks: list[Mark] = []
        self._runs: list[list[int]] = []
        self._heard = 0

    # --- what TTS does ------------------------------------------------------------------------------------------------

    def append(self, pcm: bytes) -> bool:
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
            self.unsent += samples
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

    def end(self) -> None:
        """No more audio will come. Twice is harmless."""
        self.ended = True
        if self._marks and self._marks[-1].end is None:
            self._marks[-1].end = self.appended

    # --- what the ledger does ------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """All its texts."""
        return "".join(mark.text for mark in self._marks)

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
        if self.unsent >= self._frame:
            content = self._frame
            chunk = self._chunks[0]
            end = self._at + content * 2
            if end < len(chunk):
                frame = chunk[self._at : end]
                self._at = end
            else:
                frame = self._join(content * 2)
            self._tail.append(frame)
        elif self.ended and self.unsent:
            content = self.unsent
            self._tail.append(self._join(content * 2))
            frame = memoryview(bytes(self._tail[-1]).ljust(self._frame * 2, b"\0"))
        else:
            return None
        self.unsent -= content
        self.taken += content
        return frame

    def next_in_run(self, at: int) -> memoryview | None:
        """``next_frame`` and ``sent`` in one for the usual case: a whole frame of what was appended in one piece, for
        timeline sample ``at``, where the one before it ended. None, and nothing taken, in every other case."""
        count = self._frame
        if self.unsent <= count or not self._runs:
            return None
        run = self._runs[-1]
        start, position, samples = run
        chunk = self._chunks[0]
        end = self._at + count * 2
        if start + samples != at or position + samples != self.taken or end >= len(chunk):
            return None
        frame = chunk[self._at : end]
        self._at = end
        self._tail.append(frame)
        self.unsent -= count
        self.taken += count
        run[2] = samples + count
        return frame

    def _join(self, size: int) -> memoryview:
        """``size`` bytes from as many chunks as they lie in."""
        pieces: list[memoryview] = []
        while size:
            chunk = self._chunks[0]
            piece = chunk[self._at : self._at + size]
            pieces.append(piece)
            size -= len(piece)
            self._at += len(piece)
            if self._at == len(chunk):
                self._chunks.popleft()
                self._at = 0
        return pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces))

    def sent(self, start: int, samples: int, clock: int) -> None:
        """Notes that the last ``samples`` taken were sent for timeline sample ``start`` on."""
        position = self.taken - samples
        if self._runs:
            run = self._runs[-1]
            if run[0] + run[2] == start and run[1] + run[2] == position:
                run[2] += samples
                return
            self._heard = self.heard(clock)
            self._runs = [run for run in self._runs if run[0] + run[2] > clock]
        self._runs.append([start, position, samples])

    def heard(self, clock: int) -> int:
        """Samples of it that the far end has played by timeline sample ``clock``. Never falls, never beyond what left."""
        best = self._heard
        for start, position, samples in self._runs:
            if clock > start:
                best = max(best, position + min(samples, clock - start))
        return best

    @property
    def heard_until(self) -> int:
        """The timeline sample at which the last that was sent is over."""
        return max((start + samples for start, _, samples in self._runs), default=0)

    def rewind(self, samples: int) -> int:
        """Takes up to ``samples`` of what left back to the front of the queue; returns how many."""
        if self._at:
            self._chunks[0] = self._chunks[0][self._at :]
            self._at = 0
        wanted = samples * 2
        while wanted and self._tail:
            frame = self._tail.pop()
            if len(frame) > wanted:
                self._tail.append(frame[:-wanted])
                frame = frame[-wanted:]
            self._chunks.appendleft(frame)
            wanted -= len(frame)
        back = samples - wanted // 2
        self.unsent += back
        self.taken -= back
        return back

    def unsend(self, clock: int) -> int:
        """The far end dropped what it had not played by ``clock``: takes that back to be sent; returns how much."""
        self._heard = self.heard(clock)
        self._runs.clear()
        return self.rewind(max(0, self.taken - self._heard))

    def finish(self) -> None:
        """It is over: whatever TTS still brings is refused, and its audio is let go."""
        self.over = self.ended = True
        self._chunks.clear()
        self._tail.clear()
        self._at = self.unsent = 0

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
        self.unsent -= samples
        left = samples * 2
        while left:
            chunk = self._chunks.pop()
            begin = self._at if not self._chunks else 0
            size = len(chunk) - begin
            if size > left:
                self._chunks.append(chunk[:-left])
                return
            left -= size
            if not self._chunks:
                self._at = 0

    def text_at(self, sample: int) -> HeardText:
        """What has been heard of its texts when ``sample`` samples have."""
        return heard_text(self._marks, sample, self.appended, self._rate)
