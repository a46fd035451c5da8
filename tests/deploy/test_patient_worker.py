"""Slow clients of the API wait for themselves only: gunicorn with four threads, attacked over real sockets."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.patient_worker import _PENDING, _UPLOAD, _WHOLE, LONGEST_LOOK, arrived

THREADS = 4
SLOW = 12
"""Three times as many slow clients as there are threads."""


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answers with the length of the body that came."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(str(len(body)))))])
    return [str(len(body)).encode()]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    log = tmp_path_factory.mktemp("gunicorn") / "log"
    with socket.create_server(("127.0.0.1", 0)) as listening, log.open("wb") as errors:
        port = int(listening.getsockname()[1])
        listening.set_inheritable(True)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "-k", "deploy.patient_worker.PatientWorker"),
                *("--threads", str(THREADS), "--no-control-socket", "--bind", f"fd://{listening.fileno()}"),
                "tests.deploy.test_patient_worker:app",
            ],
            cwd=Path(__file__).resolve().parents[2],
            env=os.environ | {"GUNICORN_CMD_ARGS": ""},
            pass_fds=[listening.fileno()],
            stderr=errors,
        )
    yield port
    process.terminate()
    assert process.wait(20) == 0


def talk(port: int, *pieces: bytes) -> bytes:
    """What the server answers until it closes, or has answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        for piece in pieces:
            client.sendall(piece)
            time.sleep(0.01)  # a packet of its own
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize(
    ("pieces", "length"),
    [
        ([b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"], 0),
        ([b"GET / HT", b"TP/1.1\r\nHost: x\r\n", b"\r\n"], 0),
        ([b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", b"he", b"llo"], 5),
        ([b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n", b"x" * 299_999, b"x"], 300_000),
        ([b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n"], 5),
    ],
)
def test_a_request_is_read_whole_in_whatever_pieces_it_comes(port: int, pieces: list[bytes], length: int) -> None:
    answer = talk(port, *pieces)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    assert answer.endswith(b"\r\n\r\n" + str(length).encode())


def test_a_connection_serves_one_request_after_another(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        for _ in range(3):
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
            answer = b""
            while not answer.endswith(b"\r\n\r\n2"):
                answer += client.recv(4096)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: x\r\n" % n for n in range(200)) + b"\r\n", 431),
    ],
)
def test_what_is_too_long_is_refused_in_the_envelope(port: int, request_bytes: bytes, status: int) -> None:
    head, _, body = talk(port, request_bytes).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Type: application/json" in head
    assert json.loads(body)["code"] == status


def test_clients_that_never_finish_hold_up_nobody(port: int) -> None:
    """Silent ones, ones in the middle of their head, ones in the middle of a small or of a long body."""
    beginnings = [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nhal",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\nhal",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: ",
    ]
    slow = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(SLOW * len(beginnings))]
    try:
        for index, client in enumerate(slow):
            client.sendall(beginnings[index % len(beginnings)])
        for _ in range(5):
            assert talk(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 200")
    finally:
        for client in slow:
            client.close()


def test_a_client_that_is_too_slow_is_sent_away(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        try:
            assert client.recv(1024) == b""
        except ConnectionResetError:
            pass  # what it had sent was not read


@given(st.binary(max_size=200), st.integers(0, 400))
def test_a_request_with_its_length_is_whole_at_exactly_its_end(body: bytes, cut: int) -> None:
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    assert arrived(request) == _WHOLE
    assert arrived(request[: min(cut, len(request) - 1)]) == _PENDING


@pytest.mark.parametrize(
    "start",
    [
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * LONGEST_LOOK,
    ],
)
def test_what_cannot_be_waited_for_is_an_upload(start: bytes) -> None:
    assert arrived(start) == _UPLOAD
