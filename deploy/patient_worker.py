"""gunicorn's threaded worker, with the patience kept out of its threads.

gunicorn gives a connection to a thread as soon as its first byte is there; that thread then waits for the rest for as
long as the client likes, and a few dozen slow clients hold up everybody (slowloris). Here a request waits in the
worker's poller, which can hold a thousand, until it has arrived; only long uploads arrive in a thread, in half of them at most.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine  # type: ignore[import-untyped]
from gunicorn.util import write_nonblock  # type: ignore[import-untyped]
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker  # type: ignore[import-untyped]

LONGEST_LOOK = 64 << 10
"""Bytes of a request that are looked at before it is read: all of it, for everything but uploads of tickets."""
ARRIVE_SECONDS = 10.0
"""From a request's first chance to its last byte, for one that is no upload: phones on bad networks need two."""
UPLOAD_SECONDS = 60.0
"""For what is longer: 32 MiB at 5 Mbit/s. Whoever is slower reads an answer that says his request was cut off."""

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,12})[ \t]*\r\n", re.IGNORECASE)
_OPEN_ENDED = re.compile(rb"\r\n(?:transfer-encoding|expect):", re.IGNORECASE)
_PENDING, _WHOLE, _UPLOAD = range(3)


def arrived(start: bytes) -> int:
    """What these first bytes of a request (LONGEST_LOOK at most) are: part of one, a whole one, or an upload's beginning.

    An upload is whatever does not say its length, is longer than is looked at, or waits for leave to go on.
    """
    head = start.find(b"\r\n\r\n")
    if head < 0:
        return _UPLOAD if len(start) >= LONGEST_LOOK else _PENDING
    fields = start[: head + 4]
    if _OPEN_ENDED.search(fields):
        return _UPLOAD
    length = _LENGTH.search(fields)
    size = head + 4 + (int(length[1]) if length else 0)
    if size > LONGEST_LOOK:
        return _UPLOAD
    return _WHOLE if len(start) >= size else _PENDING


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """``worker_class`` of gunicorn. All but ``handle`` runs on the worker's main thread."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arriving: dict[TConn, float] = {}
        """Connections whose request has not arrived, oldest first -> when it must have."""
        self._waiting: deque[TConn] = deque()
        """Uploads that wait for a thread: bounded by ``worker_connections``."""
        self._uploads: dict[TConn, float] = {}
        """Uploads in threads -> when they must have arrived."""

    def enqueue_req(self, conn: TConn) -> None:
        """A new connection, or one that was kept alive and says something."""
        self._arriving[conn] = time.monotonic() + ARRIVE_SECONDS
        conn.sock.setblocking(False)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._look, conn))

    def finish_request(self, conn: TConn, fs: Any) -> None:
        """Beyond gunicorn's: requests in a row without waiting for answers end the connection, as HTTP allows.

        The beginning of the next request would lie in the parser, where nobody sees whether the rest has arrived.
        """
        self._uploads.pop(conn, None)
        keep = not fs.cancelled() and fs.exception() is None and fs.result() is True
        if keep and conn.parser.unreader.buf.getvalue():
            self._close(conn)
        else:
            super().finish_request(conn, fs)
        self._start_uploads()

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """Beyond gunicorn's: what is too long is refused in the envelope that all other answers of the API have."""
        if not isinstance(exc, LimitRequestLine | LimitRequestHeaders):
            super().handle_error(req, client, addr, exc)
            return
        if isinstance(exc, LimitRequestLine):
            status, reason = "414 URI Too Long", f"地址过长：请求行最多 {self.cfg.limit_request_line} 字节"
        else:
            fields, size = self.cfg.limit_request_fields, self.cfg.limit_request_field_size
            status, reason = "431 Request Header Fields Too Large", f"请求头过大：最多 {fields} 个，每个 {size} 字节"
        self.log.warning("a request is refused unread: %s", status)
        body = json.dumps({"code": int(status[:3]), "msg": reason, "data": None}, ensure_ascii=False).encode()
        head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with suppress(OSError):
            write_nonblock(client, head.encode() + body)

    def murder_pending(self) -> None:
        """Once a second: ends what takes too long to arrive."""
        super().murder_pending()
        now = time.monotonic()
        hurry = 0.0 if self.alive else ARRIVE_SECONDS - STOP_KEEPALIVE_LINGER
        for conn in [conn for conn, until in self._arriving.items() if until - hurry <= now]:
            self._forget(conn)
            self._close(conn)
        for conn in [conn for conn, until in self._uploads.items() if until <= now]:
            del self._uploads[conn]
            with suppress(OSError):  # the thread reads the end of the request, and may still answer
                conn.sock.shutdown(socket.SHUT_RD)

    def _look(self, conn: TConn, _sock: socket.socket) -> None:
        """More of a request is there, or its client has gone."""
        try:
            start = conn.sock.recv(LONGEST_LOOK, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            start = b""
        if not start:
            self._forget(conn)
            self._close(conn)
            return
        kind = arrived(start)
        # The poller wakes us when there is more than we have seen, not for what we have.
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(start) + 1 if kind == _PENDING else 1)
        if kind == _PENDING:
            return
        self._forget(conn)
        conn.data_ready = True
        if kind == _WHOLE:
            super().enqueue_req(conn)
        else:
            self._waiting.append(conn)
            self._start_uploads()

    def _start_uploads(self) -> None:
        while self._waiting and len(self._uploads) < max(1, self.cfg.threads // 2):
            conn = self._waiting.popleft()
            self._uploads[conn] = time.monotonic() + UPLOAD_SECONDS
            super().enqueue_req(conn)

    def _forget(self, conn: TConn) -> None:
        del self._arriving[conn]
        self.poller.unregister(conn.sock)

    def _close(self, conn: TConn) -> None:
        self.nr_conns -= 1
        conn.close()
