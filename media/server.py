"""The one port of a media process: audio sockets, and three pages for those who watch over it."""

from __future__ import annotations

import asyncio
import http
import logging
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.frames import CloseCode
from websockets.http11 import Request, Response

from media.accepting import let_in_the_last
from media.legs.door import FIRST_FRAME_SECONDS, PhoneDoor, secret_fits
from media.legs.socket import MAX_MESSAGE_BYTES, AudioConnection
from shared.settings import is_loopback
from shared.values import host_of

PHONE_PATH = "/phone"
CALL_PATHS = ("/call", "/list", "/kill", "/iceservers")
"""Active Call's: answered clearly until they are served."""
PING_SECONDS = 20.0
CLOSE_SECONDS = 2.0
"""How long a peer may take over a closing handshake: nothing more is said to it."""
OPEN_SECONDS = 5.0
QUIET_WITHIN = OPEN_SECONDS + FIRST_FRAME_SECONDS + CLOSE_SECONDS
"""Seconds in which a socket that becomes no call has ended."""

log = logging.getLogger(__name__)
_library_log = logging.getLogger(f"{__name__}.websockets")
_library_log.setLevel(logging.WARNING)
"""The library tells of every opening and closing; a call's beginning and end are told by the exchange."""


@dataclass(frozen=True, kw_only=True)
class Pages:
    """What the pages show. Each is called for every request, and must not block."""

    health: Callable[[], dict[str, object]]
    ready: Callable[[], tuple[bool, dict[str, object]]]
    metrics: Callable[[], str]


class MediaServer:
    """Routes what arrives."""

    def __init__(self, door: PhoneDoor, pages: Pages, secret: str) -> None:
        self._door = door
        self._pages = pages
        self._secret = secret
        self._at = ("", 0)
        self._server: Server | None = None
        self._former: list[Server] = []
        """Listeners that were closed, and whose sockets live on."""
        self._stopped = False

    async def start(self, host: str, port: int) -> None:
        """Listens; several processes may share the port. Raises OSError."""
        self._at = (host, port)
        await self.listen()

    @property
    def listening(self) -> bool:
        """Whether new sockets may come."""
        return self._server is not None

    async def listen(self) -> None:
        """Listens, if it does not yet. Raises OSError."""
        if self._server is not None:
            return
        server = await serve(
            self._door.handle,
            *self._at,
            process_request=self._request,
            create_connection=AudioConnection,
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            open_timeout=OPEN_SECONDS,
            close_timeout=CLOSE_SECONDS,
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
            server_header=None,
            reuse_port=True,
            logger=_library_log,
        )
        # The library asks this when a handshake is over, and turns away (503) whom it took before it stopped listening.
        server.is_serving = lambda: not self._stopped  # type: ignore[method-assign]
        self._server = server

    async def stand_down(self) -> None:
        """Listens no more, if it does; whoever has knocked is let in, and who is connected stays."""
        server = self._server
        if server is None:
            return
        await let_in_the_last(server.sockets)
        self._server = None
        self._former.append(server)
        server.close(close_connections=False)

    async def quiet(self) -> None:
        """Returns when no socket of those that were taken is left, or none that could still become a call.

        Called when no call lives here and nobody else can come in.
        """
        tasks = [task for server in self._former for task in server.handler_tasks]
        if tasks:
            await asyncio.wait(tasks, timeout=QUIET_WITHIN)

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None
        return int(next(iter(self._server.sockets)).getsockname()[1])

    async def stop(self) -> None:
        """Listens no more and closes every socket (1001). Bounded by CLOSE_SECONDS a socket, all at once."""
        self._stopped = True
        connections = [one for server in self._former for one in server.connections]
        if self._server is not None:
            self._former.append(self._server)
            self._server.close()
            self._server = None
        await asyncio.gather(*(one.close(CloseCode.GOING_AWAY) for one in connections), return_exceptions=True)
        for server in self._former:
            await server.wait_closed()

    def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        """An HTTP answer, or None for a WebSocket that is welcome."""
        path = request.path.partition("?")[0].rstrip("/")
        if path == PHONE_PATH:
            return self._phone(request)
        if path == "/healthz":
            return _json(http.HTTPStatus.OK, self._pages.health())
        if path == "/readyz":
            ready, document = self._pages.ready()
            return _json(http.HTTPStatus.OK if ready else http.HTTPStatus.SERVICE_UNAVAILABLE, document)
        if path == "/metrics":
            return _text(http.HTTPStatus.OK, self._pages.metrics(), "text/plain; version=0.0.4; charset=utf-8")
        if path.startswith(CALL_PATHS):
            return _json(http.HTTPStatus.NOT_IMPLEMENTED, {"error": "Active Call is not served by this version"})
        return _json(http.HTTPStatus.NOT_FOUND, {"error": f"expected {PHONE_PATH}, /healthz, /readyz or /metrics"})

    def _phone(self, request: Request) -> Response | None:
        if not secret_fits(request, self._secret):
            log.warning("an audio socket without the right secret was refused")
            return _json(
                http.HTTPStatus.UNAUTHORIZED,
                {"error": "expected the phone secret, as ?secret= or Authorization: Bearer (WAIHU_PHONE_SECRET)"},
            )
        if not self._secret and not all(is_loopback(host_of(one)) for one in request.headers.get_all("Origin")):
            # A browser opens sockets to any address for whatever page it shows, and says whose page it is.
            return _json(
                http.HTTPStatus.FORBIDDEN, {"error": "expected no page of another host, or WAIHU_PHONE_SECRET"}
            )
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return _json(http.HTTPStatus.UPGRADE_REQUIRED, {"error": "expected a WebSocket"})
        return None


def _json(status: http.HTTPStatus, document: dict[str, object]) -> Response:
    return _text(status, msgspec.json.encode(document).decode() + "\n", "application/json")


def _text(status: http.HTTPStatus, text: str, kind: str) -> Response:
    body = text.encode()
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"})
    return Response(status.value, status.phrase, headers, body)
