"""In-memory twins of a session's ports, and a scene that puts one session among them on a clock of its own.

Each twin implements the whole of its port, and says what it heard in public attributes. Time moves only by
``Scene.run``, in steps of 20 ms, each of which ticks the session as the pacer does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from media.driver import SessionOptions, SessionPort
from media.ears.hearing import Hearing
from media.protocol import events
from media.protocol.options import SynthesisOption, TranscriptionOption
from media.recorder import Closed
from media.session.equipment import Equipment
from media.session.session import Session
from media.session.utterance import Source
from media.speech.ports import (
    Recognition,
    RecognitionOptions,
    Recognizer,
    SpeechFailure,
    SynthesisListener,
    SynthesisOptions,
    SynthesisStream,
)
from shared import recordings
from shared.clock import FakeClock

RATE = 8000
CHARACTER_MS = 200
"""How long the twin voice takes for one character: five a second, as people speak Chinese."""
TICK = 0.02
T = TypeVar("T")
_UNUSED_LOOP = asyncio.new_event_loop()
_UNUSED_LOOP.close()


class LegTwin:
    """A leg that keeps what it was sent."""

    def __init__(self) -> None:
        self.ready = True
        self.delay_ms = 0
        self.sent: list[bytes] = []
        self.clears = 0
        self.files: list[str] = []
        self.file_ends = 0
        self.has_files = True
        self.hangups = 0
        self.closed = False

    def send(self, frames: Sequence[memoryview]) -> None:
        self.sent.extend(bytes(frame) for frame in frames)

    def clear(self) -> None:
        self.clears += 1

    def play_file(self, name: str) -> bool:
        if self.has_files:
            self.files.append(name)
        return self.has_files

    def end_file(self) -> None:
        self.file_ends += 1

    def hangup(self) -> None:
        self.hangups += 1

    async def close(self) -> None:
        self.closed = True


class RecordingTwin:
    """A recording in memory."""

    def __init__(self, part: int = 1) -> None:
        self.part = part
        self.heard: list[tuple[int, bytes]] = []
        self.said: list[tuple[int, bytes]] = []
        self.erased: list[tuple[int, int]] = []
        self.raw_lines: list[bytes] = []
        self.closed = False

    def customer(self, start: int, pcm: bytes | bytearray | memoryview) -> None:
        self.heard.append((start, bytes(pcm)))

    def ours(self, start: int, frames: Sequence[memoryview]) -> None:
        self.said.append((start, b"".join(bytes(frame) for frame in frames)))

    def erase_ours(self, start: int, end: int) -> None:
        self.erased.append((start, end))

    def line(self, encoded: bytes, *, hurry: bool = True) -> None:
        self.raw_lines.append(encoded)

    async def close(self) -> Closed:
        self.closed = True
        samples = max((start + len(pcm) // 2 for start, pcm in self.heard + self.said), default=0)
        return Closed(self.part, None, Path("twin.jsonl"), samples, 0, 0)

    @property
    def lines(self) -> list[recordings.Line]:
        """The transcript so far."""
        return [msgspec.json.decode(raw, type=recordings.Line) for raw in self.raw_lines]

    @property
    def turns(self) -> list[tuple[str, str, bool]]:
        """Role, content and ``cut`` of each turn that is over."""
        ended = [line for line in self.lines if isinstance(line, recordings.Turn) and not line.so_far]
        return [(turn.role, turn.content, turn.cut) for turn in ended]

    @property
    def survivors(self) -> list[tuple[str, str]]:
        """Role and content of what a reader finds if the session dies now."""
        return [(turn.role, turn.content) for turn in recordings.turns(self.lines)]


class RecognizerTwin:
    """One recognition: keeps what it was pushed; ``says`` is what it understood of it."""

    def __init__(
        self,
        options: RecognitionOptions,
        on_recognition: Callable[[Recognition], None],
        on_failure: Callable[[SpeechFailure], None],
    ) -> None:
        self.options = options
        self.pushed = bytearray()
        self.blocks: list[int] = []
        self.expected = 0
        self.finishing = False
        self.last_words: list[str] = []
        """What it says when it is finished, each a sentence."""
        self.closed = False
        self._on_recognition = on_recognition
        self._on_failure = on_failure
        self._index = 0

    def push(self, pcm: bytes | bytearray | memoryview) -> None:
        self.pushed += pcm
        self.blocks.append(len(pcm))

    def expect_result(self) -> None:
        self.expected += 1

    def finish(self) -> None:
        self.finishing = True

    async def finished(self) -> None:
        for text in self.last_words:
            self.says(text, final=True)

    async def close(self) -> None:
        self.closed = True

    def says(self, text: str, *, final: bool = False, start_ms: int = 0, end_ms: int = 0) -> None:
        """A result for the sentence that is open; a final one ends it."""
        self._on_recognition(Recognition(self._index, text, start_ms, end_ms, final))
        self._index += final

    def fails(self, code: str = "closed") -> None:
        """The provider gave up."""
        self._on_failure(SpeechFailure("twin", code, "the twin was told to fail", retryable=True))


class RecognizersTwin:
    """Opens recognitions; ``refusing`` makes ``open`` raise."""

    def __init__(self) -> None:
        self.opened: list[RecognizerTwin] = []
        self.last_words: list[str] = []
        """What those say that are opened from now on, when they are finished."""
        self.refusing: SpeechFailure | None = None

    def open(
        self,
        options: RecognitionOptions,
        on_recognition: Callable[[Recognition], None],
        on_failure: Callable[[SpeechFailure], None],
    ) -> Recognizer:
        if self.refusing is not None:
            raise self.refusing
        self.opened.append(RecognizerTwin(options, on_recognition, on_failure))
        self.opened[-1].last_words = list(self.last_words)
        return self.opened[-1]


class StreamTwin:
    """One utterance of the twin voice: every character is CHARACTER_MS of constant samples, its number in the text."""

    def __init__(self, synthesizer: SynthesizerTwin, options: SynthesisOptions, listener: SynthesisListener) -> None:
        self.options = options
        self.listener = listener
        self.text = ""
        self.spoken = 0
        self.finished = False
        self.cancelled = False
        self._synthesizer = synthesizer

    def send(self, text: str) -> None:
        self.text += text
        self._synthesizer.changed(self)

    def finish(self) -> None:
        self.finished = True
        self._synthesizer.changed(self)

    def cancel(self) -> None:
        self.cancelled = True

    def speak(self, characters: int | None = None) -> None:
        """Hands over the audio of so many more characters (default: all there are)."""
        count = len(self.text) - self.spoken if characters is None else characters
        for at in range(self.spoken, self.spoken + count):
            self.listener.on_audio((at + 1).to_bytes(2, "little") * (RATE * CHARACTER_MS // 1000))
        self.spoken += count

    def done(self) -> None:
        """All text was spoken."""
        self.listener.on_done()

    def fail(self, code: str = "closed") -> None:
        """The provider gave up."""
        self.listener.on_failure(SpeechFailure("twin", code, "the twin was told to fail"))


class SynthesizerTwin:
    """Speaks at once (``instant``), or only what a test hands over through ``streams``. Texts in ``cached`` always sound."""

    def __init__(self, soon: Callable[[Callable[[], None]], object]) -> None:
        self.instant = True
        self.cached: set[str] = set()
        self.streams: list[StreamTwin] = []
        self.refusing: SpeechFailure | None = None
        self._soon = soon

    def open(self, options: SynthesisOptions, listener: SynthesisListener) -> SynthesisStream:
        if self.refusing is not None:
            raise self.refusing
        self.streams.append(StreamTwin(self, options, listener))
        return self.streams[-1]

    def prepare(self, options: SynthesisOptions) -> None:
        """Nothing needs to be opened."""

    async def close(self) -> None:
        """Nothing is held."""

    def changed(self, stream: StreamTwin) -> None:
        """A stream was sent text, or its end."""
        self._soon(lambda: self._go_on(stream))

    def _go_on(self, stream: StreamTwin) -> None:
        if stream.cancelled or not (self.instant or stream.text in self.cached):
            return
        if stream.spoken < len(stream.text):
            stream.speak()
        if stream.finished:
            stream.done()

    @property
    def texts(self) -> list[str]:
        """What was asked for, in order."""
        return [stream.text for stream in self.streams]


@dataclass
class SpeechTwin:
    """The configured providers: twins."""

    recognizers: RecognizersTwin
    synthesizer: SynthesizerTwin
    recognition: RecognitionOptions = RecognitionOptions(provider="twin")
    synthesis: SynthesisOptions = SynthesisOptions(provider="twin")


class ClipsTwin:
    """Clips by URL; an unknown one fails."""

    def __init__(self, soon: Callable[[Callable[[], None]], object]) -> None:
        self.clips: dict[str, bytes] = {}
        self._soon = soon

    def open(self, url: str, listener: SynthesisListener) -> Source:
        self._soon(lambda: self._hand_over(url, listener))
        return _ClipSource()

    def _hand_over(self, url: str, listener: SynthesisListener) -> None:
        if url not in self.clips:
            listener.on_failure(SpeechFailure("clip", "fetch", "404"))
            return
        listener.on_audio(self.clips[url])
        listener.on_done()


class _ClipSource:
    def send(self, text: str) -> None:
        """A clip has no text."""

    def finish(self) -> None:
        """A clip has no text."""

    def cancel(self) -> None:
        """It is handed over or it is not."""


class NoModel:
    """Stands where the speech model is, in a Hearing whose thread is never started."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity


class DriverTwin:
    """Keeps every event; ``react`` is called with each."""

    def __init__(self, port: SessionPort, react: Callable[[SessionPort, events.AnyEvent], None] | None = None) -> None:
        self.port = port
        self.events: list[events.AnyEvent] = []
        self._react = react

    def on_event(self, event: events.AnyEvent) -> None:
        self.events.append(event)
        if self._react is not None:
            self._react(self.port, event)


@dataclass
class Scene:
    """One session among twins."""

    options: SessionOptions = field(
        default_factory=lambda: SessionOptions(asr=TranscriptionOption(), tts=SynthesisOption(), barge_in=True)
    )
    react: Callable[[SessionPort, events.AnyEvent], None] | None = None
    began: bool = True

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.queue: deque[Callable[[], None]] = deque()
        self.leg = LegTwin()
        self.recording = RecordingTwin()
        self.recognizers = RecognizersTwin()
        self.synthesizer = SynthesizerTwin(self.queue.append)
        self.clips = ClipsTwin(self.queue.append)
        self.hearing = Hearing(_UNUSED_LOOP, 4, NoModel, self.clock.monotonic)  # type: ignore[arg-type]
        speech = SpeechTwin(self.recognizers, self.synthesizer)
        self.ended: list[Session] = []
        self.session = Session(
            "s1",
            equipment=Equipment(
                clock=self.clock, soon=self.queue.append, hearing=self.hearing, speech=speech, clips=self.clips
            ),
            leg=self.leg,
            recording=self.recording,
            options=self.options,
            began=(self.clock.monotonic(), self.clock.now_ms()),
            on_end=self.ended.append,
        )
        self.driver = DriverTwin(self.session, self.react)
        if self.began:
            self.session.start(self.driver, "call-1")
            self.drain()

    def drain(self) -> None:
        """Runs what was put off, as a loop would."""
        while self.queue:
            self.queue.popleft()()

    def run(self, seconds: float, *, audio: bool = True) -> None:
        """Lets time pass; with ``audio`` the caller's line is open and silent."""
        for _ in range(round(seconds / TICK)):
            self.clock.advance(TICK)
            if audio and not self.session.over:
                self.session.audio(bytes(320), self.clock.monotonic())
            self.session.frames_due(self.clock.monotonic())
            self.drain()

    def speech_starts(self) -> None:
        """The voice detector is certain: speech began 128 ms ago."""
        self.session.listening.speech_started(self.session.listening.ears.ring.written - 1024)
        self.drain()

    def speech_ends(self) -> None:
        """The voice detector is certain: speech ended 200 ms ago."""
        self.session.listening.speech_ended(self.session.listening.ears.ring.written - 1600)
        self.drain()

    def understood(self, text: str, *, final: bool = False) -> None:
        """The recogniser's result."""
        self.recognizers.opened[-1].says(text, final=final)
        self.drain()

    def of(self, kind: type[T]) -> list[T]:
        """The events of one kind so far."""
        return [event for event in self.driver.events if isinstance(event, kind)]

    @property
    def names(self) -> list[str]:
        """The names of the events so far, without metrics."""
        tags = (event.__struct_config__.tag for event in self.driver.events if not isinstance(event, events.Metrics))
        return [str(tag) for tag in tags]

    def forget(self) -> None:
        """Looks only at the events from here on."""
        self.driver.events.clear()


def loud(frames: Iterable[bytes]) -> list[int]:
    """The twin voice's character number that each frame speaks; 0 for silence."""
    return [int.from_bytes(frame[:2], "little") for frame in frames]


def with_options(**changes: Any) -> SessionOptions:
    """The scene's default options, but for ``changes``."""
    base = SessionOptions(asr=TranscriptionOption(), tts=SynthesisOption(), barge_in=True)
    return replace(base, **changes)
