"""The two interfaces to speech providers, and what crosses them.

Everything here is for the event loop. Callbacks come on the loop too, never from inside the call that caused them, and
never after ``cancel`` or ``close``. Audio is s16le mono at the rate that the options name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.errors import WaihuError


class SpeechFailure(WaihuError):
    """A provider did not do what was asked. ``code``: one of ours (below) or the provider's own.

    Ours: ``provider`` (no such provider here), ``connect``, ``denied``, ``first_result``, ``first_audio``,
    ``chunk_gap``, ``closed``, ``protocol``, ``overflow``. ``retryable``: whether the same request may work if sent again.
    """

    def __init__(self, provider: str, code: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(f"{provider}: {message} ({code})")
        self.provider = provider
        self.code = code
        self.message = message
        self.retryable = retryable


@dataclass(frozen=True, slots=True)
class Recognition:
    """What was understood of one sentence so far; a later one of the same ``index`` replaces it, ``final`` ends it."""

    index: int
    """Counts sentences of the call from 0, across reconnects."""
    text: str
    start_ms: int
    end_ms: int
    """Milliseconds of the call's audio timeline (see RecognitionOptions.origin_ms)."""
    final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionOptions:
    """Active Call's TranscriptionOption, resolved: empty means the configured default."""

    provider: str = ""
    language: str = ""
    model: str = ""
    samplerate: int = 8000
    endpoint: str = ""
    key: str = field(default="", repr=False)
    origin_ms: int = 0
    """Where the first pushed sample lies on the call's timeline; audio is then pushed without holes."""
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisOptions:
    """Active Call's SynthesisOption, resolved: empty means the configured default."""

    provider: str = ""
    model: str = ""
    speaker: str = ""
    volume: int = 5
    """1 to 10, as documented there."""
    speed: float = 1.0
    emotion: str = ""
    language: str = ""
    samplerate: int = 8000
    subtitle: bool = False
    """Whether word times are wanted (``on_words``), where the provider has them."""
    endpoint: str = ""
    key: str = field(default="", repr=False)
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """Where a piece of the text sounds: characters of all text sent so far, milliseconds from the first audio."""

    text_start: int
    text_end: int
    start_ms: int
    end_ms: int


class Recognizer(Protocol):
    """One call's recognition. Connects in the background; audio waits in a bounded buffer meanwhile."""

    def push(self, pcm: bytes | bytearray | memoryview) -> None:
        """Audio, in blocks of 100 ms. Never blocks, never raises; when the buffer is full its oldest part is dropped."""

    def expect_result(self) -> None:
        """The caller has just fallen silent after real speech (VAD): if no result comes in time, the stream hangs."""

    def finish(self) -> None:
        """No more audio: what is outstanding becomes final, then the connection closes by itself."""

    async def finished(self) -> None:
        """After ``finish``: returns when nothing more will come, whatever the reason. May take as long as the provider."""

    async def close(self) -> None:
        """Ends it now. Bounded; no callback comes any more."""


class Recognizers(Protocol):
    """Opens recognitions of whichever provider the options name."""

    def open(
        self,
        options: RecognitionOptions,
        on_recognition: Callable[[Recognition], None],
        on_failure: Callable[[SpeechFailure], None],
    ) -> Recognizer:
        """Raises SpeechFailure (``provider``) if the provider is not available here.

        ``on_failure`` comes at most once, when reconnecting did not help: nothing more is recognised then.
        """


class SynthesisListener(Protocol):
    """Who is told. ``on_done`` or ``on_failure`` comes once, last, unless the stream was cancelled."""

    def on_audio(self, pcm: bytes) -> None:
        """The next piece of audio: whole samples, any length."""

    def on_words(self, words: Sequence[SpokenWord]) -> None:
        """The provider's own word times; only if asked for and known, possibly after the audio."""

    def on_done(self) -> None:
        """All text was spoken; no audio follows."""

    def on_failure(self, failure: SpeechFailure) -> None:
        """What came so far is all that comes."""


class SynthesisStream(Protocol):
    """One utterance: text in, audio out to the listener."""

    def send(self, text: str) -> None:
        """More text, spoken in order. Ignored after ``finish``, ``cancel`` or a failure."""

    def finish(self) -> None:
        """No more text. Only from then on is the end of the audio watched for, and the whole cached."""

    def cancel(self) -> None:
        """Nothing more is wanted."""


class Synthesizer(Protocol):
    """Opens utterances of whichever provider the options name; short complete ones come from the cache."""

    def open(self, options: SynthesisOptions, listener: SynthesisListener) -> SynthesisStream:
        """Raises SpeechFailure (``provider``) if the provider is not available here.

        For one text in one piece: ``stream.send(text); stream.finish()``, which is also what the cache looks up.
        """

    def prepare(self, options: SynthesisOptions) -> None:
        """A call begins: opens in the background what the next utterance will need."""

    async def close(self) -> None:
        """Cancels every utterance and drops every connection."""
