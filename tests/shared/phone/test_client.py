"""The phone system's clients over real sockets, against a peer that misbehaves in every way it can."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from shared.errors import OutcomeUnknown, PhoneError, Refused, Unplaced
from shared.phone.client import AsyncPhoneSystem, PhoneSystem
from tests.shared.phone.peer import Answer, Peer, answering, closing_after, reply, reset, resetting_after, silent

TIMEOUT = 5.0
"""Far above any honest exchange on loopback, so that a busy machine does not decide a test."""
SHORT = 0.3
"""For peers that hang: the only tests that wait for a time-out."""
CALL_ID = "bbd910fc-e5fd-11f0-a660-525400eaab18"

Run = Callable[..., Any]


def run_blocking(url: str, action: str, *args: str, timeout: float = TIMEOUT) -> Any:
    with PhoneSystem(url, timeout=timeout) as phone:
        return getattr(phone, action)(*args)


def run_async(url: str, action: str, *args: str, timeout: float = TIMEOUT) -> Any:
    async def scenario() -> Any:
        async with AsyncPhoneSystem(url, timeout=timeout) as phone:
            return await getattr(phone, action)(*args)

    return asyncio.run(scenario())


@pytest.fixture(params=[run_blocking, run_async], ids=["blocking", "async"])
def run(request: pytest.FixtureRequest) -> Run:
    return request.param  # type: ignore[no-any-return]


def startcall(run: Run, url: str, timeout: float = TIMEOUT) -> str:
    return run(url, "startcall", "057128167421", "15101613608", "", "2508162111590110001", timeout=timeout)  # type: ignore[no-any-return]


def echoing(body: dict[str, Any], status: str = "200 OK") -> Answer:
    """Answers with ``body`` and the request's own clientMutationId."""

    def answer(connection: socket.socket, request: bytes) -> bool:
        sent = json.loads(request.partition(b"\r\n\r\n")[2])
        connection.sendall(reply(json.dumps({"clientMutationId": sent["clientMutationId"], **body}).encode(), status))
        return True

    return answer


PLACED = echoing({"code": 0, "msg": CALL_ID})


# --- what goes out -----------------------------------------------------------------------------------------------------


def test_startcall_sends_what_the_document_shows_and_returns_the_calls_id(run: Run) -> None:
    with Peer(PLACED) as peer:
        assert startcall(run, peer.url) == CALL_ID
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"POST /np/sandbox/dialog/ HTTP/1.1"
    sent = json.loads(body)
    assert sent.pop("clientMutationId")
    assert sent == {
        "action": "startcall",
        "caller": "057128167421",
        "callee": "15101613608",
        "isRecord": True,
        "exten": "",
        "requestId": "2508162111590110001",
    }


@pytest.mark.parametrize("action", ["start_stream", "stream_playback", "clean_stream", "stop_stream", "hangup"])
def test_each_action_goes_to_its_calls_own_path_with_empty_parameters(run: Run, action: str) -> None:
    with Peer(echoing({"code": 0, "msg": "ok"})) as peer:
        assert run(peer.url, action, CALL_ID) is None
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == f"POST /np/sandbox/dialog/{CALL_ID} HTTP/1.1".encode()
    sent = json.loads(body)
    assert (sent["action"], sent["parameters"]) == (action, "")


def test_a_file_is_named_in_parameters(run: Run) -> None:
    with Peer(echoing({"code": 0, "msg": "ok"})) as peer:
        run(peer.url, "file_playback", CALL_ID, "tianmao")
    sent = json.loads(peer.requests[0].partition(b"\r\n\r\n")[2])
    assert (sent["action"], sent["parameters"]) == ("file_playback", "tianmao")


def test_an_id_that_would_change_the_path_is_quoted(run: Run) -> None:
    with Peer(echoing({"code": 0, "msg": "ok"})) as peer:
        run(peer.url, "hangup", "../a?b c\r\nX: y")
    assert peer.requests[0].split(b"\r\n")[0] == b"POST /np/sandbox/dialog/..%2Fa%3Fb%20c%0D%0AX%3A%20y HTTP/1.1"


def test_each_request_carries_a_client_mutation_id_of_its_own() -> None:
    with Peer(echoing({"code": 0, "msg": CALL_ID})) as peer, PhoneSystem(peer.url, timeout=TIMEOUT) as phone:
        for _ in range(5):
            phone.startcall("1", "2", "", "3")
            phone.start_stream(CALL_ID)
    ids = [json.loads(request.partition(b"\r\n\r\n")[2])["clientMutationId"] for request in peer.requests]
    assert len(set(ids)) == 10


def test_credentials_in_the_url_go_out_as_basic_authorization(run: Run) -> None:
    with Peer(PLACED) as peer:
        startcall(run, peer.url.replace("://", "://us%20er:p%40ss@"))
    assert b"Authorization: Basic dXMgZXI6cEBzcw==" in peer.requests[0]


# --- connections -------------------------------------------------------------------------------------------------------


def test_every_startcall_has_a_fresh_connection_and_the_other_actions_share_a_warm_one() -> None:
    with Peer(PLACED) as peer, PhoneSystem(peer.url, timeout=TIMEOUT) as phone:
        for _ in range(3):
            phone.startcall("1", "2", "", "3")
        assert peer.connections == 3
        for _ in range(3):
            phone.start_stream(CALL_ID)
        assert peer.connections == 4
        phone.startcall("1", "2", "", "3")
        assert peer.connections == 5


def test_the_async_client_keeps_connections_the_same_way() -> None:
    async def scenario(url: str) -> None:
        async with AsyncPhoneSystem(url, timeout=TIMEOUT) as phone:
            for _ in range(3):
                await phone.startcall("1", "2", "", "3")
            for _ in range(3):
                await phone.start_stream(CALL_ID)

    with Peer(PLACED) as peer:
        asyncio.run(scenario(peer.url))
        assert peer.connections == 4


def test_a_warm_connection_that_the_peer_closed_meanwhile_is_not_used_again() -> None:
    with Peer(closing_after(reply(b'{"code":0,"msg":""}', keep=True))) as peer:
        with PhoneSystem(peer.url, timeout=TIMEOUT) as phone:
            for _ in range(3):
                # The peer closes right behind its answer; whether the client has seen that decides between a fresh
                # connection and an unknown outcome, but never a second sending of one request.
                try:
                    phone.start_stream(CALL_ID)
                except OutcomeUnknown:
                    pass
        assert len(peer.requests) <= 3


def test_many_threads_share_one_client() -> None:
    with Peer(PLACED) as peer, PhoneSystem(peer.url, timeout=TIMEOUT) as phone, ThreadPoolExecutor(16) as threads:
        ids = list(threads.map(lambda number: phone.startcall("1", "2", "", str(number)), range(64)))
    assert ids == [CALL_ID] * 64
    assert len(peer.requests) == 64 == peer.connections


def test_no_proxy_is_taken_from_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Peer(PLACED) as peer:
        assert startcall(run, peer.url) == CALL_ID


# --- nothing left: unplaced --------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("action", ["startcall", "hangup", "start_stream"])
def test_a_phone_system_that_is_down_leaves_everything_unplaced(run: Run, action: str) -> None:
    args = ("1", "2", "", "3") if action == "startcall" else (CALL_ID,)
    with pytest.raises(Unplaced, match="WAIHU_PHONE_URL"):
        run(f"http://127.0.0.1:{free_port()}", action, *args)


def test_a_host_name_that_nobody_knows_is_unplaced(run: Run) -> None:
    with pytest.raises(Unplaced):
        startcall(run, "http://phone.invalid/")


def test_a_tls_handshake_that_fails_is_unplaced(run: Run) -> None:
    def babble(connection: socket.socket) -> bool:
        connection.sendall(b"this is no TLS\r\n" * 4)
        connection.shutdown(socket.SHUT_WR)
        return False

    with Peer(silent, on_connect=babble) as peer, pytest.raises(Unplaced):
        startcall(run, peer.url.replace("http:", "https:"))
    assert peer.connections == 1


def test_a_tls_handshake_that_hangs_is_unplaced(run: Run) -> None:
    with Peer(silent, on_connect=lambda _: False) as peer, pytest.raises(Unplaced):
        startcall(run, peer.url.replace("http:", "https:"), timeout=SHORT)
    assert peer.connections == 1


def test_a_connect_that_hangs_is_unplaced(run: Run) -> None:
    """A listener whose backlog is full answers no SYN: the connect waits until its time is over."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        fillers = []
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        try:
            with pytest.raises(Unplaced):
                startcall(run, f"http://127.0.0.1:{port}", timeout=SHORT)
        finally:
            for filler in fillers:
                filler.close()


def test_no_free_connection_in_time_is_unplaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.phone.client.MAX_CONNECTIONS", 1)
    begun, finish = threading.Event(), threading.Event()

    def slow(connection: socket.socket, request: bytes) -> bool:
        begun.set()
        finish.wait(TIMEOUT)
        return PLACED(connection, request)

    with Peer(slow) as peer:
        impatient = PhoneSystem(peer.url, timeout=2.0)
        with ThreadPoolExecutor(2) as threads:
            first = threads.submit(startcall_until, impatient)
            begun.wait(TIMEOUT)
            with pytest.raises(Unplaced):
                impatient.startcall("1", "2", "", "second")
            finish.set()
            assert isinstance(first.result(), OutcomeUnknown | str)
        impatient.close()
        assert not any(b"second" in request for request in peer.requests)


def startcall_until(phone: PhoneSystem) -> str | PhoneError:
    try:
        return phone.startcall("1", "2", "", "first")
    except PhoneError as error:
        return error


def test_who_asks_is_told_once_before_a_byte_left() -> None:
    told: list[int] = []
    with Peer(PLACED) as peer, PhoneSystem(peer.url, timeout=TIMEOUT) as phone:
        phone.startcall("1", "2", "", "3", leaving=lambda: told.append(len(peer.requests)))
    assert told == [0]
    assert len(peer.requests) == 1


def test_what_is_raised_right_before_the_first_byte_is_raised_and_nothing_leaves() -> None:
    class Stopped(Exception): ...

    def stopped() -> None:
        raise Stopped

    with Peer(PLACED) as peer, PhoneSystem(peer.url, timeout=TIMEOUT) as phone, pytest.raises(Stopped):
        phone.startcall("1", "2", "", "3", leaving=stopped)
    assert peer.requests == []


def test_a_process_that_stood_still_right_before_the_first_byte_does_not_ring_late() -> None:
    def stand_still() -> None:
        threading.Event().wait(2 * SHORT)

    with Peer(PLACED) as peer, PhoneSystem(peer.url, timeout=SHORT) as phone, pytest.raises(Unplaced):
        phone.startcall("1", "2", "", "3", leaving=stand_still)
    assert peer.requests == []


@pytest.mark.parametrize("dead", ["hangs", "refuses"])
def test_of_several_addresses_a_dead_one_leaves_time_for_the_next(
    run: Run, dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def two(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in ("phone.test", b"phone.test"):
            return real(host, port, *args, **kwargs)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, int(port))) for ip in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with Peer(PLACED) as peer, ExitStack() as open_sockets:
        port = int(peer.url.split(":")[2].split("/")[0])
        if dead == "hangs":
            open_sockets.enter_context(socket.create_server(("127.0.0.2", port), backlog=0))
            for _ in range(8):
                filler = open_sockets.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.2", port))
        assert startcall(run, f"http://phone.test:{port}/np", timeout=2.0) == CALL_ID
    assert len(peer.requests) == 1


# --- told in so many words: refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "403 Forbidden", "429 Too Many Requests"])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"code": 1, "msg": "no line"}, 1),
        ({"code": "486", "msg": "no line"}, 486),
        ({"code": -7, "msg": None}, -7),
        ({"code": 5.0}, 5),
    ],
)
def test_a_code_that_is_not_zero_is_a_refusal_however_it_is_written(
    run: Run, status: str, body: dict[str, Any], code: int
) -> None:
    with Peer(echoing(body, status)) as peer, pytest.raises(Refused) as raised:
        startcall(run, peer.url)
    assert raised.value.reply_code == code
    assert len(peer.requests) == 1


def test_a_refused_hangup_means_that_the_call_is_gone(run: Run) -> None:
    with Peer(echoing({"code": 404, "msg": "no such call"})) as peer:
        assert run(peer.url, "hangup", CALL_ID) is None


def test_a_refused_playback_action_is_raised(run: Run) -> None:
    with Peer(echoing({"code": 409, "msg": "start_stream first"})) as peer, pytest.raises(Refused, match="409"):
        run(peer.url, "stream_playback", CALL_ID)


def test_code_zero_as_text_is_success(run: Run) -> None:
    with Peer(echoing({"code": "0", "msg": CALL_ID})) as peer:
        assert startcall(run, peer.url) == CALL_ID


@pytest.mark.parametrize("echo", [{"clientMutationId": "another"}, {"clientMutationId": None}, {"clientMutationId": 4}])
def test_a_wrong_echo_is_logged_and_otherwise_harmless(
    run: Run, echo: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with Peer(echoing({"code": 0, "msg": CALL_ID, **echo})) as peer, caplog.at_level(logging.WARNING, "shared.phone"):
        assert startcall(run, peer.url) == CALL_ID
    assert [record.message for record in caplog.records] == ["the phone system echoed another clientMutationId"]


def test_a_right_echo_is_not_mentioned(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    with Peer(PLACED) as peer, caplog.at_level(logging.WARNING, "shared.phone"):
        startcall(run, peer.url)
    assert not caplog.records


# --- may have left: unknown, and never again ---------------------------------------------------------------------------

GOOD = reply(json.dumps({"code": 0, "msg": CALL_ID, "clientMutationId": "x"}).encode())
UNREADABLE = {
    "500": reply(b'{"code":500,"msg":"boom"}', "500 Internal Server Error"),
    "502 that claims a refusal": reply(b'{"code":1,"msg":"no"}', "502 Bad Gateway"),
    "503 that claims success": reply(b'{"code":0,"msg":"an-id"}', "503 Service Unavailable"),
    "200 with HTML": reply(b"<html>hello</html>"),
    "200 with nothing": reply(b""),
    "200 with null": reply(b"null"),
    "200 with an array": reply(b'[{"code":0,"msg":"an-id"}]'),
    "no code": reply(b'{"msg":"an-id"}'),
    "code null": reply(b'{"code":null,"msg":"an-id"}'),
    "code true": reply(b'{"code":true,"msg":"an-id"}'),
    "code in words": reply(b'{"code":"zero","msg":"an-id"}'),
    "code 0 and a half": reply(b'{"code":0.5,"msg":"an-id"}'),
    "code 0 without msg": reply(b'{"code":0}'),
    "code 0 and msg empty": reply(b'{"code":0,"msg":"  "}'),
    "code 0 and msg null": reply(b'{"code":0,"msg":null}'),
    "code 0 and msg an object": reply(b'{"code":0,"msg":{"uuid":"an-id"}}'),
    "code 0 and an endless id": reply(b'{"code":0,"msg":"' + b"x" * 5000 + b'"}'),
    "302": b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
    "307 to itself": b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /np/sandbox/dialog/\r\nContent-Length: 0\r\n\r\n",
    "404 with HTML": reply(b"<html>not found</html>", "404 Not Found"),
    "404 with code 0": reply(b'{"code":0,"msg":"an-id"}', "404 Not Found"),
    "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "401 with a challenge": b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n',
    "408": b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    "no HTTP at all": b"SIP/2.0 200 OK\r\n\r\n",
    "an SSH greeting": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "two lengths": b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{"code":0,"msg":"an-id"}',
    "a body too long": reply(b'{"code":0,"msg":"an-id","more":"' + b"x" * (1 << 17) + b'"}'),
    "bytes that are no UTF-8": reply(b'{"code":0,"msg":"\xff\xfe"}'),
}


@pytest.mark.parametrize("raw", UNREADABLE.values(), ids=UNREADABLE)
def test_an_answer_that_cannot_be_believed_is_unknown_and_nothing_is_sent_again(run: Run, raw: bytes) -> None:
    with Peer(closing_after(raw)) as peer, pytest.raises(OutcomeUnknown):
        startcall(run, peer.url)
    assert len(peer.requests) == 1
    assert peer.connections == 1


def test_the_connection_is_reset_before_the_request_is_read(run: Run) -> None:
    """Whether bytes had left by then is a race; either answer may come of it, a second sending never."""

    def refuse(connection: socket.socket) -> bool:
        reset(connection)
        return False

    with Peer(silent, on_connect=refuse) as peer, pytest.raises((OutcomeUnknown, Unplaced)):
        startcall(run, peer.url)
    assert peer.connections == 1
    assert not peer.requests


@pytest.mark.parametrize("ending", [closing_after, resetting_after], ids=["closed", "reset"])
def test_an_answer_cut_at_any_byte_is_unknown(ending: Callable[[bytes], Answer]) -> None:
    cuts = iter(range(len(GOOD)))
    with (
        Peer(lambda connection, request: ending(GOOD[: next(cuts)])(connection, request)) as peer,
        PhoneSystem(peer.url, timeout=TIMEOUT) as phone,
    ):
        for cut in range(len(GOOD)):
            with pytest.raises(OutcomeUnknown):
                phone.startcall("1", "2", "", str(cut))
            assert len(peer.requests) == cut + 1
        assert peer.connections == len(GOOD)


@pytest.mark.parametrize("ending", [closing_after, resetting_after], ids=["closed", "reset"])
def test_an_answer_cut_at_any_byte_is_unknown_to_the_async_client(ending: Callable[[bytes], Answer]) -> None:
    cuts = iter(range(len(GOOD)))

    async def scenario(url: str) -> None:
        async with AsyncPhoneSystem(url, timeout=TIMEOUT) as phone:
            for cut in range(len(GOOD)):
                with pytest.raises(OutcomeUnknown):
                    await phone.startcall("1", "2", "", str(cut))

    with Peer(lambda connection, request: ending(GOOD[: next(cuts)])(connection, request)) as peer:
        asyncio.run(scenario(peer.url))
        assert len(peer.requests) == peer.connections == len(GOOD)


@pytest.mark.parametrize("cut", [0, 1, 17, GOOD.index(b"\r\n\r\n") + 4, len(GOOD) - 1])
def test_an_answer_that_hangs_is_unknown_once_its_time_is_over(run: Run, cut: int) -> None:
    with Peer(answering(GOOD[:cut])) as peer, pytest.raises(OutcomeUnknown, match="startcall may have left"):
        startcall(run, peer.url, timeout=SHORT)
    assert len(peer.requests) == 1


def test_a_peer_that_sends_a_byte_now_and_then_cannot_stretch_the_deadline(run: Run) -> None:
    over = threading.Event()

    def drip(connection: socket.socket, _request: bytes) -> bool:
        for byte in GOOD:
            if over.wait(SHORT / 3):
                return False
            connection.sendall(bytes([byte]))
        return True

    with Peer(drip) as peer:
        with pytest.raises(OutcomeUnknown):
            startcall(run, peer.url, timeout=SHORT)
        over.set()


@pytest.mark.parametrize("action", ["hangup", "start_stream"])
def test_an_action_whose_answer_breaks_off_is_unknown_and_not_sent_again(run: Run, action: str) -> None:
    with Peer(resetting_after(GOOD[:40])) as peer, pytest.raises(OutcomeUnknown):
        run(peer.url, action, CALL_ID)
    assert len(peer.requests) == 1


def test_after_a_failure_the_next_request_is_served(run: Run) -> None:
    answers = iter([resetting_after(GOOD[:30]), PLACED])
    with Peer(lambda connection, request: next(answers)(connection, request)) as peer:
        with pytest.raises(OutcomeUnknown):
            startcall(run, peer.url)
        assert startcall(run, peer.url) == CALL_ID


@pytest.mark.parametrize("url", ["", "127.0.0.1:18059", "ftp://host/", "http://"])
def test_what_is_no_base_url_is_said_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        PhoneSystem(url, timeout=TIMEOUT)


def test_errors_hold_no_phone_number(run: Run) -> None:
    for answer in (closing_after(GOOD[:40]), echoing({"code": 1, "msg": "no"})):
        with Peer(answer) as peer, pytest.raises(PhoneError) as raised:
            startcall(run, peer.url)
        assert "15101613608" not in str(raised.value)
