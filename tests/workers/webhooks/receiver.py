"""A receiver of webhooks: a real HTTP server on a free loopback port that answers as it is told."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

HOLD_SECONDS = 60
"""Longer than any test: what is held is let go by the test."""


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def delivery_id(self) -> str:
        return self.headers["waihu-delivery"]

    def signed_with(self, secret: str) -> bool:
        """As docs/webhooks.md says, written anew."""
        message = self.headers["waihu-timestamp"].encode() + b"." + self.raw
        expected = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
        return hmac.compare_digest(self.headers["waihu-signature"], f"v1={expected}")


Answer = int | tuple[int, dict[str, str]] | Callable[[Received], int]
"""A status, a status with headers, or what finds a status once it has seen the request."""


class Receiver:
    """Listens while it is open. ``answers`` are given in order, then 200 to all."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.received: list[Received] = []
        self.changed = threading.Condition()
        self.busy = 0
        self.most_busy = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, more = outer._answer(Received(self.path, headers, raw))
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing: the test looks at what was received."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                """A client that left before it was answered is what some tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?tenant=7"

    @property
    def ids(self) -> list[str]:
        return [one.delivery_id for one in self.received]

    def wait(self, count: int) -> None:
        """Until so many requests came."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.received) >= count, 30), "waited in vain"

    def _answer(self, received: Received) -> tuple[int, dict[str, str]]:
        with self.changed:
            self.received.append(received)
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
            answer = self.answers.pop(0) if self.answers else 200
            self.changed.notify_all()
        try:
            if isinstance(answer, int):
                return answer, {}
            return answer if isinstance(answer, tuple) else (answer(received), {})
        finally:
            with self.changed:
                self.busy -= 1
                self.changed.notify_all()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(30)
        self._server.server_close()
