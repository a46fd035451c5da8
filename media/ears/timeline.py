"""Where a call's incoming audio belongs in time. Pure.

A sender's samples come in order and without loss (TCP), yet not evenly: frames bunch up behind a stalled network, a
sender may pause, and its clock is not ours. Samples follow one another on the timeline as they were spoken; only a
real gap, or the drift of the two clocks, moves the joint.
"""

from __future__ import annotations

GAP_S = 1.0
"""Audio this late did not stall on the way: the sender paused. (The same second after which silence is assumed.)"""
EARLY_S = 0.06
"""Audio cannot end in the future. More than three frames early means that a "gap" was a stall after all."""
SPAN_S = 5.0
"""How much audio is looked at for drift; its least late frame shows where the clocks stand."""
DRIFT_S = 0.02
"""Drift is put right when it reaches one frame, so that both channels of a recording stay together for hours."""


class Timeline:
    """Samples since ``epoch`` (seconds of a monotonic clock) at ``rate``."""

    __slots__ = (
        "_bias",
        "_drift",
        "_early",
        "_epoch",
        "_gap",
        "_gap_least",
        "_least",
        "_limit",
        "_rate",
        "_span",
        "_spent",
        "next",
    )

    def __init__(self, epoch: float, rate: int = 8000) -> None:
        self._epoch = epoch
        self._rate = rate
        self._early = -int(EARLY_S * rate)
        self._span = int(SPAN_S * rate)
        self._drift = int(DRIFT_S * rate)
        self._gap_least = int(GAP_S * rate)
        self._limit = self._gap_least
        self._bias = -1
        self._gap = 0
        self._spent = 0
        self._least = self._gap_least
        self.next = 0
        """Where the next sample belongs if it follows the last without a gap."""

    def clock(self, now: float) -> int:
        """The timeline's sample at ``now``."""
        return int((now - self._epoch) * self._rate + 0.5) + max(self._bias, 0)

    def place(self, samples: int, now: float) -> int:
        """Where the first of ``samples`` that have just arrived belongs. Never negative."""
        if self._bias < 0:
            self._anchor(samples, now)
        late = int((now - self._epoch) * self._rate + 0.5) + self._bias - self.next - samples
        if late >= self._limit:
            self._follow_gap(late)
            late = 0
        elif late < self._early and self._gap:
            late += self._take_back_gap()
        if late < self._least:
            self._least = late
        start = self.next
        self.next = start + samples
        self._spent += samples
        if self._spent >= self._span:
            self._follow_drift()
        return start

    def skip(self, samples: int) -> None:
        """Silence was assumed for ``samples``; should their audio come after all, it is put where it belongs."""
        self.next += samples
        self._gap += samples
        self._restart()

    def _anchor(self, samples: int, now: float) -> None:
        """The first audio ends now; if the timeline is younger than it is long, the timeline's clock is put on by that."""
        begun = self.clock(now) - self.next - samples
        self.next += max(begun, 0)
        self._bias = max(-begun, 0)
        self._restart()

    def _follow_gap(self, late: int) -> None:
        self.next += late
        self._gap = late
        self._restart()

    def _take_back_gap(self) -> int:
        """A burst has come: it continues where audio stopped, and may be late by all of the stall until it ends."""
        gap, self._gap = self._gap, 0
        self.next -= gap
        self._restart()
        self._limit = gap + self._gap_least
        return gap

    def _follow_drift(self) -> None:
        if abs(self._least) >= self._drift:
            self.next = max(0, self.next + self._least)
        self._restart()
        self._gap = 0

    def _restart(self) -> None:
        self._spent = 0
        self._least = self._limit = self._gap_least
