"""Both sides of a call on their way to the recording, in pieces of 200 ms: a tenth of the work of handing over frames."""

from __future__ import annotations

from collections.abc import Sequence

from media.audio.ring import Ring
from media.legs.leg import RATE
from media.session.ports import RecordingPort

PIECE = RATE // 5
"""What a crash may cost beside what the recorder itself holds back (0.75 s): less than a second in all.

Both sides are handed over when either has so much, so that neither comes after its block has left.
"""


class Taping:
    """One call's."""

    __slots__ = (
        "_heard_at", "_heard_from", "_heard_to", "_recording", "_ring", "_ring_to", "_said", "_said_at", "_said_to",
    )  # fmt: skip

    def __init__(self, recording: RecordingPort, ring: Ring) -> None:
        """``ring``: the call's ears', in which the customer's audio lies anyway until it is a piece."""
        self._recording = recording
        self._ring = ring
        self._heard_at = 0
        self._heard_to = 0
        """Timeline span of the customer's audio that waits in the ring."""
        self._heard_from = 0
        self._ring_to = 0
        """Span of the ring that holds it: what the ears fill in for missing audio may have come behind it."""
        self._said_at = 0
        self._said_to = 0
        self._said: list[memoryview] = []

    def heard(self, place: int, samples: int) -> None:
        """The ring's newest ``samples`` belong at ``place``."""
        written = self._ring.written
        if place != self._heard_to or written - samples != self._ring_to:
            self._flush_heard()
            self._heard_at = place
            self._heard_from = written - samples
        self._ring_to = written
        self._heard_to = end = place + samples
        if end - self._heard_at >= PIECE:
            self.flush()

    def heard_apart(self, place: int, pcm: bytes) -> None:
        """Customer audio that is not (as it is) in the ring."""
        self.flush()
        self._recording.customer(place, pcm)

    def said(self, start: int, frames: Sequence[memoryview]) -> None:
        """Consecutive frames of ours, equally long, from timeline sample ``start`` on."""
        if start != self._said_to:
            self._flush_said()
            self._said_at = start
        self._said += frames
        self._said_to = end = start + (len(frames[0]) >> 1) * len(frames)
        if end - self._said_at >= PIECE:
            self.flush()

    def erase(self, start: int, end: int) -> None:
        """What was sent and flushed before it was heard."""
        self.flush()
        self._recording.erase_ours(start, end)

    def flush(self) -> None:
        """Hands over what waits."""
        self._flush_heard()
        self._flush_said()

    def _flush_heard(self) -> None:
        """A loop that stood still for ten seconds fills the whole ring with silence at once: what waited then is lost."""
        samples = self._heard_to - self._heard_at
        if samples:
            lost = min(samples, max(0, self._ring.oldest - self._heard_from))
            if lost < samples:
                pcm = self._ring.read(self._heard_from + lost, samples - lost)
                self._recording.customer(self._heard_at + lost, pcm)
            self._heard_at = self._heard_to
            self._heard_from += samples

    def _flush_said(self) -> None:
        if self._said:
            self._recording.ours(self._said_at, (memoryview(b"".join(self._said)),))
            self._said = []
            self._said_at = self._said_to
