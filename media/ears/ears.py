"""What one call hears."""

from __future__ import annotations

from typing import Protocol

from media.audio.ring import Ring


class Listener(Protocol):
    """Who is told, on the event loop. Samples are indexes into the call's ring; ``Ears.timeline`` converts them."""

    def speech_started(self, sample: int) -> None:
        """The customer began to speak at ``sample`` (already 128 ms ago: the onset is only then certain)."""

    def speech_ended(self, sample: int) -> None:
        """The customer fell silent at ``sample`` (about 200 ms ago)."""

    def dtmf(self, digit: str, sample: int) -> None:
        """A key was pressed: one of 0-9 * # A-D."""


class Ears:
    """One call's ring and its row in the shared VAD. All methods are for the event loop."""

    ring: Ring

    def hear(self, pcm: bytes | bytearray | memoryview, now: float) -> int:
        """Takes caller audio (s16le mono, 8 kHz, any even length up to 2 s).

        Returns where its first sample belongs on the call's timeline (samples since the ``now`` of ``Hearing.open``):
        what the recorder wants. Raises OddLengthError or FrameTooLongError; nothing was taken then.
        """
        raise NotImplementedError

    def check(self, now: float) -> int:
        """After 1 s without audio, writes the missing time as silence, so that speech ends and ASR goes on.

        Call it every 100 to 1000 ms. Returns the samples of silence written, 0 if audio flows.
        """
        raise NotImplementedError

    @property
    def speaking(self) -> bool:
        """Whether the customer speaks, as last reported to the listener."""
        raise NotImplementedError

    def timeline(self, sample: int) -> int:
        """The sample of the call's timeline for a ring index."""
        raise NotImplementedError

    def uplink(self, start: int | None = None, samples: int = 800) -> Uplink:
        """A reader in blocks of ``samples`` (100 ms) from ring index ``start`` (default: now) for an ASR provider."""
        raise NotImplementedError

    def close(self) -> None:
        """Gives the row back. No callback comes any more; ``hear`` must not be called again."""
        raise NotImplementedError


class Uplink:
    """Reads a ring in equal blocks."""

    position: int
    lost: int

    def take(self) -> bytes | None:
        """The next whole block, or None if it is not there yet. What was overwritten is skipped and counted in ``lost``."""
        raise NotImplementedError

    def rest(self) -> bytes:
        """All that was written since the last block, less than one block; for the end of an utterance or a call."""
        raise NotImplementedError
