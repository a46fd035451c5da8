"""A listener that closes beside another one on its port: nobody who knocks is refused."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from media import accepting
from media.accepting import let_in_the_last

PATIENCE = 30.0
CALLERS = 8
ROUNDS = 3

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shares a port out by lot")


@asynccontextmanager
async def greeter(port: int = 0) -> AsyncIterator[asyncio.Server]:
    """Says hello to everybody, and closes the connection."""

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", port, reuse_port=True)
    try:
        yield server
    finally:
        server.close()


def port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


@linux
def test_of_those_who_knock_all_the_while_nobody_is_refused() -> None:
    async def call(port: int, over: asyncio.Event) -> int:
        answered = 0
        while not over.is_set():
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read() == b"hello"
            writer.close()
            answered += 1
        return answered

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE), greeter() as stays:
            over = asyncio.Event()
            callers = [asyncio.ensure_future(call(port_of(stays), over)) for _ in range(CALLERS)]
            for _ in range(ROUNDS):
                async with greeter(port_of(stays)) as leaves:
                    await asyncio.sleep(0.1)
                    await let_in_the_last(leaves.sockets)
            over.set()
            assert min(await asyncio.gather(*callers)) > 0

    asyncio.run(scenario())


@linux
def test_who_waits_in_the_queue_is_let_in_before_it_is_closed() -> None:
    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE):
            with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
                waiting = asyncio.ensure_future(let_in_the_last([listener]))
                await asyncio.sleep(accepting.SETTLE_SECONDS + 0.2)
                assert not waiting.done()
                listener.accept()[0].close()
                await waiting

    asyncio.run(scenario())


def test_where_nobody_can_be_kept_out_what_waits_is_still_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting.sys, "platform", "elsewhere")

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE), greeter() as leaves:
            reader, writer = await asyncio.open_connection("127.0.0.1", port_of(leaves))
            await let_in_the_last(leaves.sockets)
            leaves.close()
            assert await reader.read() == b"hello"
            writer.close()

    asyncio.run(scenario())
