"""The floor under the media process: the same frames through bare ``websockets`` on uvloop, and nothing else."""

from __future__ import annotations

import asyncio
import gc

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from shared.phone.wire import decode_audio


class Floor:
    """Bare WebSockets and one ticker."""

    def __init__(self) -> None:
        self._phases: list[list[ServerConnection]] = [[] for _ in range(20)]
        self._loop = asyncio.get_running_loop()
        self._origin = self._loop.time()
        self._turn = 0
        self._frame = bytes(320)
        self._loop.call_at(self._origin, self._tick)

    async def handle(self, socket: ServerConnection) -> None:
        phase = min(self._phases, key=len)
        phase.append(socket)
        try:
            while True:
                decode_audio(await socket.recv(decode=False))
        except ConnectionClosed:
            phase.remove(socket)

    def _tick(self) -> None:
        now = self._loop.time()
        while (due := self._origin + self._turn * 0.001) <= now + 0.0005:
            broadcast(self._phases[self._turn % 20], self._frame)
            self._turn += 1
        self._loop.call_at(due, self._tick)


async def serve_floor(port: int) -> None:
    """For ever."""
    floor = Floor()
    async with serve(floor.handle, "127.0.0.1", port, compression=None, ping_interval=None, server_header=None):
        print("ready", flush=True)
        gc.freeze()
        await asyncio.Event().wait()
