"""Twins for speech tests: a listener that remembers, and a scripted DashScope for faults that the sandbox has not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from media.speech.ports import Recognition, SpeechFailure, SpokenWord

PATIENCE = 20.0
"""Seconds after which a test has failed; never what it waits for."""


class Heard:
    """A SynthesisListener that keeps everything, and a future for the end."""

    def __init__(self) -> None:
        self.audio = bytearray()
        self.words: list[SpokenWord] = []
        self.failure: SpeechFailure | None = None
        self.endings = 0
        self.first = asyncio.Event()
        self.ended = asyncio.Event()

    def on_audio(self, pcm: bytes) -> None:
        assert len(pcm) % 2 == 0
        assert not self.ended.is_set()
        self.audio += pcm
        self.first.set()

    def on_words(self, words: Sequence[SpokenWord]) -> None:
        self.words += words

    def on_done(self) -> None:
        self.endings += 1
        self.ended.set()

    def on_failure(self, failure: SpeechFailure) -> None:
        self.failure = failure
        self.on_done()

    async def end(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.ended.wait()


class Understood:
    """Collects what a recogniser reports."""

    def __init__(self) -> None:
        self.all: list[Recognition] = []
        self.failure: SpeechFailure | None = None
        self._changed = asyncio.Event()

    def on_recognition(self, recognition: Recognition) -> None:
        self.all.append(recognition)
        self._changed.set()

    def on_failure(self, failure: SpeechFailure) -> None:
        assert self.failure is None
        self.failure = failure
        self._changed.set()

    @property
    def finals(self) -> list[Recognition]:
        return [recognition for recognition in self.all if recognition.final]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


class Peer:
    """One connection of the scripted service: helpers for both directions."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.task_id = ""
        self.run: dict[str, object] = {}

    async def started(self) -> None:
        """Reads run-task and answers task-started."""
        message = json.loads(await self.socket.recv())
        assert message["header"]["action"] == "run-task"
        self.task_id = message["header"]["task_id"]
        self.run = message["payload"]
        await self.event("task-started")

    async def event(self, name: str, payload: object = None, **header: str) -> None:
        head = {"task_id": self.task_id, "event": name, "attributes": {}, **header}
        await self.socket.send(json.dumps({"header": head, "payload": payload or {}}))

    async def sentence(self, text: str, begin: int, end: int | None, number: int = 1) -> None:
        sentence = {
            "sentence_id": number,
            "begin_time": begin,
            "end_time": end,
            "text": text,
            "heartbeat": False,
            "sentence_end": end is not None,
        }
        await self.event("result-generated", {"output": {"sentence": sentence}})

    async def until(self, action: str) -> list[bytes | str]:
        """Everything that comes before a message with this action, and that message last."""
        got: list[bytes | str] = []
        while True:
            got.append(await self.socket.recv())
            if isinstance(got[-1], str) and json.loads(got[-1])["header"]["action"] == action:
                return got


class Scripted:
    """A running scripted service."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.served = 0
        self._changed = asyncio.Event()

    def count(self) -> None:
        self.served += 1
        self._changed.set()

    async def until_served(self, scripts: int = 1) -> None:
        """Waits until so many connections have come to the end of their scripts."""
        async with asyncio.timeout(PATIENCE):
            while self.served < scripts:
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def scripted(*scripts: Callable[[Peer], Awaitable[None]]) -> AsyncIterator[Scripted]:
    """A service whose connections follow the scripts, one each; the last one serves all later connections too.

    What a script raises (an assertion) is raised again at the end.
    """
    waiting = list(scripts)
    errors: list[BaseException] = []
    service = Scripted()

    async def handle(socket: ServerConnection) -> None:
        script = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        try:
            await script(Peer(socket))
        except AssertionError as error:
            errors.append(error)
        except ConnectionClosed:
            pass
        finally:
            service.count()

    async with serve(handle, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        service.endpoint = f"ws://127.0.0.1:{port}/api-ws/v1/inference"
        yield service
        server.close(close_connections=True)
    if errors:
        raise errors[0]


@pytest.fixture(autouse=True)
def no_proxy_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
