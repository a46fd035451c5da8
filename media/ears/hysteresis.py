"""From probabilities to speech: when it began and when it ended, for many calls at once. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]
Windows = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SpeechRule:
    """Thresholds in probability, spans in windows of 32 ms.

    Speech begins after ``onset_windows`` at or above ``onset`` (128 ms: a click is shorter); one below ``dip`` starts the
    count again. It ends after ``stop_windows`` below ``off`` (192 ms: the pause inside a word is shorter); one at or
    above ``on`` starts that count again. What lies between two thresholds does neither.

    The model is unsure of a voiced beginning such as that of 不好意思 for up to 200 ms (0.3 to 0.5), and sure of none of
    what is no voice (below 0.25, but for single windows): so ``onset`` lies lower than ``on``.
    """

    on: float = 0.5
    off: float = 0.35
    onset_windows: int = 4
    stop_windows: int = 6
    onset: float = 0.35
    dip: float = 0.2

    def __post_init__(self) -> None:
        if not 0.0 < self.off <= self.on < 1.0:
            raise ValueError(f"expected 0 < off <= on < 1, got off={self.off} on={self.on}")
        if not 0.0 < self.dip <= self.onset < 1.0:
            raise ValueError(f"expected 0 < dip <= onset < 1, got dip={self.dip} onset={self.onset}")
        if min(self.onset_windows, self.stop_windows) < 1:
            raise ValueError(f"expected spans of at least one window, got {self.onset_windows}, {self.stop_windows}")


@dataclass(frozen=True, slots=True)
class Change:
    """Row ``row`` began (``speaking``) or ceased to speak with window ``window``: the first that counted."""

    row: int
    speaking: bool
    window: int


class Hysteresis:
    """The state of many rows. One update takes one window of each of some rows."""

    def __init__(self, rows: int) -> None:
        self.speaking: Flags = np.zeros(rows, np.bool_)
        self._count = np.zeros(rows, np.int32)
        self._first = np.zeros(rows, np.int64)
        self._on = np.zeros(rows, np.float32)
        self._off = np.zeros(rows, np.float32)
        self._likely = np.zeros(rows, np.float32)
        self._dip = np.zeros(rows, np.float32)
        self._onset = np.zeros(rows, np.int32)
        self._stop = np.zeros(rows, np.int32)

    def reset(self, row: int, rule: SpeechRule) -> None:
        """A new call in ``row``: silent, by ``rule``."""
        self.speaking[row] = False
        self._count[row] = 0
        self._on[row], self._off[row] = rule.on, rule.off
        self._likely[row], self._dip[row] = rule.onset, rule.dip
        self._onset[row], self._stop[row] = rule.onset_windows, rule.stop_windows

    def undecided(self, rows: Rows) -> Flags:
        """Which of ``rows`` speak, or may be about to: their windows must all be judged."""
        undecided: Flags = self.speaking[rows] | (self._count[rows] > 0)
        return undecided

    def update(self, rows: Rows, probabilities: Probabilities, windows: Windows) -> list[Change]:
        """Takes the probability of speech in window ``windows[i]`` of each ``rows[i]`` (no row twice)."""
        speaking = self.speaking[rows]
        towards = np.where(speaking, probabilities < self._off[rows], probabilities >= self._likely[rows])
        against = np.where(speaking, probabilities >= self._on[rows], probabilities < self._dip[rows])
        count = np.where(towards, self._count[rows] + 1, np.where(against, 0, self._count[rows]))
        first = np.where(towards & (count == 1), windows, self._first[rows])
        changed = count >= np.where(speaking, self._stop[rows], self._onset[rows])
        self.speaking[rows] = speaking ^ changed
        self._count[rows] = np.where(changed, 0, count)
        self._first[rows] = first
        if not changed.any():
            return []
        return [Change(int(rows[i]), not speaking[i], int(first[i])) for i in np.flatnonzero(changed)]
