"""A TCP peer that answers as it is told, byte for byte, and keeps every request that reached it."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

Answer = Callable[[socket.socket, bytes], bool]
"""Given the connection and the whole request; returns whether the connection is to be read on."""

JOIN_WAIT = 5.0
"""A thread that has not ended by then hangs, and the test's own time-out will say so."""


def reply(body: bytes, status: str = "200 OK", keep: bool = True) -> bytes:
    connection = "keep-alive" if keep else "close"
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: {connection}\r\n\r\n"
    return head.encode() + body


def answering(raw: bytes, keep: bool = True) -> Answer:
    """Sends ``raw``, whole."""

    def answer(connection: socket.socket, _request: bytes) -> bool:
        connection.sendall(raw)
        return keep

    return answer


def closing_after(raw: bytes) -> Answer:
    """Sends ``raw`` and closes in good order."""
    return answering(raw, keep=False)


def resetting_after(raw: bytes) -> Answer:
    """Sends ``raw`` and resets the connection."""

    def answer(connection: socket.socket, _request: bytes) -> bool:
        connection.sendall(raw)
        reset(connection)
        return False

    return answer


def silent(_connection: socket.socket, _request: bytes) -> bool:
    """Reads on and never says a word."""
    return True


def reset(connection: socket.socket) -> None:
    """Closes with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Peer:
    """Listens on a free loopback port while the ``with`` block lasts."""

    def __init__(self, answer: Answer, *, on_connect: Callable[[socket.socket], bool] | None = None) -> None:
        """``on_connect`` sees each connection before anything is read; False means that it dealt with it."""
        self.requests: list[bytes] = []
        self.connections = 0
        self._answer = answer
        self._on_connect = on_connect
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._open: list[socket.socket] = []
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/np/sandbox/dialog"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        socket.create_connection(self._listener.getsockname()).close()  # wakes the accepting thread
        self._threads[0].join(JOIN_WAIT)
        for connection in self._open:
            _shut(connection)
        for thread in self._threads[1:]:
            thread.join(JOIN_WAIT)
        for connection in self._open:
            connection.close()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._over.is_set():
                connection.close()
                return
            self.connections += 1
            self._open.append(connection)
            if self._on_connect is None or self._on_connect(connection):
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        pending = b""
        try:
            while received := connection.recv(65536):
                request, pending = _whole(pending + received)
                if request:
                    self.requests.append(request)
                    if not self._answer(connection, request):
                        return
        except OSError:
            pass  # the client broke it off, as some tests have it do
        finally:
            connection.close()


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # closed already


def _whole(pending: bytes) -> tuple[bytes, bytes]:
    """The first whole request in ``pending`` and the rest; an empty one if it is not there yet."""
    head, separator, rest = pending.partition(b"\r\n\r\n")
    if not separator:
        return b"", pending
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    if len(rest) < length:
        return b"", pending
    return head + separator + rest[:length], rest[length:]
