"""The rows of all calls' ears, and what is done to them together at each look. No thread, no clock, no loop.

Each row is a ring of the big matrix. A ring holds a whole number of VAD windows, so that the windows of many calls
are gathered with one index operation. Silent calls cost their energy only: the neural VAD sees a row while it is
loud, while it speaks or may begin to, and for a short while after.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from media.audio.dtmf import HOP, NO_KEY, DtmfDetector, classify
from media.audio.level import NoiseGate, powers
from media.audio.ring import RING_SAMPLES, WINDOW, Ring
from media.ears.hysteresis import Hysteresis, SpeechRule
from media.ears.vad import CONTEXT, SpeechModel
from media.ears.weights import Floats
from shared.errors import WaihuError

Rows = npt.NDArray[np.intp]

SLOTS = RING_SAMPLES // WINDOW
LOOKBACK = HOP
"""Samples before a window that are gathered with it: half a DTMF block, of which the VAD's context is the end."""
HANGOVER = 8
"""Windows (256 ms) that a row stays awake after its last loud one, so that no pause in a word resets the model."""
REPLAY = 2
"""Windows from before the wake that the freshly zeroed model hears first: words begin softly."""
MAX_BEHIND = 31
"""Windows (1 s). A row further behind than this jumps ahead: a late verdict is no use to a barge-in."""
KEEP = 4
"""Windows that are still judged after such a jump: as many as make an onset."""


class EarsFullError(WaihuError):
    """Every row is in use: more calls were let in than the process was made for."""

    code = "ears.full"
    retryable = True


class Owner(Protocol):
    """Whose ears a row is. The bank only hands it back."""


@dataclass(frozen=True, slots=True)
class SpeechChange:
    """The customer began (``speaking``) or ceased to speak at ring index ``sample``."""

    owner: Owner
    speaking: bool
    sample: int


@dataclass(frozen=True, slots=True)
class KeyPress:
    """A DTMF key went down at ring index ``sample``."""

    owner: Owner
    digit: str
    sample: int


Event = SpeechChange | KeyPress


@dataclass(slots=True)
class BankStats:
    """Counted since the start. ``judged`` of ``windows`` went through the model; ``lost`` were never looked at."""

    looks: int = 0
    windows: int = 0
    judged: int = 0
    lost: int = 0


class EarBank:
    """All rows. The loop calls ``open`` and ``close`` and writes the rings; one thread calls ``look``.

    Nothing is locked: the loop owns the rings and ``written``, the looking thread everything else, and rows pass
    between them through deques, whose ends are atomic.
    """

    def __init__(self, rows: int, model: SpeechModel, between: Callable[[], None] = lambda: None) -> None:
        """``between`` is called during a look after each few tenths of a millisecond of work."""
        self._memory = np.zeros((rows, RING_SAMPLES), np.int16)
        self._windows = self._memory.reshape(rows, SLOTS, WINDOW)
        self._written = np.zeros(rows, np.int64)
        self.written = self._written.data
        """Samples in each ring, told by the loop after each write."""
        self.stats = BankStats()
        self._free: deque[int] = deque(range(rows))
        self._opened: deque[tuple[int, Owner, SpeechRule, bool]] = deque()
        self._closed: deque[int] = deque()
        self._model = model
        self._between = between
        self._gate = NoiseGate(rows)
        self._hysteresis = Hysteresis(rows)
        self._next = np.zeros(rows, np.int64)
        self._awake = np.zeros(rows, np.bool_)
        self._awake_until = np.zeros(rows, np.int64)
        self._wants_dtmf = np.zeros(rows, np.bool_)
        self._dtmf_busy = np.zeros(rows, np.bool_)
        self._detectors = [DtmfDetector() for _ in range(rows)]
        self._owners: dict[int, Owner] = {}
        self._rows: Rows = np.zeros(0, np.intp)

    def open(self, owner: Owner, rule: SpeechRule, dtmf: bool) -> tuple[int, Ring]:
        """A row and its ring. On the loop. Raises EarsFullError."""
        try:
            row = self._free.popleft()
        except IndexError:
            raise EarsFullError(f"expected at most {len(self._detectors)} calls with ears; let fewer in") from None
        self._windows[row, -(REPLAY + 1) :] = 0
        self._written[row] = 0
        self._opened.append((row, owner, rule, dtmf))
        return row, Ring(memory=self._memory[row])

    def close(self, row: int) -> None:
        """Gives ``row`` back; it is free again after the next look. On the loop."""
        self._closed.append(row)

    def look(self) -> list[Event]:
        """Judges every window that has come since the last look, and says what changed. On the thread."""
        self._admit()
        rows = self._rows
        events: list[Event] = []
        if not len(rows):
            return events
        self.stats.looks += 1
        reached = self._written[rows] // WINDOW
        self._jump(rows, reached)
        while len(rows := rows[waiting := reached > self._next[rows]]):
            reached = reached[waiting]
            self._listen(rows, events)
        return events

    def _admit(self) -> None:
        """Takes in what the loop opened and closed, in that order: a row is closed after it was opened."""
        if not self._opened and not self._closed:
            return
        closed = [self._closed.popleft() for _ in range(len(self._closed))]
        while self._opened:
            row, owner, rule, dtmf = self._opened.popleft()
            self._owners[row] = owner
            self._gate.reset(row)
            self._hysteresis.reset(row, rule)
            self._next[row] = self._awake_until[row] = 0
            self._awake[row] = self._dtmf_busy[row] = False
            self._wants_dtmf[row] = dtmf
            self._detectors[row] = DtmfDetector()
        for row in closed:
            del self._owners[row]
            self._free.append(row)
        self._rows = np.fromiter(self._owners, np.intp, len(self._owners))

    def _jump(self, rows: Rows, reached: npt.NDArray[np.int64]) -> None:
        """Rows that are too far behind leave their oldest windows unheard and start afresh near the end."""
        late = reached - self._next[rows] > MAX_BEHIND
        if not late.any():
            return
        behind, goal = rows[late], reached[late] - KEEP
        self.stats.lost += int((goal - self._next[behind]).sum())
        self._next[behind] = goal
        self._awake[behind] = False

    def _gather(self, rows: Rows, index: npt.NDArray[np.int64]) -> Floats:
        """One window of each row and the LOOKBACK samples before it, as float32 [rows, LOOKBACK + WINDOW]."""
        chunk = np.empty((len(rows), LOOKBACK + WINDOW), np.float32)
        chunk[:, :LOOKBACK] = self._windows[rows, (index - 1) % SLOTS, -LOOKBACK:]
        chunk[:, LOOKBACK:] = self._windows[rows, index % SLOTS]
        return chunk

    def _listen(self, rows: Rows, events: list[Event]) -> None:
        """Takes the next window of each of ``rows``."""
        index = self._next[rows]
        self._next[rows] = index + 1
        self.stats.windows += len(rows)
        chunk = self._gather(rows, index)
        loud = self._gate.loud(rows, powers(chunk[:, LOOKBACK:]))
        self._awake_until[rows[loud]] = index[loud] + HANGOVER
        awake = loud | self._hysteresis.undecided(rows) | (index < self._awake_until[rows])
        waking = awake & ~self._awake[rows]
        self._awake[rows] = awake
        if awake.any():
            replayed = self._replay(rows[waking], index[waking])
            self._judge(rows[awake], index[awake], chunk[awake], rows[waking], replayed, events)
        toned = self._wants_dtmf[rows] & (loud | self._dtmf_busy[rows])
        if toned.any():
            self._between()
            self._press(rows[toned], index[toned], chunk[toned], events)

    def _replay(self, rows: Rows, index: npt.NDArray[np.int64]) -> list[Floats]:
        """What rows that slept hear first, oldest first: a little of what came before."""
        return [self._gather(rows, index - back) for back in range(REPLAY, 0, -1)] if len(rows) else []

    def _judge(
        self,
        rows: Rows,
        index: npt.NDArray[np.int64],
        chunk: Floats,
        waking: Rows,
        replayed: Sequence[Floats],
        events: list[Event],
    ) -> None:
        """All windows are encoded together; of ``waking`` rows, for which the model starts from nothing, what came before too."""
        self.stats.judged += len(rows)
        windows = np.concatenate([*replayed, chunk]) if replayed else chunk
        features = self._model.encode(windows[:, LOOKBACK - CONTEXT :], self._between)
        if replayed:
            self._model.forget(waking)
            for at in range(0, len(features) - len(rows), len(waking)):
                self._model.step(waking, features[at : at + len(waking)])
        self._between()
        probabilities = self._model.step(rows, features[-len(rows) :])
        events.extend(
            SpeechChange(self._owners[change.row], change.speaking, change.window * WINDOW)
            for change in self._hysteresis.update(rows, probabilities, index)
        )

    def _press(self, rows: Rows, index: npt.NDArray[np.int64], chunk: Floats, events: list[Event]) -> None:
        keys = classify(chunk)
        for at in np.flatnonzero((keys != NO_KEY).any(axis=1) | self._dtmf_busy[rows]):
            row = int(rows[at])
            detector = self._detectors[row]
            start = int(index[at]) * WINDOW - LOOKBACK
            for digit, sample in detector.feed(keys[at].tolist(), start):
                events.append(KeyPress(self._owners[row], digit, sample))
            self._dtmf_busy[row] = not detector.idle
