"""Pipecat's pass-through: what a call brings goes through an otherwise empty pipeline and back to it.

Run by ``benchmarks.pipecat`` with the Python of an environment of its own, in which nothing of ours is installed:

    ENVIRONMENT/bin/python -P benchmarks/pipecat_echo.py --port N

One pipeline a call, as Pipecat's own examples have it: input, output, nothing between them but what turns the one's
frames into the other's. All that it does by default for a conversation is off, and the serializer decodes as ours does.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.frames.frames import Frame, InputAudioRawFrame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner

RATE = 8000
CORE = 0


class AudioFrame(msgspec.Struct):
    """The phone system's audio frame (section 4.2 of its document)."""

    type: str
    call_id: str
    data: bytes


_decoder = msgspec.json.Decoder(AudioFrame)


class PhoneSerializer(FrameSerializer):
    """JSON with base64 in, bare samples out."""

    async def serialize(self, frame: Frame) -> bytes | None:
        return frame.audio if isinstance(frame, OutputAudioRawFrame) else None

    async def deserialize(self, data: str | bytes) -> Frame | None:
        return InputAudioRawFrame(audio=_decoder.decode(data).data, sample_rate=RATE, num_channels=1)


class Echo(FrameProcessor):
    """What was heard is said."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            frame = OutputAudioRawFrame(audio=frame.audio, sample_rate=RATE, num_channels=1)
        await self.push_frame(frame, direction)


@asynccontextmanager
async def say_ready(app: FastAPI) -> AsyncIterator[None]:
    """The generator may connect in a moment."""
    print("ready", flush=True)
    yield


app = FastAPI(lifespan=say_ready)


@app.websocket("/phone")
async def phone(websocket: WebSocket) -> None:
    """One call."""
    await websocket.accept()
    transport = FastAPIWebsocketTransport(
        websocket,
        FastAPIWebsocketParams(
            serializer=PhoneSerializer(),
            audio_in_enabled=True,
            audio_in_sample_rate=RATE,
            audio_out_enabled=True,
            audio_out_sample_rate=RATE,
            audio_out_10ms_chunks=2,
        ),
    )
    worker = PipelineWorker(
        Pipeline([transport.input(), Echo(), transport.output()]),
        params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE),
        enable_turn_tracking=False,
        enable_rtvi=False,
        idle_timeout_secs=None,
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    asked = parser.parse_args()
    os.sched_setaffinity(0, {CORE})
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    uvicorn.run(
        app, host="127.0.0.1", port=asked.port, loop="uvloop", ws="websockets-sansio", ws_per_message_deflate=False,
        ws_ping_interval=None, log_level="error",
    )  # fmt: skip


if __name__ == "__main__":
    main()
