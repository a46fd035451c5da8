"""The phone system's dialog API as its client: every action of phone-system.txt, section 2, sync and async.

No request is ever sent twice: no retries, no redirects, no proxies, and startcall on a connection of its own, so that
a stale warm one cannot make its outcome unknown. What went wrong is told by one question, whether a byte of the
request may have left (reading.md, "Phone system"): no is Unplaced, yes is OutcomeUnknown.

It stands on httpcore2, the transport of httpx2: there a stream can be given a deadline for the whole exchange, which
a peer that sends one byte at a time cannot stretch; httpx2's own time-outs begin anew with every byte.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from typing import Self

import httpcore2

from shared.errors import Refused
from shared.phone.deadline import AsyncDeadlineBackend, DeadlineBackend, within
from shared.phone.exchange import Exchange, Exchanges, Playback

MAX_CONNECTIONS = 100
"""Sockets at once to the phone system from one process; who finds none free waits for one within its own time-out."""
KEEPALIVE_SECONDS = 4.0
"""Below the 5 s after which common servers close an idle connection: a request must not meet a closing one."""

log = logging.getLogger(__name__)


def _at_once() -> None:
    """Nothing has to be done before the first byte leaves."""


class _Once:
    """``action``, at the first call alone: headers and body are two writes."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        self._done = False

    def __call__(self) -> None:
        if not self._done:
            self._action()
            self._done = True


_FAILURES = (
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    OSError,
)


class PhoneSystem:
    """The blocking client, for workers. Threads may share one; make it after a fork, never before. Close it."""

    def __init__(self, url: str, *, timeout: float, record: bool = True, tls: ssl.SSLContext | None = None) -> None:
        """``url``: the base URL of section 1.1. ``timeout``: seconds for one whole exchange. ``record``: isRecord."""
        self._exchanges = Exchanges(url, timeout, record)
        tls = self._exchanges.tls(tls)
        backend = DeadlineBackend()
        self._fresh = httpcore2.ConnectionPool(
            tls, max_connections=MAX_CONNECTIONS, max_keepalive_connections=0, network_backend=backend
        )
        self._warm = httpcore2.ConnectionPool(
            tls, max_connections=MAX_CONNECTIONS, keepalive_expiry=KEEPALIVE_SECONDS, network_backend=backend
        )

    def startcall(
        self, caller: str, callee: str, exten: str, request_id: str, *, leaving: Callable[[], None] = _at_once
    ) -> str:
        """Section 2.1: asks for a call and returns its id. Raises Refused, Unplaced or OutcomeUnknown.

        ``leaving`` is called once connected, when the next thing is the request's first byte; what it raises is raised,
        and nothing has left then.
        """
        once = _Once(leaving)
        return self._run(self._fresh, self._exchanges.startcall(caller, callee, exten, request_id), once).call_id()

    def file_playback(self, call_id: str, name: str) -> None:
        """Section 2.2: plays a file that was uploaded beforehand; ``name`` without its suffix. Raises as startcall."""
        self._act(call_id, "file_playback", name)

    def start_stream(self, call_id: str) -> None:
        """Section 2.3: makes ready to stream. Raises as startcall."""
        self._act(call_id, "start_stream")

    def stream_playback(self, call_id: str) -> None:
        """Section 2.4: plays what is streamed from now on; start_stream must have succeeded. Raises as startcall."""
        self._act(call_id, "stream_playback")

    def clean_stream(self, call_id: str) -> None:
        """Section 2.5: drops what was streamed and not yet played. Raises as startcall."""
        self._act(call_id, "clean_stream")

    def stop_stream(self, call_id: str) -> None:
        """Section 2.6: ends the streaming. Raises as startcall."""
        self._act(call_id, "stop_stream")

    def hangup(self, call_id: str) -> None:
        """Section 2.7: ends the call; a refusal means that it is gone, which is a success. Raises Unplaced or OutcomeUnknown."""
        try:
            self._act(call_id, "hangup")
        except Refused as refusal:
            _gone(call_id, refusal)

    def close(self) -> None:
        self._fresh.close()
        self._warm.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _act(self, call_id: str, action: Playback, parameters: str = "") -> None:
        self._run(self._warm, self._exchanges.action(call_id, action, parameters)).succeed()

    def _run(
        self, pool: httpcore2.ConnectionPool, exchange: Exchange, leaving: Callable[[], None] = _at_once
    ) -> Exchange:
        try:
            with (
                within(exchange.timeout, leaving, exchange.left),
                pool.stream(
                    "POST",
                    exchange.url,
                    headers=exchange.headers,
                    content=exchange.body,
                    extensions={"timeout": exchange.timeouts},
                ) as response,
            ):
                for chunk in response.iter_stream():
                    exchange.take(chunk)
        except _FAILURES as error:
            raise exchange.failure(error) from error
        exchange.status = response.status
        return exchange


class AsyncPhoneSystem:
    """The same for asyncio, for media. One event loop; close it there."""

    def __init__(self, url: str, *, timeout: float, record: bool = True, tls: ssl.SSLContext | None = None) -> None:
        """``url``: the base URL of section 1.1. ``timeout``: seconds for one whole exchange. ``record``: isRecord."""
        self._exchanges = Exchanges(url, timeout, record)
        tls = self._exchanges.tls(tls)
        backend = AsyncDeadlineBackend()
        self._fresh = httpcore2.AsyncConnectionPool(
            tls, max_connections=MAX_CONNECTIONS, max_keepalive_connections=0, network_backend=backend
        )
        self._warm = httpcore2.AsyncConnectionPool(
            tls, max_connections=MAX_CONNECTIONS, keepalive_expiry=KEEPALIVE_SECONDS, network_backend=backend
        )

    async def startcall(self, caller: str, callee: str, exten: str, request_id: str) -> str:
        """Section 2.1: asks for a call and returns its id. Raises Refused, Unplaced or OutcomeUnknown."""
        exchange = await self._run(self._fresh, self._exchanges.startcall(caller, callee, exten, request_id))
        return exchange.call_id()

    async def file_playback(self, call_id: str, name: str) -> None:
        """Section 2.2: plays a file that was uploaded beforehand; ``name`` without its suffix. Raises as startcall."""
        await self._act(call_id, "file_playback", name)

    async def start_stream(self, call_id: str) -> None:
        """Section 2.3: makes ready to stream. Raises as startcall."""
        await self._act(call_id, "start_stream")

    async def stream_playback(self, call_id: str) -> None:
        """Section 2.4: plays what is streamed from now on; start_stream must have succeeded. Raises as startcall."""
        await self._act(call_id, "stream_playback")

    async def clean_stream(self, call_id: str) -> None:
        """Section 2.5: drops what was streamed and not yet played. Raises as startcall."""
        await self._act(call_id, "clean_stream")

    async def stop_stream(self, call_id: str) -> None:
        """Section 2.6: ends the streaming. Raises as startcall."""
        await self._act(call_id, "stop_stream")

    async def hangup(self, call_id: str) -> None:
        """Section 2.7: ends the call; a refusal means that it is gone, which is a success. Raises Unplaced or OutcomeUnknown."""
        try:
            await self._act(call_id, "hangup")
        except Refused as refusal:
            _gone(call_id, refusal)

    async def close(self) -> None:
        await self._fresh.aclose()
        await self._warm.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _act(self, call_id: str, action: Playback, parameters: str = "") -> None:
        (await self._run(self._warm, self._exchanges.action(call_id, action, parameters))).succeed()

    async def _run(self, pool: httpcore2.AsyncConnectionPool, exchange: Exchange) -> Exchange:
        try:
            with within(exchange.timeout, left=exchange.left):
                async with pool.stream(
                    "POST",
                    exchange.url,
                    headers=exchange.headers,
                    content=exchange.body,
                    extensions={"timeout": exchange.timeouts},
                ) as response:
                    async for chunk in response.aiter_stream():
                        exchange.take(chunk)
        except _FAILURES as error:
            raise exchange.failure(error) from error
        exchange.status = response.status
        return exchange


def _gone(call_id: str, refusal: Refused) -> None:
    log.info("hangup was refused: the call is gone", extra={"call_id": call_id, "reply_code": refusal.reply_code})
