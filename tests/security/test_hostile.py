"""What outsiders send to the API as it is shipped: paths, headers, bodies and connections that mean harm."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from tests.security.served import KEY, SECRET, served

pytestmark = pytest.mark.slow

WITHIN = 20.0
SLOW_CLIENTS = 60
"""Against 2 processes of 16 threads: nearly twice as many as there are threads."""
NUMBER = "13987654321"
FORGED = "2026-11-20 14:00:00.123 INFO web all is well"
ESCAPES = f"\x1b[2J\x1b]0;owned\x07\r\n{FORGED}\u2028\u202e"
_TELLING = re.compile(r"root:|Traceback|site-packages|\.py\b|sqlalchemy|werkzeug|gunicorn", re.IGNORECASE)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("house")


@pytest.fixture(scope="module")
def url(directory: Path) -> Iterator[str]:
    with served(directory, LOG_LEVEL="DEBUG") as url:
        (directory / "recordings" / "ai_call").mkdir()
        (directory / "recordings" / "secret.wav").write_bytes(b"root: of a file that is no recording's")
        yield url


def said(directory: Path) -> str:
    return (directory / "web.log").read_text("utf-8", "replace")


def raw(url: str, *pieces: bytes) -> bytes:
    """What is answered to bytes that no client library would send; the first 64 KiB of it."""
    at = httpx2.URL(url)
    with socket.create_connection((at.host, at.port or 80), timeout=WITHIN) as client:
        for piece in pieces:
            client.sendall(piece)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while len(answer) < 1 << 16 and (more := client.recv(1 << 16)):
            answer += more
    return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


_UP = ("../", "..\\", "%2e%2e/", "%2e%2e%2f", "..%2f", "..%5c", "%252e%252e%252f", "..%c0%af", "..%ef%bc%8f", "....//")
_GOAL = ("etc/passwd", "secret.wav", "waihu.db")
PATHS = [
    *(up * depth + goal for up in _UP for goal in _GOAL for depth in (1, 6)),
    *(f"ai_call/2026/01/05/10/{up * 5}{goal}" for up in _UP for goal in _GOAL),
    *("/etc/passwd", "//etc/passwd", "file:///etc/passwd", "\\\\host\\share", "C:\\boot.ini", "~root/.bashrc"),
    *("ai_call/2026/01/05/10/2601051000120000042.wav%00.txt", "ai_call/2026/01/05/10/2601051000120000042.wav%0a"),
    *("%00", "%0d%0aX-Injected:%201", "ai_call", "ai_call/", ".", "..", "secret.wav", "ai_call/../secret.wav"),
]


@pytest.mark.parametrize("route", ["/recordings/files?filename=", "/api/recordings/files?filename=", "/recordings/"])
def test_no_spelling_of_a_path_leaves_the_recordings(url: str, route: str) -> None:
    got = []
    for path in PATHS:
        for written in (path, quote(path, safe="")):
            request = f"GET {route}{written} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nConnection: close\r\n\r\n"
            answer = raw(url, request.encode())
            if status(answer) not in (400, 404) or b"X-Injected" in answer.partition(b"\r\n\r\n")[0]:
                got.append((written, answer[:200]))
    assert got == []


@pytest.mark.parametrize("name", ["X-Request-ID", "Idempotency-Key", "User-Agent", "X-Forwarded-For", "Host"])
def test_no_header_comes_back_as_another_one_or_reaches_the_log(url: str, directory: Path, name: str) -> None:
    for value in (
        b"a\x1b[31mred",
        b"a\rX-Injected: 1",
        b"a\nX-Injected: 1",
        b"a%0d%0aX-Injected: 1",
        b"\xff\xfe",
        b"x" * 5000,
    ):
        head = b"Host: x\r\n" if name != "Host" else b""
        request = b"POST /api/v1/tasks HTTP/1.1\r\n" + head + name.encode() + b": " + value
        request += b"\r\nX-API-Key: " + KEY.encode() + b"\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        answer = raw(url, request + b"Connection: close\r\n\r\n[]")
        assert status(answer) in (0, 400, 431), (value, answer[:200])
        headers = answer.partition(b"\r\n\r\n")[0]
        assert not re.search(rb"^X-Injected:", headers, re.MULTILINE)
        assert b"\x1b" not in answer
    assert "\x1b" not in said(directory)


def test_nothing_a_client_writes_acts_on_a_terminal_or_forges_a_line(url: str, directory: Path) -> None:
    key = {"X-API-Key": KEY}
    good = {
        "ticketNo": "T" + ESCAPES,
        "phone": NUMBER,
        "username": ESCAPES,
        "ticketType": "t",
        "ticketContent": ESCAPES,
    }
    bad = good | {"phone": NUMBER + ESCAPES}
    with httpx2.Client(base_url=url, headers=key, timeout=WITHIN, trust_env=False) as client:
        for body in ([good], [bad], {"batchIds": [ESCAPES]}, {"callType": ESCAPES, "telephone": NUMBER}):
            for path in ("createTasks", "stopTasks", "calltask/list", "records/list"):
                assert client.post(f"/api/aicall/{path}", json=body).status_code == 200
        assert client.get("/recordings/files", params={"filename": ESCAPES}).status_code == 400
        assert client.get("/api/v1/calls/" + quote(ESCAPES, safe="")).status_code == 404
        assert client.get("/api/v1/audit", params={"actor": ESCAPES}).status_code == 200
        assert client.post("/api/v1/pause", json={"ticketType": ESCAPES, "reason": ESCAPES}).status_code == 200
        assert client.post("/api/v1/webhooks", json={"url": "http://x/" + ESCAPES}).status_code == 422
        event = {"event_name": ESCAPES, "call_id": ESCAPES, "callee": NUMBER}
        events = client.post("/api/phone/events", json=event, params={"secret": SECRET})
        assert events.json()["code"] == 0
    lines = said(directory).split("\n")
    assert not [line for line in lines if line.startswith(FORGED)]
    assert not set("".join(lines)) & {chr(code) for code in (*range(32), *range(127, 160), 0x2028, 0x202E)}


def test_logs_hold_no_number_no_secret_and_nothing_of_a_ticket(url: str, directory: Path) -> None:
    ticket = {"ticketNo": "T-leak", "phone": NUMBER, "username": "李雷", "ticketType": "t", "ticketContent": "秘密内容"}
    with httpx2.Client(base_url=url, timeout=WITHIN, trust_env=False) as client:
        for headers in ({"X-API-Key": KEY}, {"X-API-Key": "guessed-key"}, {"Authorization": f"Bearer {SECRET}"}):
            client.post("/api/aicall/createTasks", json=[ticket], headers=headers)
            client.get(f"/api/v1/do-not-call?number={NUMBER}&key={KEY}", headers=headers)
            client.delete(f"/api/v1/do-not-call/{NUMBER}", headers=headers)
            client.post(f"/api/phone/events?secret={SECRET}", json={"event_name": "cdr", "callee": NUMBER})
            client.post("/api/phone/events?secret=guessed-secret", json={"event_name": "cdr", "callee": NUMBER})
    found = said(directory)
    assert "request" in found
    assert [word for word in (NUMBER, KEY, SECRET, "guessed-", "李雷", "秘密内容", "T-leak") if word in found] == []


def test_no_failure_tells_what_the_house_is_made_of(url: str) -> None:
    key = f"X-API-Key: {KEY}\r\nContent-Type: application/json\r\n".encode()
    long = b"/" + b"a" * 9000
    requests = [
        b"GET /%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET " + long + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"FOO / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"garbage\r\n\r\n",
        b"POST /api/aicall/createTasks HTTP/1.1\r\nHost: x\r\n" + key + b"Content-Length: -1\r\n\r\n",
        b"POST /api/aicall/createTasks HTTP/1.1\r\nHost: x\r\n" + key + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /api/aicall/createTasks HTTP/1.1\r\nHost: x\r\n"
        + key
        + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\n" + key + b"Transfer-Encoding: chunked\r\n\r\n5\r\n[",
        b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\n" + key + b"Transfer-Encoding: chunked\r\n\r\n1\r\n[x",
        b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\n" + key + b"Transfer-Encoding: chunked\r\n\r\n1;\n\r\n[",
        b"POST /api/aicall/createTasks HTTP/1.1\r\nHost: x\r\n" + key + b"Content-Length: 60000\r\n\r\n" + b"[" * 60000,
        b"POST /api/aicall/createTasks HTTP/1.1\r\nHost: x\r\n" + key + b"Content-Length: 3\r\n\r\n\xff\xfe\xfd",
    ]
    for request in requests:
        answer = raw(url, request)
        assert status(answer) < 500 or status(answer) == 501, (request[:80], answer[:300])
        body = answer.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")
        assert not _TELLING.search(body), (request[:80], body)


def test_slow_clients_hold_up_nobody_else(url: str) -> None:
    at = httpx2.URL(url)
    upload = b"POST /api/aicall/createTasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
    beginnings = (
        b"",
        b"GET /",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        upload + b"900\r\n\r\n[",
        upload + b"200000\r\n\r\n[" + b" " * 70_000,
    )
    with ExitStack() as stack:
        for index in range(SLOW_CLIENTS):
            client = stack.enter_context(socket.create_connection((at.host, at.port or 80), timeout=WITHIN))
            client.sendall(beginnings[index % len(beginnings)])
        for index in range(10):
            ticket = {
                "ticketNo": f"S{index}",
                "phone": "13900000000",
                "username": "u",
                "ticketType": "t",
                "ticketContent": "c",
            }
            answer = httpx2.post(
                f"{url}/api/aicall/createTasks",
                json=[ticket],
                headers={"X-API-Key": KEY},
                timeout=WITHIN,
                trust_env=False,
            )
            assert answer.json()["code"] == 200


@pytest.mark.parametrize("path", ["/api/aicall/createTasks", "/api/phone/events", "/api/v1/do-not-call/import"])
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_body_without_end_is_cut_off(url: str, path: str, framing: str) -> None:
    kind = "text/csv" if path.endswith("import") else "application/json"
    credentials = f"Authorization: Bearer {SECRET if 'phone' in path else KEY}\r\nContent-Type: {kind}\r\n"
    at = httpx2.URL(url)
    with socket.create_connection((at.host, at.port or 80), timeout=2 * WITHIN) as client:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{credentials}"
        head += f"Content-Length: {40 << 20}\r\n\r\n" if framing == "length" else "Transfer-Encoding: chunked\r\n\r\n"
        piece = b"[" * (1 << 20) if framing == "length" else b"%x\r\n" % (1 << 20) + b"[" * (1 << 20) + b"\r\n"
        client.sendall(head.encode())
        try:
            for _ in range(40):
                client.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it did not wait for the rest
        try:
            answer = client.recv(1 << 16)
        except ConnectionResetError:
            return
    assert status(answer) == 413


def test_an_event_is_only_believed_with_the_secret_and_can_only_speak_of_calls_that_are(url: str) -> None:
    event = {"event_name": "firstAnswer", "call_id": "forged", "request_id": "2611201530000000001", "pay_load": ""}
    with httpx2.Client(base_url=url, timeout=WITHIN, trust_env=False) as client:
        for query, header in (("", ""), ("guess", ""), ("", f"Bearer {KEY}"), (SECRET[:-1], ""), (SECRET + "x", "")):
            headers = {"Authorization": header} if header else {}
            answer = client.post("/api/phone/events", json=event, params={"secret": query}, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, 401)
        stored = client.post("/api/phone/events", json=event, headers={"Authorization": f"Bearer {SECRET}"})
        assert stored.json()["code"] == 0
        known = client.get("/api/v1/calls/forged", headers={"X-API-Key": KEY})
        assert known.status_code == 404, "an event must never make a call"
