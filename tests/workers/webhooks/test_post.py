"""One POST: to the address that was checked and no other, in bounded time, whatever the receiver does."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import httpcore2
import pytest

from shared.phone.deadline import DeadlineBackend
from tests.shared.phone.peer import Peer, answering, closing_after, resetting_after, silent
from tests.workers.webhooks.receiver import Receiver
from workers.webhooks.post import Post

PUBLIC, OTHER_PUBLIC = "93.184.216.34", "93.184.216.35"
HEADERS = [(b"Waihu-Delivery", b"1")]
SHORT = 0.5
"""Seconds for a whole exchange with a receiver that will never answer; long enough for one that does at once."""


class Router(httpcore2.NetworkBackend):
    """The internet: public addresses lead to this machine's ``port``, loopback to itself; keeps what was dialled."""

    def __init__(self, port: int, *, dead: Sequence[str] = ()) -> None:
        self.dialled: list[str] = []
        self._port = port
        self._dead = dead
        self._sockets = DeadlineBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        self.dialled.append(host)
        if host in self._dead:
            raise httpcore2.ConnectError("unreachable")
        return self._sockets.connect_tcp("127.0.0.1", self._port, timeout, local_address, socket_options)


def resolver(*answers: Sequence[str]) -> Callable[[str, int], Sequence[str]]:
    """Answers differently each time."""
    left = list(answers)
    return lambda _host, _port: left.pop(0)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as opened:
        yield opened


def here(**options: float) -> Post:
    return Post(allow_private=True, **options)  # type: ignore[arg-type]


def test_a_name_that_changes_its_answer_gains_nothing(receiver: Receiver) -> None:
    """DNS rebinding: looked up once a delivery, checked, and connected to what was checked."""
    router = Router(receiver.port)
    post = Post(allow_private=False, lookup=resolver([PUBLIC], ["127.0.0.1"], [PUBLIC, "10.0.0.1"]), sockets=router)
    url = "http://hooks.example.com:8080/hook"
    assert post.send(url, HEADERS, b"{}").delivered
    assert receiver.received[0].headers["host"] == "hooks.example.com:8080"
    for _ in range(2):
        refused = post.send(url, HEADERS, b"{}")
        assert (refused.delivered, refused.reached) == (False, False)
        assert "not public" in refused.error
    assert router.dialled == [PUBLIC]
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://2130706433:{port}/",
        "http://0x7f.1:{port}/",
        "http://0177.0.0.1:{port}/",
        "http://0.0.0.0:{port}/",
    ],
)
def test_loopback_is_not_reached_unless_it_is_allowed(receiver: Receiver, url: str) -> None:
    outcome = Post(allow_private=False).send(url.format(port=receiver.port), HEADERS, b"{}")
    assert (outcome.delivered, outcome.reached) == (False, False)
    assert receiver.received == []


def test_a_redirect_to_loopback_is_a_failure_and_nothing_more(receiver: Receiver) -> None:
    with Receiver((302, {"Location": receiver.url})) as outside:
        post = Post(allow_private=False, lookup=resolver([PUBLIC]), sockets=Router(outside.port))
        outcome = post.send("http://hooks.example.com/", HEADERS, b"{}")
    assert outcome.error == "HTTP status 302 (redirects are not followed)"
    assert receiver.received == []


def test_the_next_address_is_tried_when_one_is_dead(receiver: Receiver) -> None:
    router = Router(receiver.port, dead=[PUBLIC])
    post = Post(allow_private=False, lookup=resolver([PUBLIC, OTHER_PUBLIC]), sockets=router)
    assert post.send("http://hooks.example.com/", HEADERS, b"{}").delivered
    assert router.dialled == [PUBLIC, OTHER_PUBLIC]


def test_a_proxy_in_the_environment_is_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert here().send(receiver.url, HEADERS, b"{}").delivered


@pytest.mark.parametrize("status", [100, 300, 400, 404, 410, 429, 500, 503])
def test_only_2xx_is_a_delivery(status: int) -> None:
    raw = f"HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n".encode()
    with Peer(answering(raw)) as peer:
        outcome = here(total=SHORT).send(peer.url, HEADERS, b"{}")
    assert not outcome.delivered
    assert outcome.reached == (status not in (100, 429, 503))


@pytest.mark.parametrize(
    "answer",
    [
        silent,
        closing_after(b""),
        resetting_after(b""),
        closing_after(b"HTTP/1.1 200"),
        closing_after(b"nothing that is HTTP\r\n\r\n"),
        answering(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        answering(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 500_000),
    ],
)
def test_what_is_no_answer_is_a_failure_in_time(answer: Callable[[socket.socket, bytes], bool]) -> None:
    with Peer(answer) as peer:
        outcome = here(total=SHORT).send(peer.url, HEADERS, b"{}")
    assert (outcome.delivered, outcome.reached) == (False, False)
    assert outcome.error.startswith("no answer: ")


def test_a_receiver_that_drips_gets_no_more_time() -> None:
    over = threading.Event()

    def drip(connection: socket.socket, _request: bytes) -> bool:
        for byte in b"HTTP/1.1 200 OK\r\n" * 1000:
            if over.wait(0.05):
                break
            connection.sendall(bytes([byte]))
        return False

    with Peer(drip) as peer:
        outcome = here(total=SHORT).send(peer.url, HEADERS, b"{}")
        over.set()
    assert outcome.error == "no answer: ReadTimeout"


def test_a_body_without_end_is_not_read() -> None:
    over = threading.Event()
    sent = [0]

    def flood(connection: socket.socket, _request: bytes) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not over.is_set():
            sent[0] += connection.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        return False

    with Peer(flood) as peer:
        assert here().send(peer.url, HEADERS, b"{}").delivered
        over.set()
    assert sent[0] < 64 << 20


def test_nobody_listens(receiver: Receiver) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        outcome = here().send(f"http://127.0.0.1:{bound.getsockname()[1]}/", HEADERS, b"{}")
    assert outcome.error == "no answer: ConnectError"


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for hooks.example.com, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    place = tmp_path_factory.mktemp("tls")
    files = place / "certificate.pem", place / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=hooks.example.com", "-addext", "subjectAltName=DNS:hooks.example.com"]
    command += ["-out", str(files[0]), "-keyout", str(files[1])]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return files


def test_tls_asks_for_the_name_and_checks_it_while_the_connection_goes_to_the_address(
    certificate: tuple[Path, Path],
) -> None:
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*map(str, certificate))
    context.set_servername_callback(lambda _socket, name, _context: names.append(name))

    def serve(listener: socket.socket) -> None:
        for _ in range(2):
            plain, _address = listener.accept()
            try:
                with context.wrap_socket(plain, server_side=True) as connection:
                    connection.settimeout(10)
                    request = b""
                    # To its end: closing with some of it unread would reset the connection.
                    while not request.endswith(b"\r\n\r\n{}") and (received := connection.recv(65536)):
                        request += received
                    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            except (ssl.SSLError, ConnectionError):
                plain.close()

    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        router = Router(listener.getsockname()[1])
        post = Post(allow_private=False, lookup=lambda *_: [PUBLIC], sockets=router, tls=trusting)
        assert post.send("https://hooks.example.com/", HEADERS, b"{}").delivered
        assert post.send("https://else.example.com/", HEADERS, b"{}").error == "no answer: ConnectError"
        thread.join(30)
    assert names == ["hooks.example.com", "else.example.com"]
    assert router.dialled == [PUBLIC, PUBLIC]
