"""A media process in one test: the real server, exchange, pacer and recorder on a free port, twins for the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import fakeredis
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection

from media.bell import Bell
from media.control import Control
from media.driver import Cast, SessionOptions, SessionPort
from media.ears.hearing import Hearing
from media.exchange import Exchange, Plant
from media.legs.door import PhoneDoor
from media.owner import Owners
from media.pacer import Pacer
from media.protocol.events import AnyEvent
from media.protocol.options import SynthesisOption, TranscriptionOption
from media.recorder import Recorder
from media.registry import Registry, headroom
from media.server import MediaServer, Pages
from media.session.equipment import Equipment
from media.session.session import Session
from shared import bus, recordings
from shared.clock import SystemClock
from shared.errors import BriefingMissing
from shared.phone.wire import AudioFrame, encode
from tests.media.twins import ClipsTwin, DriverTwin, NoModel, RecognizersTwin, SpeechTwin, SynthesizerTwin

PATIENCE = 20.0
"""Seconds after which a test has failed; never what it waits for."""
ZONE = ZoneInfo("Asia/Shanghai")
CREATED_AT = 1_767_153_838_953


def uuid_of(number: int) -> str:
    """A call's uuid."""
    return f"2512311203{number:09d}"


def call_id_of(number: int) -> str:
    """The phone system's id of the same call."""
    return f"call-{number}"


def briefing_of(number: int, *, stop_asked: bool = False) -> bus.Briefing:
    """What a worker would have written."""
    return bus.Briefing(
        uuid=uuid_of(number),
        call_id=call_id_of(number),
        batch_id=number,
        created_at=CREATED_AT,
        caller="057128167421",
        number="15100000000",
        ticket_no=f"T{number}",
        username="张三",
        ticket_type="回访",
        ticket_content="",
        stop_asked=stop_asked,
    )


class BriefingsTwin:
    """Knows the calls it was told of; others are missing at once."""

    def __init__(self) -> None:
        self.known: dict[str, bus.Briefing] = {}
        self.asked: list[str] = []
        self.gate: asyncio.Event | None = None
        """If set, answers wait for it."""

    async def find(self, call_id: str) -> bus.Briefing:
        self.asked.append(call_id)
        if self.gate is not None:
            await self.gate.wait()
        if call_id not in self.known:
            raise BriefingMissing("the twin does not know it")
        return self.known[call_id]

    async def read(self, identity: str) -> bus.Briefing | None:
        return next((each for each in self.known.values() if identity in (each.uuid, each.call_id)), None)


class PhoneTwin:
    """The phone system's dialog API: notes each action, and does with it what a test says."""

    def __init__(self) -> None:
        self.actions: list[tuple[str, str]] = []
        self.raising: dict[str, list[Exception]] = {}
        """Action -> what its next calls raise."""
        self.gates: dict[str, asyncio.Event] = {}
        """Action -> what it waits for."""
        self.changed = asyncio.Condition()

    async def start_stream(self, call_id: str) -> None:
        await self._note("start_stream", call_id)

    async def stream_playback(self, call_id: str) -> None:
        await self._note("stream_playback", call_id)

    async def clean_stream(self, call_id: str) -> None:
        await self._note("clean_stream", call_id)

    async def stop_stream(self, call_id: str) -> None:
        await self._note("stop_stream", call_id)

    async def file_playback(self, call_id: str, name: str) -> None:
        await self._note(f"file_playback {name}", call_id)

    async def hangup(self, call_id: str) -> None:
        await self._note("hangup", call_id)

    def of(self, call_id: str) -> list[str]:
        """The actions on one call."""
        return [action for action, which in self.actions if which == call_id]

    async def _note(self, action: str, call_id: str) -> None:
        async with self.changed:
            self.actions.append((action, call_id))
            self.changed.notify_all()
        if gate := self.gates.get(action):
            await gate.wait()
        if waiting := self.raising.get(action):
            raise waiting.pop(0)


class RingsTwin:
    """A doorbell that keeps what was rung."""

    def __init__(self) -> None:
        self.rung: list[tuple[str, tuple[Any, ...]]] = []

    def ring(self, name: str, *args: Any) -> bool:
        self.rung.append((name, args))
        return True

    def close(self) -> None:
        """Nothing is held."""


class Office:
    """The process, and handles on all that a test wants to see."""

    def __init__(self, root: Path, capacity: int, secret: str, redis_server: fakeredis.FakeServer) -> None:
        self.root = root
        self.loop = asyncio.get_running_loop()
        self.clock = SystemClock()
        self.briefings = BriefingsTwin()
        self.phone = PhoneTwin()
        self.rings = RingsTwin()
        self.drivers: dict[str, DriverTwin] = {}
        self.react: Callable[[SessionPort, AnyEvent], None] | None = None
        self.bell = Bell(self.rings)
        self.recorder = Recorder(self.loop, root, lambda recording, error: None)
        self.registry = Registry(capacity)
        self.redis = fakeredis.FakeAsyncRedis(server=redis_server, max_connections=4 * capacity + 100)
        self.control = Control(self.redis, self.briefings, "twin", lambda uuid, hint: self.exchange.hint(uuid, hint))
        self.owners = Owners(self.redis, "twin")
        self.recognizers = RecognizersTwin()
        self.synthesizer = SynthesizerTwin(self.loop.call_soon)
        self.pacer = Pacer(self.loop, lambda sink, error: self.exchange.failed(sink, error))
        self.exchange = Exchange(self._plant(capacity))
        self.door = PhoneDoor(self.exchange, self.clock.monotonic)
        self.welcomed = 0
        """Audio sockets that reached it."""
        pages = Pages(health=lambda: {"status": "ok"}, ready=lambda: (True, {}), metrics=lambda: "x 1\n")
        self.server = MediaServer(self.door, pages, secret)
        self.door.handle = self._welcome  # type: ignore[method-assign]

    def _plant(self, capacity: int) -> Plant:
        return Plant(
            equipment=Equipment(
                clock=self.clock,
                soon=self.loop.call_soon,
                hearing=Hearing(self.loop, capacity + headroom(capacity), NoModel),  # type: ignore[arg-type]
                speech=SpeechTwin(self.recognizers, self.synthesizer),
                clips=ClipsTwin(self.loop.call_soon),
            ),
            pacer=self.pacer,
            recorder=self.recorder,
            registry=self.registry,
            briefings=self.briefings,
            control=self.control,
            owners=self.owners,
            bell=self.bell,
            phone=self.phone,
            casting=Cast(make=self._drive),
            defaults=SessionOptions(asr=TranscriptionOption(), tts=SynthesisOption(), barge_in=True),
            stem=lambda briefing: recordings.stem(briefing.uuid, briefing.created_at, ZONE),
        )

    async def _welcome(self, socket: ServerConnection) -> None:
        self.welcomed += 1
        await PhoneDoor.handle(self.door, socket)

    def _drive(self, port: SessionPort) -> DriverTwin:
        self.drivers[port.id] = DriverTwin(port, self.react)
        return self.drivers[port.id]

    def know(self, *numbers: int) -> None:
        """Briefings for these calls."""
        for number in numbers:
            self.briefings.known[call_id_of(number)] = briefing_of(number)

    def dial(self, query: str = "", headers: dict[str, str] | None = None) -> websockets.connect:
        """A phone system's connection to the audio socket."""
        return websockets.connect(
            f"ws://127.0.0.1:{self.server.port}/phone{query}",
            compression=None,
            proxy=None,
            additional_headers=headers,
            max_queue=None,
        )

    def session(self, number: int) -> Session:
        """A call that lives."""
        return self.exchange.sessions[uuid_of(number)]

    def lines(self, number: int, part: int = 1) -> list[recordings.Line]:
        """A call's transcript on the disk."""
        stem = recordings.stem(uuid_of(number), CREATED_AT, ZONE)
        return list(recordings.read_lines(recordings.part(self.root, stem, part, "jsonl")))

    def rung(self, name: str) -> list[tuple[Any, ...]]:
        """What was rung under one name."""
        return [args for rung, args in self.rings.rung if rung == name]

    async def until(self, condition: Callable[[], object]) -> None:
        """Waits until something is so. Fails after PATIENCE."""
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - conditions of many kinds, none of which has an event
                await asyncio.sleep(0.005)


@asynccontextmanager
async def office(
    root: Path,
    *,
    capacity: int = 16,
    secret: str = "",
    redis_server: fakeredis.FakeServer | None = None,
    port: int = 0,
) -> AsyncIterator[Office]:
    """A running one, on ``port`` if it is to share one; everything is ended afterwards."""
    here = Office(root, capacity, secret, redis_server or fakeredis.FakeServer())
    here.bell.start()
    here.recorder.start()
    await here.server.start("127.0.0.1", port)
    duties = [asyncio.ensure_future(here.control.run()), asyncio.ensure_future(here.owners.run())]
    try:
        yield here
    finally:
        here.exchange.end_all("test_over")
        await asyncio.sleep(0)
        await here.exchange.closed()
        for duty in duties:
            duty.cancel()
        await asyncio.gather(*duties, return_exceptions=True)
        here.pacer.stop()
        await here.server.stop()
        await here.recorder.stop()
        await asyncio.to_thread(here.bell.stop)
        await here.redis.aclose()


def frame(number: int, pcm: bytes = bytes(320)) -> str:
    """One audio message of the phone system."""
    return encode(AudioFrame(type="audio", call_id=call_id_of(number), data=pcm)).decode()


async def answer(here: Office, socket: ClientConnection, number: int) -> Session:
    """The customer has answered: sends the first frame, waits for the session and its stream."""
    await socket.send(frame(number))
    await here.until(lambda: uuid_of(number) in here.exchange.sessions and here.session(number).leg.ready)
    return here.session(number)
