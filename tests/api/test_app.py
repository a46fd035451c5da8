"""The application under its real server, over real sockets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from shared.settings import Settings

ROOT = Path(__file__).parents[2]
ANSWER_SECONDS = 30
MIB = 1 << 20


@pytest.fixture
def port(settings: Settings, closed_port: int) -> Iterator[int]:
    """gunicorn with one worker on a socket that listens already, so nobody has to wait for it; no Redis anywhere."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WAIHU_")}
    environment |= {
        "WAIHU_STATE_DIR": str(settings.state_dir),
        "WAIHU_REDIS_URL": f"redis://127.0.0.1:{closed_port}/0",
        "PYTHONPATH": str(ROOT),
    }
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = [sys.executable, "-m", "gunicorn", "-k", "gthread", "--threads", "4", "--no-control-socket"]
        command += ["-b", f"fd://{listening.fileno()}", "api.app:create_app()"]
        server = subprocess.Popen(
            command,
            env=environment,
            cwd=settings.state_dir,
            pass_fds=[listening.fileno()],
            stderr=subprocess.DEVNULL,
        )
        try:
            yield listening.getsockname()[1]
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(30)
                raise


def post(port: int, path: str, **options: Any) -> httpx2.Response:
    return httpx2.post(f"http://127.0.0.1:{port}{path}", timeout=ANSWER_SECONDS, **options)


def test_a_batch_goes_in_and_is_listed_while_the_broker_is_away(port: int, ticket: Any) -> None:
    created = post(port, "/api/aicall/createTasks", json=[ticket()]).json()
    assert created["code"] == 200
    listed = post(port, "/aicall/calltask/list", json={"pageNum": 1, "pageSize": 10}).json()
    assert [row["batchId"] for row in listed["rows"]] == [created["data"][0]["batchId"]]


def test_a_body_of_100_mib_is_refused_before_it_is_sent(port: int) -> None:
    head = (
        "POST /api/aicall/createTasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {100 * MIB}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as client:
        client.sendall(head.encode() + b"[" * 1000)
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")


def chunks(total: int) -> Iterator[bytes]:
    for _ in range(total // MIB):
        yield b"[" * MIB


def test_a_body_in_chunks_is_refused_at_the_limit(port: int) -> None:
    kind = {"Content-Type": "application/json"}
    response = post(port, "/api/aicall/createTasks", content=chunks(100 * MIB), headers=kind)
    assert (response.status_code, response.json()["code"]) == (413, 413)


def test_a_small_body_in_chunks_is_taken(port: int, ticket: Any) -> None:
    kind = {"Content-Type": "application/json"}
    body = json.dumps([ticket()]).encode()
    response = post(port, "/api/aicall/createTasks", content=iter([body[:10], body[10:]]), headers=kind)
    assert response.json()["code"] == 200


def test_a_client_that_leaves_half_way_leaves_nothing(port: int, ticket: Any) -> None:
    body = json.dumps([ticket()]).encode()
    head = (
        "POST /api/aicall/createTasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body) + 1}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as client:
        client.sendall(head.encode() + body)
        client.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while client.recv(65536):
                pass
    assert post(port, "/aicall/calltask/list", json={"pageNum": 1, "pageSize": 10}).json()["total"] == 0


def test_a_recording_plays_in_ranges_and_paths_do_not_escape(port: int, settings: Settings) -> None:
    name = "ai_call/2025/08/16/21/2508162111590110001.wav"
    path = settings.recordings_dir / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"RIFF" + bytes(100_000))
    url = f"http://127.0.0.1:{port}/recordings/files?filename={name}"
    part = httpx2.get(url, headers={"Range": "bytes=0-3"}, timeout=ANSWER_SECONDS)
    assert (part.status_code, part.content, part.headers["Content-Range"]) == (206, b"RIFF", "bytes 0-3/100004")
    assert httpx2.head(url, timeout=ANSWER_SECONDS).headers["Content-Length"] == "100004"
    assert len(httpx2.get(url, timeout=ANSWER_SECONDS).content) == 100_004
    for target in (
        "/recordings/files?filename=../../etc/passwd",
        "/recordings/../../etc/passwd",
        "/static/..%2f..%2fapp.py",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as client:
            client.sendall(f"GET {target} HTTP/1.0\r\n\r\n".encode())
            status = client.recv(65536).split(b" ", 2)[1]
        assert status in (b"400", b"404")
