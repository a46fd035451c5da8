"""A small scripted robot that speaks the documented protocol from the other side: events, audio socket, dialog API."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx2
import msgspec
import numpy as np
import numpy.typing as npt
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from sandbox.phone.faults import NONE, Faults
from sandbox.phone.settings import PhoneSettings
from sandbox.phone.system import PhoneConfig, PhoneSystem, serve_phone
from sandbox.scenario import Scenario, decode_scenario
from sandbox.voice.modem import Decoder
from sandbox.voice.speech import utterance
from shared.phone.wire import decode_audio

Pcm = npt.NDArray[np.int16]
T = TypeVar("T")

PATIENCE = 30.0
"""Seconds a test waits for what must come; on a busy machine everything comes late, nothing comes never."""

FRAME = 160

LEAD = 2.0
"""Seconds that the robot sends ahead, so that a stall of a busy machine makes no gap."""


@dataclass
class Side:
    """What the robot knows of one call's audio."""

    sockets: list[ServerConnection] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    words: str = ""
    decoder: Decoder = field(default_factory=lambda: Decoder(8000))


class Robot:
    """Receives everything, and waits for anything with `until`."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.event_headers: list[dict[str, str]] = []
        self.event_queries: list[str] = []
        self.event_answers: list[int] = []
        """Statuses to answer the next events with, before 200 again."""
        self.audio_headers: list[dict[str, str]] = []
        self.audio_paths: list[str] = []
        self.sides: dict[str, Side] = {}
        self.phone: PhoneSystem
        self.http: httpx2.AsyncClient
        self._changed = asyncio.Condition()
        self._mutations = 0

    # ---- what comes in

    async def take_event(self, body: bytes, headers: dict[str, str], query: str) -> int:
        status = self.event_answers.pop(0) if self.event_answers else 200
        self.event_headers.append(headers)
        self.event_queries.append(query)
        if status == 200:
            self.events.append(msgspec.json.decode(body))
        await self._tell()
        return status

    async def take_socket(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.audio_headers.append(dict(socket.request.headers))
        self.audio_paths.append(socket.request.path)
        try:
            async for message in socket:
                await self._take_frame(socket, message)
        except ConnectionClosed:
            pass
        await self._tell()

    async def _take_frame(self, socket: ServerConnection, message: str | bytes) -> None:
        assert isinstance(message, str), "the phone system sends text (section 4.2)"
        frame = decode_audio(message)
        side = self.sides.setdefault(frame.call_id, Side())
        if socket not in side.sockets:
            side.sockets.append(socket)
        side.frames.append(frame.data)
        side.words += "".join(heard.text for heard in side.decoder.feed(np.frombuffer(frame.data, "<i2")))
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def until(self, holds: Callable[[], T | None]) -> T:
        """Wait until `holds` gives something true, looking again at everything that comes in."""

        async def wait() -> T:
            async with self._changed:
                while not (found := holds()):
                    await self._changed.wait()
                return found

        return await asyncio.wait_for(wait(), PATIENCE)

    # ---- what goes out

    async def startcall(self, callee: str, **changes: Any) -> dict[str, Any]:
        """POST / with the document's fields; returns the answer's body."""
        self._mutations += 1
        body = {
            "action": "startcall",
            "caller": "057128167421",
            "callee": callee,
            "isRecord": True,
            "exten": "",
            "requestId": f"req-{callee}",
            "clientMutationId": f"m{self._mutations}",
        }
        return await self.post("/", {**body, **changes})

    async def post(self, path: str, body: Any) -> dict[str, Any]:
        answer = await self.http.post(self.phone.url + path, json=body)
        assert answer.status_code == 200
        document: dict[str, Any] = answer.json()
        return document

    async def act(self, call_id: str, action: str, parameters: str = "") -> dict[str, Any]:
        self._mutations += 1
        mark = f"m{self._mutations}"
        body = {"action": action, "parameters": parameters, "clientMutationId": mark}
        answer = await self.post(f"/{call_id}", body)
        assert answer["clientMutationId"] == mark
        return answer

    async def call(self, callee: str, **changes: Any) -> str:
        """Place a call that must be accepted; returns its id."""
        answer = await self.startcall(callee, **changes)
        assert answer["code"] == 0, answer
        return str(answer["msg"])

    async def answered(self, callee: str, *, stream: bool = True) -> str:
        """Place a call and wait for its first audio frame; then start the stream."""
        call_id = await self.call(callee)
        await self.until(lambda: self.sides.get(call_id))
        if stream:
            await self.act(call_id, "start_stream")
            await self.act(call_id, "stream_playback")
        return call_id

    async def send(self, call_id: str, pcm: Pcm | bytes) -> None:
        """Audio at once, as one message; nothing if the callee has hung up."""
        body = pcm if isinstance(pcm, bytes) else pcm.astype("<i2").tobytes()
        with contextlib.suppress(ConnectionClosed):
            await self.sides[call_id].sockets[-1].send(body)

    async def speak(self, call_id: str, text: str, while_: Callable[[], bool] = lambda: True) -> None:
        """Say it in real time, 20 ms frames LEAD ahead, for as long as `while_` holds."""
        pcm = utterance(text, 8000).pcm
        side = self.sides[call_id]
        loop = asyncio.get_running_loop()
        began = loop.time() - LEAD
        for place in range(0, len(pcm), FRAME):
            await asyncio.sleep(max(0.0, began + place / 8000 - loop.time()))
            if not while_():
                return
            await side.sockets[-1].send(pcm[place : place + FRAME].astype("<i2").tobytes())

    def names(self, call_id: str) -> list[str]:
        """The names of the call's events, in order of arrival."""
        return [event["event_name"] for event in self.events if event["call_id"] == call_id]

    async def ended(self, call_id: str) -> dict[str, Any]:
        """Wait for the cdr; returns the call's report."""
        await self.until(lambda: "cdr" in self.names(call_id))
        return await self.report(call_id)

    async def report(self, key: str) -> dict[str, Any]:
        answer = await self.http.get(f"{self.phone.report_url}/{key}")
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def sound(self, call_id: str) -> Pcm:
        """Everything heard from the callee so far."""
        return np.frombuffer(b"".join(self.sides[call_id].frames), "<i2")


async def poll(holds: Callable[[], object]) -> None:
    """Wait for what no event of this loop tells of: another thread's notes, a library's counters."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class _Events(RequestHandler):
    def initialize(self, robot: Robot) -> None:
        self.robot = robot

    async def post(self) -> None:
        status = await self.robot.take_event(self.request.body, dict(self.request.headers), self.request.query)
        self.set_status(status)
        self.finish('{"code":0,"msg":"ok"}')


def with_robot(
    scenario: Callable[[Robot], Coroutine[Any, Any, None]],
    *,
    people: dict[str, Any] | None = None,
    faults: Faults = NONE,
    settings: PhoneSettings | None = None,
    **config: Any,
) -> None:
    """Run a scenario with a phone system and a robot on free ports; everything is closed afterwards."""

    async def run() -> None:
        robot = Robot()
        http, url = _serve_events(robot)
        audio: Server = await serve(robot.take_socket, "127.0.0.1", 0, compression=None)
        described = decode_scenario(people)
        setting = Scenario(
            directory=described.directory, faults=faults, phone=settings or PhoneSettings(ring=0.1, ring_limit=0.5)
        )
        robot.phone = await serve_phone(
            PhoneConfig(
                callback_url=url,
                audio_url=f"ws://127.0.0.1:{audio.sockets[0].getsockname()[1]}/phone",
                scenario=setting,
                **config,
            )
        )
        robot.http = httpx2.AsyncClient(trust_env=False, timeout=PATIENCE)
        try:
            await scenario(robot)
        finally:
            await robot.http.aclose()
            await robot.phone.close()
            audio.close()
            await audio.wait_closed()
            http.stop()
            await http.close_all_connections()

    asyncio.run(run())


def _serve_events(robot: Robot) -> tuple[HTTPServer, str]:
    application = Application([("/events", _Events, {"robot": robot})], log_function=lambda handler: None)
    server = HTTPServer(application)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    return server, f"http://127.0.0.1:{sockets[0].getsockname()[1]}/events"
