"""What audio that cannot be used is answered with."""

from __future__ import annotations

from shared.errors import WaihuError


class AudioError(WaihuError, ValueError):
    """Root of the errors of audio data. The call goes on without the piece that raised it."""

    code = "audio"


class OddLengthError(AudioError):
    """16-bit audio whose length in bytes is odd: half a sample is missing, so nothing after it could be trusted."""

    code = "audio.odd_length"


class FrameTooLongError(AudioError):
    """One piece of audio is longer than a live call can have produced at once."""

    code = "audio.too_long"


class OverwrittenError(AudioError):
    """Audio was asked for that the ring has dropped, or not been given yet."""

    code = "audio.overwritten"


class WavError(AudioError):
    """Bytes that are no WAV file of 16-bit PCM."""

    code = "audio.wav"
