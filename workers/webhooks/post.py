"""One POST to a receiver: to an address that was checked, within a bounded time, following nothing.

It stands on httpcore2, as ``shared.phone.client`` does and for the same reason: there a stream can be given a deadline
for the whole exchange, and the connection an address of our choice while TLS and the Host header keep the name.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import httpcore2

from shared.errors import TargetRefused
from shared.phone.deadline import DeadlineBackend, within
from shared.targets import Lookup, Target, find_addresses, parse_target, system_lookup

CONNECT_SECONDS = 3.0
"""For all addresses of a name together."""
TOTAL_SECONDS = 10.0
"""From the look-up to the answer's status line. A receiver that needs longer should answer first and work later."""
BUSY_STATUSES = (429, 503)
"""The receiver says that it has too much to do."""

_TIMEOUTS = {"connect": CONNECT_SECONDS, "read": TOTAL_SECONDS, "write": TOTAL_SECONDS, "pool": TOTAL_SECONDS}
_FAILURES = (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError, OSError)


@dataclass(frozen=True)
class Outcome:
    """``error`` is "" for a delivery. ``reached``: the receiver answered, and is not busy, so that more may be sent."""

    delivered: bool
    error: str = ""
    reached: bool = True


class Post:
    """Sends bodies to URLs. Safe to use from several threads; holds no connections."""

    def __init__(
        self,
        *,
        allow_private: bool,
        lookup: Lookup = system_lookup,
        sockets: httpcore2.NetworkBackend | None = None,
        tls: ssl.SSLContext | None = None,
        total: float = TOTAL_SECONDS,
    ) -> None:
        """``allow_private``: WAIHU_WEBHOOK_PRIVATE. ``sockets`` connects to addresses, within a deadline. ``total``: seconds."""
        self._allow_private = allow_private
        self._lookup = lookup
        self._sockets = sockets or DeadlineBackend()
        self._given_tls = tls
        self._total = total

    def send(self, url: str, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Outcome:
        """POSTs ``body``; any 2xx is a delivery. Of the answer nothing but its status is read: it may be endless, and it
        is nobody's business here what stands in it."""
        try:
            with within(self._total):
                status = self._exchange(parse_target(url), headers, body)
        except TargetRefused as error:
            return Outcome(False, str(error), reached=False)
        except _FAILURES as error:
            return Outcome(False, f"no answer: {type(error).__name__}", reached=False)
        if 200 <= status < 300:
            return Outcome(True)
        advice = " (redirects are not followed)" if 300 <= status < 400 else ""
        return Outcome(False, f"HTTP status {status}{advice}", reached=status not in BUSY_STATUSES)

    def _exchange(self, target: Target, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> int:
        addresses = find_addresses(target, self._lookup, allow_private=self._allow_private)
        url = httpcore2.URL(
            scheme=target.scheme.encode(), host=target.host.encode(), port=target.port, target=target.path
        )
        all_headers = [(b"Host", target.header), (b"Content-Length", str(len(body)).encode()), *headers]
        with (
            httpcore2.ConnectionPool(
                self._tls if target.scheme == "https" else None,
                max_connections=1,
                max_keepalive_connections=0,
                network_backend=_Pinned(addresses, self._sockets),
            ) as pool,
            pool.stream("POST", url, headers=all_headers, content=body, extensions={"timeout": _TIMEOUTS}) as response,
        ):
            return response.status

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """One for all deliveries, as making one takes 10 ms and more."""
        return self._given_tls or httpcore2.default_ssl_context()


class _Pinned(httpcore2.NetworkBackend):
    """Connects to the addresses that were checked, whatever the name says by now; the first that answers is taken."""

    def __init__(self, addresses: Sequence[str], sockets: httpcore2.NetworkBackend) -> None:
        self._addresses = addresses
        self._sockets = sockets

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        failure: Exception = httpcore2.ConnectError("no address")
        with within(CONNECT_SECONDS):
            for address in self._addresses:
                try:
                    return self._sockets.connect_tcp(address, port, timeout, local_address, socket_options)
                except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                    failure = error
        raise failure
