"""What the first request over HTTP, or to a language model, finds missing: had at start, before any call.

The clients import and build much of themselves when they are first used, which stops the loop for 15 to 50 ms, and for
longer when the disk is slow. So one is used once, in a thread, against a model of one sentence in this process.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from media.agent.chat import ChatFailure, OpenAiChat

REHEARSAL_SECONDS = 10.0
"""Far more than it takes; a process that cannot rehearse starts without."""

log = logging.getLogger(__name__)


async def rehearse() -> None:
    """Returns when the next request finds all that it needs."""
    try:
        await asyncio.to_thread(lambda: asyncio.run(_exchange()))
    except (ChatFailure, OSError, TimeoutError) as error:
        log.warning("no rehearsal of the language model", extra={"error": type(error).__name__})


async def _exchange() -> None:
    async with asyncio.timeout(REHEARSAL_SECONDS):
        server = await asyncio.start_server(_answer, "127.0.0.1", 0)
        chat = OpenAiChat(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", "", "rehearsal")
        try:
            tool = {"type": "function", "function": {"name": "tool", "parameters": {"type": "object"}}}
            async for _ in chat.stream([{"role": "user", "content": "您好"}], [tool]):
                pass
        finally:
            await chat.close()
            server.close()
            await server.wait_closed()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A stream with everything in it that a model's may have: words, a tool call, an end."""
    try:
        await reader.readuntil(b"\r\n\r\n")
        call = {"index": 0, "id": "c", "type": "function", "function": {"name": "tool", "arguments": "{}"}}
        body = _event({"content": "您好"}) + _event({"tool_calls": [call]}) + _event({}) + b"data: [DONE]\n\n"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + body)
        await writer.drain()
    finally:
        writer.close()


def _event(delta: dict[str, Any]) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "rehearsal", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"
