"""Sockets, blocking and for asyncio, whose every wait ends with the exchange that they serve.

httpcore2 bounds each single read; these bound their sum, so that a peer that drips cannot stretch it.
"""

from __future__ import annotations

import asyncio
import contextvars
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpcore2


def _nothing() -> None: ...


@dataclass(frozen=True)
class _Exchange:
    over_at: float
    """On the monotonic clock."""
    leaving: Callable[[], None]
    left: Callable[[], None]


_exchange: contextvars.ContextVar[_Exchange] = contextvars.ContextVar("exchange")
"""The one that this thread or task runs."""


@contextmanager
def within(
    seconds: float, leaving: Callable[[], None] = _nothing, left: Callable[[], None] = _nothing
) -> Iterator[None]:
    """In this block, in this thread or task, no socket of the backends below waits beyond ``seconds`` from now.

    ``leaving`` is called before every write of the exchange's bytes; what it raises is raised to whoever runs the
    exchange, and the write does not happen. ``left`` is called after it, as late as can be: from there on the bytes may
    have left. Neither hears of a TLS handshake, which is no part of what is exchanged.
    """
    token = _exchange.set(_Exchange(time.monotonic() + seconds, leaving, left))
    try:
        yield
    finally:
        _exchange.reset(token)


def _remaining(expired: Callable[[str], Exception]) -> float:
    remaining = _exchange.get().over_at - time.monotonic()
    if remaining <= 0:
        raise expired("the whole exchange's time is over")
    return remaining


def _may_write() -> float:
    """Seconds that a write may take. Raises what ``leaving`` raises, and WriteTimeout, before anything has left."""
    exchange = _exchange.get()
    exchange.leaving()
    remaining = _remaining(httpcore2.WriteTimeout)
    exchange.left()
    return remaining


class DeadlineBackend(httpcore2.NetworkBackend):
    """Connects to the first address of a name that answers, each given its share of the time, so that a dead one
    leaves some to the next. Looking the name up is the resolver's to bound: nothing has left by then."""

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
        addresses = _addresses(host, port)
        for index, address in enumerate(addresses):
            share = _remaining(httpcore2.ConnectTimeout) / (len(addresses) - index)
            try:
                return _DeadlineStream(self._sockets.connect_tcp(address, port, share, local_address, socket_options))
            except (httpcore2.ConnectTimeout, httpcore2.ConnectError):
                if index == len(addresses) - 1:
                    raise
        raise httpcore2.ConnectError("the name has no address")


def _addresses(host: str, port: int) -> list[str]:
    """Of ``host``, in the resolver's order, each once. Raises ConnectError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore2.ConnectError(str(error)) from error
    return list(dict.fromkeys(str(info[4][0]) for info in found))


class _DeadlineStream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _remaining(httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _may_write())

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
        await self._stream.write(buffer, _may_write())

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
