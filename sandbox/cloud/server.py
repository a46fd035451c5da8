"""The stand-in cloud on one port: Aliyun speech over WebSocket, OpenAI chat over HTTP, and an admin interface.

Tornado serves both kinds in one asyncio process.
"""

import json
import socket
from collections import Counter
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from sandbox.cloud import aliyun
from sandbox.cloud.aliyun import SpeechSocket
from sandbox.cloud.chat import ChatHandler, ModelsHandler
from sandbox.cloud.config import CloudConfig, CloudState
from sandbox.cloud.faults import SERVICES, Faults

__all__ = ["Cloud", "CloudConfig", "serve_cloud"]

_MAX_MESSAGE = 1024 * 1024  # bytes of a WebSocket message or a request's body: half a minute of audio at 16 kHz
_BACKLOG = 512  # connections that wait to be accepted: every call of a busy media process reconnecting at once


class Cloud:
    """A running stand-in cloud. `requests` counts by kind: `asr`, `tts`, `chat`, `models`, `denied`."""

    def __init__(
        self, server: HTTPServer, sockets: set[SpeechSocket], state: CloudState, address: tuple[str, int]
    ) -> None:
        self._server = server
        self._sockets = sockets
        self._state = state
        self.host, self.port = address

    @property
    def requests(self) -> Counter[str]:
        return self._state.requests

    @property
    def faults(self) -> Faults:
        """Switch faults on and off here while it runs."""
        return self._state.faults

    @property
    def live(self) -> int:
        """How many speech connections are open."""
        return len(self._sockets)

    @property
    def url(self) -> str:
        """`http://HOST:PORT`."""
        return f"http://{self._authority}"

    @property
    def aliyun_url(self) -> str:
        """`ws://HOST:PORT/api-ws/v1/inference`, the endpoint for ASR and TTS."""
        return f"ws://{self._authority}{aliyun.PATH}"

    @property
    def openai_url(self) -> str:
        """`http://HOST:PORT/v1`, the base URL for an OpenAI client."""
        return f"{self.url}/v1"

    @property
    def _authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        self._server.stop()
        for speech in tuple(self._sockets):
            speech.close(1001, "the service is going away")
        await self._server.close_all_connections()


class _FaultsHandler(RequestHandler):
    """`/admin/faults` and `/admin/faults/{service}`."""

    def initialize(self, state: CloudState) -> None:
        self._faults = state.faults

    def get(self, service: str | None = None) -> None:
        self.finish(self._faults.shown())

    def put(self, service: str | None = None) -> None:
        try:
            wanted: Any = json.loads(self.request.body)
            if not isinstance(wanted, dict):
                raise ValueError('expected a JSON object like {"fault": "hang_start", "times": 1}')
            self._faults.set(service, wanted.get("fault"), wanted.get("times"))  # type: ignore[arg-type]  # it checks
        except ValueError as error:
            self.set_status(400)
            self.finish({"error": str(error)})
            return
        self.finish(self._faults.shown())

    def delete(self, service: str | None = None) -> None:
        if service is not None and service not in SERVICES:
            self.set_status(404)
            self.finish({"error": f"expected a service of {', '.join(SERVICES)}, got {service!r}"})
            return
        self._faults.clear(service)  # type: ignore[arg-type]  # checked above
        self.finish(self._faults.shown())


class _RequestsHandler(RequestHandler):
    """`GET /admin/requests`: how many of each kind there were."""

    def initialize(self, state: CloudState) -> None:
        self._state = state

    def get(self) -> None:
        self.finish(dict(self._state.requests))


async def serve_cloud(host: str = "127.0.0.1", port: int = 0, config: CloudConfig | None = None) -> Cloud:
    """Listen on `host`:`port` (0: a free one). Raises OSError if the port is taken.

    Admin, without a key, for tests and demonstrations: `GET /admin/faults`, `PUT /admin/faults/{asr|tts|chat}` with
    `{"fault": "hang_start", "times": 1}`, `DELETE /admin/faults[/{service}]`, `GET /admin/requests`.
    """
    state = CloudState(config or CloudConfig())
    sockets: set[SpeechSocket] = set()
    shared = {"state": state}
    application = Application(
        [
            (aliyun.PATH + "/?", SpeechSocket, {**shared, "sockets": sockets}),
            (r"/v1/chat/completions", ChatHandler, shared),
            (r"/v1/models", ModelsHandler, shared),
            (r"/admin/faults(?:/(\w+))?", _FaultsHandler, shared),
            (r"/admin/requests", _RequestsHandler, shared),
        ],
        websocket_max_message_size=_MAX_MESSAGE,
        log_function=lambda handler: None,  # tornado's own access log has the whole query
    )
    server = HTTPServer(application, max_body_size=_MAX_MESSAGE)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    listening.setblocking(False)
    server.add_socket(listening)
    return Cloud(server, sockets, state, listening.getsockname()[:2])
