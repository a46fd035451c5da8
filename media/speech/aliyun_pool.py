"""Warm connections to DashScope: a task may follow another on the same one, which saves the handshakes."""

from __future__ import annotations

import asyncio
import logging

from websockets.asyncio.client import ClientConnection
from websockets.protocol import State

from media.speech.aliyun import open_connection
from media.speech.ports import SpeechFailure

IDLE_SECONDS = 45.0
"""The service closes a connection on which no task begins for 60 s."""
MOST_IDLE = 8
"""More are closed when they come back: eight carry the answers of some hundred calls, which rarely speak at once."""

log = logging.getLogger(__name__)


class ConnectionPool:
    """Connections to one endpoint with one key. For one event loop."""

    def __init__(self, endpoint: str, key: str) -> None:
        self._endpoint = endpoint
        self._key = key
        self._idle: dict[ClientConnection, asyncio.TimerHandle] = {}
        self._spare: asyncio.Task[None] | None = None
        self._closed = False

    async def acquire(self, *, fresh: bool = False) -> tuple[ClientConnection, bool]:
        """A connection, and whether it was used or waited before (and so may turn out to be dead).

        Raises SpeechFailure. The caller gives it back by ``release`` or ``drop``.
        """
        while self._idle and not fresh:
            connection, timer = self._idle.popitem()
            timer.cancel()
            if connection.state is State.OPEN:
                self._refill()
                return connection, True
        connection = await open_connection(self._endpoint, self._key)
        self._refill()
        return connection, False

    def release(self, connection: ClientConnection) -> None:
        """The task on it has finished: it may carry another."""
        if self._closed or connection.state is not State.OPEN or len(self._idle) >= MOST_IDLE:
            self.drop(connection)
            return
        timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._expire, connection)
        self._idle[connection] = timer

    def drop(self, connection: ClientConnection) -> None:
        """Closes it without ceremony; whatever still comes on it is lost."""
        connection.transport.abort()

    def prepare(self) -> None:
        """Opens a connection in the background if none is idle, so that the next ``acquire`` need not wait."""
        if not self._closed and not self._idle and self._spare is None:
            self._spare = asyncio.get_running_loop().create_task(self._open_spare(), name="aliyun-spare")

    async def close(self) -> None:
        """Drops what is idle; what is in use is dropped when it comes back."""
        self._closed = True
        if self._spare is not None:
            self._spare.cancel()
            await asyncio.wait([self._spare])
        for connection, timer in self._idle.items():
            timer.cancel()
            self.drop(connection)
        self._idle.clear()

    def _refill(self) -> None:
        if not self._idle:
            self.prepare()

    async def _open_spare(self) -> None:
        try:
            connection = await open_connection(self._endpoint, self._key)
        except SpeechFailure as failure:
            log.info("no spare connection for synthesis", extra={"code": failure.code})
        else:
            self.release(connection)
        finally:
            self._spare = None

    def _expire(self, connection: ClientConnection) -> None:
        self._idle.pop(connection, None)
        self.drop(connection)
