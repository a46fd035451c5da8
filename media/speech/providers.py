"""Which providers there are, and the one object through which a process speaks and understands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from media.speech.ports import RecognitionOptions, Recognizers, SynthesisOptions, Synthesizer
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Speech:
    """What the settings configure. One a process; made on the event loop that uses it."""

    recognizers: Recognizers
    synthesizer: Synthesizer
    recognition: RecognitionOptions
    synthesis: SynthesisOptions
    """The configured defaults: a session takes ``dataclasses.replace`` of them with what its call asks for."""

    async def warm(self, texts: Iterable[str], options: SynthesisOptions) -> int:
        """Synthesises into the cache what is not in it yet. Returns how many failed; never raises SpeechFailure."""
        raise NotImplementedError

    async def close(self) -> None:
        """Drops every connection."""
        raise NotImplementedError


def open_speech(settings: Settings) -> Speech:
    """The providers that ``settings`` name; the stand-in's endpoints if none is named. Connects to nothing yet."""
    raise NotImplementedError
