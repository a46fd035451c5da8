"""The media process's own parts with stand-ins at its ports: providers, phone system and briefings that answer at once."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from media.bell import Bell
from media.control import Control
from media.driver import Cast, SessionOptions, SessionPort
from media.ears.hearing import Hearing
from media.exchange import Exchange, Plant
from media.legs.door import PhoneDoor
from media.owner import Owners
from media.pacer import Pacer
from media.protocol import events
from media.protocol.options import SynthesisOption, TranscriptionOption
from media.recorder import Recorder
from media.registry import Registry, headroom
from media.server import MediaServer, Pages
from media.session.clips import HttpClips
from media.session.equipment import Equipment
from media.speech.ports import (
    Recognition,
    RecognitionOptions,
    Recognizer,
    Recognizers,
    SpeechFailure,
    SynthesisListener,
    SynthesisOptions,
    SynthesisStream,
)
from shared import bus, recordings
from shared.clock import SystemClock

SECONDS = 110
"""Of audio that each call is given to play: longer than a round."""


class Deaf:
    """A recogniser that takes audio and understands nothing."""

    def push(self, pcm: bytes | bytearray | memoryview) -> None:
        """Takes it."""

    def expect_result(self) -> None:
        """None comes."""

    def finish(self) -> None:
        """Nothing is outstanding."""

    async def finished(self) -> None:
        """Nothing will come."""

    async def close(self) -> None:
        """Nothing is open."""


class Tape:
    """A voice that has the same audio for every text, at once and without copying it."""

    def __init__(self) -> None:
        self._pcm = (np.sin(np.arange(SECONDS * 8000) * 0.2) * 6000).astype("<i2").tobytes()

    def open(self, options: SynthesisOptions, listener: SynthesisListener) -> SynthesisStream:
        return _TapeStream(self._pcm, listener)

    def prepare(self, options: SynthesisOptions) -> None:
        """It is."""

    async def close(self) -> None:
        """Nothing is open."""


class _TapeStream:
    def __init__(self, pcm: bytes, listener: SynthesisListener) -> None:
        self._pcm = pcm
        self._listener = listener

    def send(self, text: str) -> None:
        """Any text will do."""

    def finish(self) -> None:
        asyncio.get_running_loop().call_soon(self._play)

    def cancel(self) -> None:
        """It is played to the end."""

    def _play(self) -> None:
        self._listener.on_audio(self._pcm)
        self._listener.on_done()


class _Recognizers:
    def open(
        self,
        options: RecognitionOptions,
        on_recognition: Callable[[Recognition], None],
        on_failure: Callable[[SpeechFailure], None],
    ) -> Recognizer:
        return Deaf()


@dataclass
class InstantSpeech:
    """Speech providers that answer at once."""

    recognizers: Recognizers
    synthesizer: Tape
    recognition: RecognitionOptions
    synthesis: SynthesisOptions


class InstantPhone:
    """Every action succeeds."""

    async def start_stream(self, call_id: str) -> None: ...
    async def stream_playback(self, call_id: str) -> None: ...
    async def clean_stream(self, call_id: str) -> None: ...
    async def stop_stream(self, call_id: str) -> None: ...
    async def file_playback(self, call_id: str, name: str) -> None: ...
    async def hangup(self, call_id: str) -> None: ...


class KnownCalls:
    """Briefings for call-0, call-1, …"""

    async def find(self, call_id: str) -> bus.Briefing:
        number = int(call_id.rpartition("-")[2])
        return bus.Briefing(
            uuid=f"2601010000{number:09d}",
            call_id=call_id,
            batch_id=number,
            created_at=1_767_153_838_953,
            caller="",
            number="",
            ticket_no="",
            username="",
            ticket_type="",
            ticket_content="",
        )

    async def read(self, identity: str) -> bus.Briefing | None:
        return None


class SilentBell:
    """Nobody is rung for."""

    def ring(self, name: str, *args: Any) -> bool:
        return True

    def close(self) -> None:
        """Nothing is open."""


class Talker:
    """A driver that talks without end."""

    def __init__(self, port: SessionPort) -> None:
        self._port = port

    def on_event(self, event: events.AnyEvent) -> None:
        if isinstance(event, events.Answer):
            self._port.say("一直说话", play_id="tape")


_duties: list[asyncio.Task[None]] = []
"""The loop itself holds tasks weakly."""


def open_exchange(
    root: Path, capacity: int, cast: Cast, options: SessionOptions, speech: Any, redis_url: str
) -> tuple[Exchange, MediaServer, Pacer]:
    """The media process's own parts, with the stand-ins above at its ports; started."""
    loop = asyncio.get_running_loop()
    clock = SystemClock()
    client = bus.open_async_redis(redis_url)
    registry = Registry(capacity)
    recorder = Recorder(loop, root, lambda recording, error: None)
    recorder.start()
    hearing = Hearing(loop, capacity + headroom(capacity))
    hearing.start()
    bell = Bell(SilentBell())
    bell.start()
    briefings = KnownCalls()
    pacer = Pacer(loop, lambda sink, error: exchange.failed(sink, error))
    clips = HttpClips()
    control = Control(client, briefings, "bench", lambda uuid, hint: None)
    owners = Owners(client, "bench")
    exchange = Exchange(
        Plant(
            equipment=Equipment(clock=clock, soon=loop.call_soon, hearing=hearing, speech=speech, clips=clips),
            pacer=pacer,
            recorder=recorder,
            registry=registry,
            briefings=briefings,
            control=control,
            owners=owners,
            bell=bell,
            phone=InstantPhone(),
            casting=cast,
            defaults=options,
            stem=lambda briefing: f"{recordings.ROOT}/2026/01/01/00/{briefing.uuid}",
        )
    )
    door = PhoneDoor(exchange, clock.monotonic)
    pages = Pages(health=dict, ready=lambda: (True, {}), metrics=str)
    _duties.extend([loop.create_task(control.run()), loop.create_task(owners.run())])
    return exchange, MediaServer(door, pages, ""), pacer


async def serve_waihu(port: int, capacity: int, root: Path, redis_url: str) -> None:
    """For ever."""
    speech = InstantSpeech(_Recognizers(), Tape(), RecognitionOptions(), SynthesisOptions())
    options = SessionOptions(asr=TranscriptionOption(), tts=SynthesisOption(), barge_in=False)
    _, server, _ = open_exchange(root, capacity, Cast(make=Talker), options, speech, redis_url)
    await server.start("127.0.0.1", port)
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    await asyncio.Event().wait()
