"""What one call hears."""

from __future__ import annotations

from typing import Protocol

from media.audio.errors import OverwrittenError
from media.audio.ring import Ring
from media.ears.bank import EarBank
from media.ears.hysteresis import SpeechRule
from media.ears.timeline import Timeline

MISSING_S = 1.0
"""Without audio for this long, silence is assumed: a VAD that waits for frames would never end the speech."""
UPLINK_SAMPLES = 800
"""100 ms at 8 kHz: ten messages a second to an ASR provider rather than fifty."""


class Listener(Protocol):
    """Who is told, on the event loop. Samples are indexes into the call's ring; ``Ears.timeline`` converts them."""

    def speech_started(self, sample: int) -> None:
        """The customer began to speak at ``sample`` (already 128 ms ago: only then is an onset certain)."""

    def speech_ended(self, sample: int) -> None:
        """The customer fell silent at ``sample`` (about 200 ms ago)."""

    def dtmf(self, digit: str, sample: int) -> None:
        """A key was pressed: one of 0-9 * # A-D."""


class Ears:
    """One call's ring and its row in the shared VAD. All methods are for the event loop; ``Hearing.open`` makes them."""

    __slots__ = ("_bank", "_heard_at", "_offset", "_row", "_timeline", "_told", "listener", "ring", "speaking")

    def __init__(self, bank: EarBank, listener: Listener, now: float, rule: SpeechRule, dtmf: bool) -> None:
        """Raises EarsFullError."""
        self._bank = bank
        self._row, self.ring = bank.open(self, rule, dtmf)
        self._told = bank.written
        self._timeline = Timeline(now)
        self._heard_at = now
        self._offset = 0
        self.listener: Listener | None = listener
        self.speaking = False
        """Whether the customer speaks, as last reported to the listener."""

    def hear(self, pcm: bytes | bytearray | memoryview, now: float) -> int:
        """Takes caller audio (s16le mono, 8 kHz, any even length up to 2 s).

        Returns where its first sample belongs on the call's timeline (samples since the ``now`` of ``Hearing.open``):
        what the recorder wants. Raises OddLengthError or FrameTooLongError; nothing was taken then.
        """
        start = self.ring.write(pcm)
        self._told[self._row] = self.ring.written
        self._heard_at = now
        placed = self._timeline.place(len(pcm) >> 1, now)
        self._offset = placed - start
        return placed

    def check(self, now: float) -> int:
        """After 1 s without audio, writes the missing time as silence, so that speech ends and ASR goes on.

        Call it every 100 to 1000 ms. Returns the samples of silence written, 0 if audio flows.
        """
        if now - self._heard_at < MISSING_S:
            return 0
        missing = self._timeline.clock(now) - self._timeline.next
        if missing <= 0:
            return 0
        self.ring.silence(missing)
        self._told[self._row] = self.ring.written
        self._timeline.skip(missing)
        self._offset = self._timeline.next - self.ring.written
        return missing

    def timeline(self, sample: int) -> int:
        """The sample of the call's timeline for a ring index not far back."""
        return max(0, sample + self._offset)

    def uplink(self, start: int | None = None, samples: int = UPLINK_SAMPLES) -> Uplink:
        """A reader in blocks of ``samples`` from ring index ``start`` (default: from now on) for an ASR provider."""
        return Uplink(self.ring, self.ring.written if start is None else start, samples)

    def close(self) -> None:
        """Gives the row back. No callback comes any more; ``hear`` must not be called again. Twice is harmless."""
        if self.listener is not None:
            self.listener = None
            self._bank.close(self._row)


class Uplink:
    """Reads a ring in equal blocks."""

    __slots__ = ("_ring", "_samples", "lost", "position")

    def __init__(self, ring: Ring, position: int, samples: int) -> None:
        """Raises ValueError for a block that the ring could not hold."""
        if not 0 < samples <= ring.capacity:
            raise ValueError(f"expected a block of 1..{ring.capacity} samples, got {samples}")
        self._ring = ring
        self._samples = samples
        self.position = position
        """Ring index of the next sample to be read."""
        self.lost = 0
        """Samples that the ring dropped before they were read."""

    def take(self) -> bytes | None:
        """The next whole block, or None if it is not there yet. What was overwritten is skipped and counted."""
        ring, position, samples = self._ring, self.position, self._samples
        if ring.written - position < samples:
            return None
        try:
            block = ring.read(position, samples)
        except OverwrittenError:
            self._skip_lost()
            return self.take()
        self.position = position + samples
        return block

    def rest(self) -> bytes:
        """All that came since the last block and is less than one: for the end of an utterance or of the call."""
        self._skip_lost()
        rest = self._ring.read(self.position, min(self._samples, max(0, self._ring.written - self.position)))
        self.position += len(rest) // 2
        return rest

    def _skip_lost(self) -> None:
        oldest = self._ring.oldest
        if self.position < oldest:
            self.lost += oldest - self.position
            self.position = oldest
