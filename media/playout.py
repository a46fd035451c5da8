"""The playout ledger: what is queued, sent and heard of our side of a call, by sample. Pure.

Time is one number: samples of the call's timeline, computed from the ``now`` that every method takes (seconds of a
monotonic clock) and the ``epoch`` the ledger was made with. The far end plays each frame as soon as the one before
it is over; what was sent and whose time has not come is the *lead*. Interruption position, transcript, trackEnd,
hang-up after a play, idle timers and the recording's right channel all read this one ledger.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from media.play import REPEAT_MS, Play, PlayoutFullError

FRAME_MS = 20
LEAD_MS = 60
"""How far the far end is kept ahead: hides ticks that the loop missed, and adds as much to an interruption."""
LONGEST_S = 120.0
"""Audio that one play may have waiting: 1.9 MB at 8 kHz. A feeder that is further ahead waits."""
MAX_PLAYS = 64
"""Plays in line; a driver that queues more does not listen to its events."""

_NOTHING: tuple[memoryview, ...] = ()


@dataclass(frozen=True, slots=True)
class PlayStarted:
    """The first frame of a play left. ``sample``: where it begins on the call's timeline."""

    play_id: str
    sample: int


@dataclass(frozen=True, slots=True)
class PlayEnded:
    """A play that was ended (``Play.end``) was heard to its last sample, or was cut short (``interrupted``)."""

    play_id: str
    sample: int
    duration_ms: int
    text_heard: str
    interrupted: bool


@dataclass(frozen=True, slots=True)
class Starved:
    """A play that has begun and not ended has nothing to send, and the far end has run dry."""

    play_id: str
    sample: int


Fact = PlayStarted | PlayEnded | Starved


@dataclass(frozen=True, slots=True)
class Cut:
    """What an interruption found: the fields of Active Call's ``interruption`` event, and what became of the audio."""

    play_id: str
    subtitle: str
    text_heard: str
    position: int
    """Index of the word in ``subtitle`` at which the caller stopped hearing; a CJK character is a word."""
    current_ms: int
    total_ms: int
    heard_samples: int
    dropped: tuple[str, ...]
    """Plays behind it of which nothing was heard."""
    unheard: tuple[int, int]
    """Timeline samples (start, end) that were sent and then flushed: the recorder writes silence there."""


class Playout:
    """One call's ledger."""

    __slots__ = (
        "_delay", "_epoch", "_facts", "_fading", "_frame", "_half", "_lead", "_longest", "_queue", "_rate", "_repeat",
        "_sent_until", "_tail", "paused", "starvations", "still", "taken_at",
    )  # fmt: skip

    def __init__(
        self,
        epoch: float,
        rate: int = 8000,
        lead_ms: int = LEAD_MS,
        delay_ms: int = 0,
        longest_s: float = LONGEST_S,
    ) -> None:
        """``delay_ms``: what the way to the far end's loudspeaker takes; it only makes "heard" later. Raises
        ValueError for a rate that has no whole 20 ms frame."""
        if rate <= 0 or rate * FRAME_MS % 1000:
            raise ValueError(f"expected a rate with whole samples in {FRAME_MS} ms, got {rate}")
        self._epoch = epoch
        self._rate = rate
        self._frame = rate * FRAME_MS // 1000
        self._half = self._frame // 2
        self._lead = max(self._frame, rate * lead_ms // 1000)
        self._delay = rate * delay_ms // 1000
        self._repeat = rate * REPEAT_MS // 1000
        self._tail = -(-(self._lead + self._delay + self._repeat) // self._frame) + 2
        self._longest = int(longest_s * rate)
        self._queue: deque[Play] = deque()
        self._fading: deque[Play] = deque()
        self._facts: list[Fact] = []
        self._sent_until = 0
        self.paused = False
        self.still = False
        """Whether the last ``take`` did nothing but send what was due of the play that goes on: ``facts`` has nothing to tell."""
        self.taken_at = 0
        """Timeline sample of the first frame that ``take`` returned last: where the recorder puts them all."""
        self.starvations = 0
        """How often the far end ran dry in the middle of a play."""

    # --- plays ---------------------------------------------------------------------------------------------------------

    def open(self, play_id: str) -> Play:
        """A new play behind all others. Raises PlayoutFullError when MAX_PLAYS are in line."""
        if len(self._queue) >= MAX_PLAYS:
            raise PlayoutFullError(f"expected at most {MAX_PLAYS} plays in line; wait until one ends")
        play = Play(play_id, self._rate, self._frame, self._tail, self._longest)
        self._queue.append(play)
        return play

    def find(self, play_id: str) -> Play | None:
        """The play of that name that still takes audio, if any: the one to append to."""
        for play in self._queue:
            if play.play_id == play_id and not play.ended and not play.interrupted:
                return play
        return None

    @property
    def playing(self) -> Play | None:
        """The play that is heard, or will be next; None when nothing is queued, sent or expected."""
        if self._fading:
            return self._fading[0]
        return self._queue[0] if self._queue else None

    @property
    def idle(self) -> bool:
        """Nothing is queued, none is expected, and all that was sent has been heard."""
        return not self._queue and not self._fading

    # --- sending -------------------------------------------------------------------------------------------------------

    def clock(self, now: float) -> int:
        """The timeline's sample at ``now``."""
        return int((now - self._epoch) * self._rate + 0.5)

    def take(self, now: float) -> Sequence[memoryview]:
        """The frames that must leave at ``now``: what keeps the far end ``lead_ms`` ahead, to the nearest frame.

        Depends on the clock alone: a late tick finds more due, an early one less. Empty when paused or idle.
        """
        queue = self._queue
        until = self._sent_until
        clock = int((now - self._epoch) * self._rate + 0.5)
        ahead = until - clock
        if (  # what comes all day: one frame more of the play that goes on
            queue
            and ahead > 0
            and (self._lead + self._half - ahead) // self._frame == 1
            and not (self._fading or self.paused)
            and (frame := queue[0].next_in_run(until)) is not None
        ):
            self.taken_at = until
            self._sent_until = until + self._frame
            self.still = not self._facts
            return (frame,)
        self.still = False
        return self._take(clock)

    def _take(self, clock: int) -> Sequence[memoryview]:
        self._settle(clock)
        if not self._queue or self.paused:
            return _NOTHING
        ahead = self._sent_until - clock
        due = (self._lead + self._half - max(0, ahead)) // self._frame
        if due <= 0:
            return _NOTHING
        frames = self._send(due, clock)
        if not frames and ahead <= 0:
            self._note_starvation(clock)
        return frames

    def next_frames(self, count: int, now: float) -> Sequence[memoryview]:
        """Up to ``count`` frames whatever is due, for a leg with a pace of its own. Empty when paused or idle."""
        clock = self.clock(now)
        self._settle(clock)
        return _NOTHING if self.paused else self._send(count, clock)

    def _send(self, count: int, clock: int) -> list[memoryview]:
        start = at = self._sent_until if self._sent_until > clock else clock
        frames: list[memoryview] = []
        queue = self._queue
        while count and queue:
            play = queue[0]
            before, left = play.taken, count
            while count and (frame := play.next_frame()) is not None:
                frames.append(frame)
                count -= 1
            if count < left:
                if not play.begun:
                    play.begun = True
                    self._facts.append(PlayStarted(play.play_id, at))
                play.starving = False
                play.sent(at, play.taken - before, clock)
                at += (left - count) * self._frame
            if not play.exhausted:
                break
            self._fading.append(queue.popleft())
        if frames:
            self.taken_at = start
            self._sent_until = at
        return frames

    def _note_starvation(self, clock: int) -> None:
        play = self._queue[0] if self._queue else None
        if play is not None and play.begun and not play.starving and not play.ended:
            play.starving = True
            self.starvations += 1
            self._facts.append(Starved(play.play_id, clock))

    # --- what came to pass ---------------------------------------------------------------------------------------------

    def facts(self, now: float) -> list[Fact]:
        """What came to pass since the last time, in order."""
        if self._fading or (self._queue and self._queue[0].exhausted):
            self._settle(self.clock(now))
        if not self._facts:
            return []
        facts, self._facts = self._facts, []
        return facts

    def heard(self, now: float) -> int:
        """Samples of ``playing`` that have been heard."""
        play = self.playing
        return play.heard(self.clock(now) - self._delay) if play is not None else 0

    def ends_at(self) -> float:
        """When all that was sent will have been heard (monotonic seconds): for idle timers and a last goodbye."""
        return self._epoch + (self._sent_until + self._delay) / self._rate

    def _settle(self, clock: int) -> None:
        """Plays that have left go to those that fade; those heard to their end are over."""
        while self._queue and self._queue[0].exhausted:
            self._fading.append(self._queue.popleft())
        while self._fading:
            play = self._fading[0]
            until = play.heard_until + self._delay
            if clock < until:
                return
            self._fading.popleft()
            self._end(play, play.appended, max(until, 0), play.interrupted)

    def _end(self, play: Play, heard: int, sample: int, interrupted: bool) -> None:
        text = play.text_at(heard).text if interrupted else play.text
        play.finish()
        self._facts.append(PlayEnded(play.play_id, sample, self._ms(heard), text, interrupted))

    def _ms(self, samples: int) -> int:
        return samples * 1000 // self._rate

    # --- barge-in ------------------------------------------------------------------------------------------------------

    def pause(self, now: float, *, flushed: bool = False) -> tuple[int, int]:
        """Nothing leaves until ``resume``; what the far end holds plays out.

        ``flushed``: the far end was told to drop what it holds; that will be sent again. Returns the timeline samples
        (start, end) it dropped, for the recorder to silence; an empty span otherwise.
        """
        self.paused = True
        clock = self.clock(now)
        self._settle(clock)
        if not flushed:
            return clock, clock
        begun = [play for play in self._queue if play.begun]
        back = [play for play in (*self._fading, *begun) if play.unsend(clock - self._delay)]
        self._queue.extendleft(play for play in reversed(self._fading) if play in back)
        self._fading = deque(play for play in self._fading if play not in back)
        return self._flush(clock)

    def resume(self, now: float, repeat_ms: int = REPEAT_MS) -> None:
        """Goes on, repeating at most ``repeat_ms`` (never over 40 ms) of what was sent before the far end fell silent.

        Nothing is repeated if the far end still has something to play: it never fell silent.
        """
        if not self.paused:
            return
        self.paused = False
        if self._queue and self._sent_until <= self.clock(now):
            self._queue[0].rewind(min(self._repeat, self._rate * max(0, repeat_ms) // 1000))

    def cut(self, now: float, *, flushed: bool = True) -> Cut | None:
        """Interrupts: everything that waits is dropped. None if there is nothing to interrupt.

        ``flushed``: the far end also drops what it holds and has not played; without it, what was sent is heard.
        """
        clock = self.clock(now)
        self._settle(clock)
        self.paused = False
        plays = [*self._fading, *self._queue] if flushed else list(self._queue)
        if not plays:
            return None
        moment = clock - self._delay
        heard = plays[0].heard(moment if flushed else max(clock, self._sent_until))
        if flushed:
            self._fading.clear()
        self._queue.clear()
        cut = self._describe(plays, heard, self._flush(clock) if flushed else (clock, clock))
        for play in plays:
            if play.begun:
                over = min(clock, play.heard_until + self._delay)  # it may have run dry before
                self._end(play, heard if play is plays[0] else 0, over, interrupted=True)
            else:
                play.finish()
        return cut

    def cut_gracefully(self, now: float) -> Cut | None:
        """Lets the sentence that is being sent come to its end, and drops the rest; also resumes from a pause.

        Tells what will have been heard by then. None if there is nothing to interrupt. The play's end is told as
        ``PlayEnded(interrupted=True)`` when it has been heard; a play that was sent to its last sample ends by itself,
        uninterrupted. Plays of which nothing was sent end at once.
        """
        self.resume(now)
        clock = self.clock(now)
        self._settle(clock)
        plays = list(self._queue)
        if not plays:
            last = self._fading[-1] if self._fading else None
            return None if last is None else self._describe([last], last.appended, (0, 0))
        total = plays[0].total
        heard = plays[0].stop_at_sentence() if plays[0].begun else 0
        self._queue.clear()
        if plays[0].begun:
            self._queue.append(plays[0])
        cut = self._describe(plays, heard, (0, 0), total)
        for play in plays[len(self._queue) :]:
            play.finish()
            self._facts.append(PlayEnded(play.play_id, clock, 0, "", True))
        return cut

    def _flush(self, clock: int) -> tuple[int, int]:
        """The far end holds nothing any more. Returns the span that it did not play."""
        until = max(self._sent_until, clock)
        self._sent_until = min(self._sent_until, clock)
        return clock, until

    def _describe(self, plays: list[Play], heard: int, unheard: tuple[int, int], total: int | None = None) -> Cut:
        play = plays[0]
        text = play.text_at(heard)
        return Cut(
            play_id=play.play_id,
            subtitle=play.text,
            text_heard=text.text,
            position=text.position,
            current_ms=self._ms(heard),
            total_ms=self._ms(max(heard, play.total if total is None else total)),
            heard_samples=heard,
            dropped=tuple(other.play_id for other in plays[1:]),
            unheard=unheard,
        )
