"""Clients of the stand-in cloud, as a product would write them: real sockets, the real protocols."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from sandbox.cloud.server import Cloud, CloudConfig, serve_cloud

Json = dict[str, Any]

PATIENCE = 20.0  # seconds: a bound for a busy machine, never a measure

PROMPT = CloudConfig(
    asr_partial_latency=0, asr_final_latency=0, tts_first_chunk=0, tts_speed=1e6, chat_first_token=0, chat_token=0
)
"""A cloud without latencies."""


def run(scenario: Callable[[Cloud], Awaitable[None]], config: CloudConfig = PROMPT) -> None:
    """Run `scenario` against a cloud of its own."""

    async def serving() -> None:
        cloud = await serve_cloud(config=config)
        try:
            async with asyncio.timeout(PATIENCE * 2):
                await scenario(cloud)
        finally:
            await cloud.close()

    asyncio.run(serving())


async def settled(condition: Callable[[], bool]) -> None:
    """Let the server, which shares this loop, work until `condition` holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  # nothing tells when a peer's close has been handled
            await asyncio.sleep(0)


class SpeechClient:
    """One connection, one task at a time."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.task_id = uuid.uuid4().hex

    async def command(self, action: str, payload: Json) -> None:
        header = {"action": action, "task_id": self.task_id, "streaming": "duplex"}
        await self.socket.send(json.dumps({"header": header, "payload": payload}))

    async def run_asr(self, **parameters: Any) -> None:
        await self._run(
            "asr", "recognition", "paraformer-realtime-v2", {"format": "pcm", "sample_rate": 8000, **parameters}
        )

    async def run_tts(self, **parameters: Any) -> None:
        usual = {
            "text_type": "PlainText",
            "voice": "longxiaochun_v2",
            "format": "pcm",
            "sample_rate": 8000,
            "volume": 50,
        }
        await self._run("tts", "SpeechSynthesizer", "cosyvoice-v2", {**usual, **parameters})

    async def _run(self, task: str, function: str, model: str, parameters: Json) -> None:
        payload = {"task_group": "audio", "task": task, "function": function, "model": model}
        await self.command("run-task", {**payload, "parameters": parameters, "input": {}})

    async def say(self, *texts: str) -> None:
        for text in texts:
            await self.command("continue-task", {"input": {"text": text}})

    async def finish(self) -> None:
        await self.command("finish-task", {"input": {}})

    async def receive(self) -> Json | bytes:
        async with asyncio.timeout(PATIENCE):
            message = await self.socket.recv()
        if isinstance(message, bytes):
            return message
        event: Json = json.loads(message)
        return event

    async def event(self) -> Json:
        message = await self.receive()
        assert isinstance(message, dict), "an event was expected, audio came"
        return message

    async def until(self, *names: str) -> tuple[list[Json], bytes]:
        """Events up to and with the first of `names`, and the audio between them."""
        events: list[Json] = []
        audio = bytearray()
        while not events or events[-1]["header"]["event"] not in names:
            message = await self.receive()
            if isinstance(message, bytes):
                audio += message
            else:
                events.append(message)
        return events, bytes(audio)


@asynccontextmanager
async def speech_client(cloud: Cloud, key: str = "any-key") -> AsyncIterator[SpeechClient]:
    async with connect(cloud.aliyun_url, additional_headers={"Authorization": f"Bearer {key}"}) as socket:
        yield SpeechClient(socket)


async def synthesise(cloud: Cloud, texts: Iterable[str], **parameters: Any) -> tuple[list[Json], bytes]:
    async with speech_client(cloud) as client:
        await client.run_tts(**parameters)
        await client.until("task-started")
        await client.say(*texts)
        await client.finish()
        return await client.until("task-finished", "task-failed")


async def recognise(cloud: Cloud, audio: bytes, *, frame: int = 3200, **parameters: Any) -> list[Json]:
    """The sentences of `result-generated`, partial and final."""
    async with speech_client(cloud) as client:
        await client.run_asr(**parameters)
        await client.until("task-started")
        for at in range(0, len(audio), frame):
            await client.socket.send(audio[at : at + frame])
        await client.finish()
        events, _ = await client.until("task-finished", "task-failed")
    return [
        event["payload"]["output"]["sentence"] for event in events if event["header"]["event"] == "result-generated"
    ]
