"""Sockets, blocking and for asyncio, whose every wait ends with the exchange that they serve.

httpcore2 bounds each single read; these bound their sum, so that a peer that drips cannot stretch it.
"""

from __future__ import annotations

import asyncio
import contextvars
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore2

_deadline: contextvars.ContextVar[float] = contextvars.ContextVar("deadline")
"""When the exchange that this thread or task runs must be over, on the monotonic clock."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """In this block, in this thread or task, no socket of the backends below waits beyond ``seconds`` from now."""
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def _remaining(expired: Callable[[str], Exception]) -> float:
    remaining = _deadline.get() - time.monotonic()
    if remaining <= 0:
        raise expired("the whole exchange's time is over")
    return remaining


class DeadlineBackend(httpcore2.NetworkBackend):
    """Connects. Looking a name up is the resolver's to bound: nothing has left by then."""

    def __init__(self) -> None:
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        remaining = _remaining(httpcore2.ConnectTimeout)
        return _DeadlineStream(self._sockets.connect_tcp(host, port, remaining, local_address, socket_options))


class _DeadlineStream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _remaining(httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _remaining(httpcore2.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _DeadlineStream(
            self._stream.start_tls(ssl_context, server_hostname, _remaining(httpcore2.ConnectTimeout))
        )

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class AsyncDeadlineBackend(httpcore2.AsyncNetworkBackend):
    """As DeadlineBackend, for asyncio."""

    def __init__(self) -> None:
        self._sockets = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        remaining = _remaining(httpcore2.ConnectTimeout)
        return _AsyncDeadlineStream(
            await self._sockets.connect_tcp(host, port, remaining, local_address, socket_options)
        )


class _AsyncDeadlineStream(httpcore2.AsyncNetworkStream):
    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, _remaining(httpcore2.ReadTimeout))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, _remaining(httpcore2.WriteTimeout))

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        remaining = _remaining(httpcore2.ConnectTimeout)
        try:
            return _AsyncDeadlineStream(await self._stream.start_tls(ssl_context, server_hostname, remaining))
        except asyncio.CancelledError:
            await self.aclose()  # httpcore2 closes after an error, but would leave the socket to a cancellation
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
