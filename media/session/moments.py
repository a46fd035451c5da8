"""One call's time: samples of its timeline, the monotonic clock, and milliseconds since 1970. Pure but for the clock."""

from __future__ import annotations

from datetime import UTC, datetime

from media.legs.leg import RATE
from shared.clock import Clock


class Moments:
    """Converts between a call's three ways to name a moment. Zero of the timeline: its first audio."""

    def __init__(self, clock: Clock, epoch: float, epoch_ms: int) -> None:
        """``epoch`` (monotonic seconds) and ``epoch_ms`` name the same moment."""
        self.clock = clock
        self.epoch = epoch
        self.epoch_ms = epoch_ms

    def now(self) -> float:
        """Monotonic seconds."""
        return self.clock.monotonic()

    def now_ms(self) -> int:
        """Milliseconds since 1970, by the monotonic clock from the epoch on: a call's events never go back."""
        return self.ms_of(self.clock.monotonic())

    def ms_of(self, moment: float) -> int:
        """Milliseconds since 1970 of a monotonic ``moment``."""
        return self.epoch_ms + int((moment - self.epoch) * 1000)

    def ms_at(self, sample: int) -> int:
        """Milliseconds since 1970 of a timeline ``sample``."""
        return self.epoch_ms + sample * 1000 // RATE

    def moment_heard(self, sample: int) -> float:
        """The monotonic time of a timeline ``sample`` that has been heard.

        Now at the latest: where the first audio waited in front of a busy loop, what follows it reaches ahead of the
        clock until the timeline is put right, and what a customer says would stand behind our answer to it.
        """
        return min(self.epoch + sample / RATE, self.clock.monotonic())


def iso(ms: int) -> str:
    """``2024-01-01T12:00:05.250Z``, as the ``hangup`` event writes times."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
