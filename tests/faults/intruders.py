"""The attack of those who do not belong here: forged events and sockets, no keys, too much, too slow; and what leaks."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx2
from sqlalchemy import func, select
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from shared.database import reading
from shared.schema import phone_events, tasks
from tests.faults.attacks import BRIEF, FLEETING, TALKER, note
from tests.faults.house import KEY, SECRET, Batch, House, answers, wait_for
from tests.faults.verdict import Verdict, judge

SLOW_CLIENTS = 150
"""Of each kind, against 2 processes of 16 threads."""
ANSWER_WITHIN = 10.0
TOO_LARGE = 33 << 20
_EVENT = {"event_name": "firstAnswer", "call_id": "forged", "request_id": "2611201530000000001", "pay_load": ""}


def intrude(house: House, seed: int) -> Verdict:
    """All at once with calls going on: whoever belongs here must not notice."""
    del seed  # there is no luck in it
    house.start("flower")
    wait_for(lambda: answers(f"http://127.0.0.1:{house.ports['flower']}/healthcheck"), 60, "Flower does not come up")
    batch = house.submit([BRIEF] * 3 + [TALKER] * 2)
    before = _rows(house)
    leaks: list[str] = []
    with slow_clients(house.ports["api"]), slow_clients(house.ports["media"]):
        tried = [
            *_forge_events(house),
            *_forge_sockets(house),
            *_come_without_key(house, batch),
            *_send_too_much(house),
        ]
        after = _rows(house)
        batch += house.submit([FLEETING] * 3, within=ANSWER_WITHIN)
    leaks += _flower(house, batch)
    house.end("flower")
    verdict = judge(house, batch, "forged, keyless, oversized and slow requests; leaks", len(tried) + 2 * SLOW_CLIENTS)
    wrong = [name for name, refused in tried if not refused]
    note(verdict, f"not refused: {wrong}" if wrong else "")
    note(verdict, f"rows that intruders made: {before} -> {after}" if before != after else "")
    return note(verdict, f"Flower shows {leaks}" if leaks else "")


@contextmanager
def slow_clients(port: int) -> Iterator[None]:
    """Connections that say nothing, half a head, or half a body, until the end of the block."""
    beginnings = (
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST /api/phone/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n[",
    )
    with ExitStack() as stack:
        for index in range(SLOW_CLIENTS):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=ANSWER_WITHIN))
            client.sendall(beginnings[index % len(beginnings)])
        yield


def _rows(house: House) -> tuple[int, int]:
    """Tasks, and events of the call that is only forged."""
    forged = phone_events.c.call_id == _EVENT["call_id"]
    with reading(house.engine) as connection:
        return (
            connection.execute(select(func.count()).select_from(tasks)).scalar_one(),
            connection.execute(select(func.count()).select_from(phone_events).where(forged)).scalar_one(),
        )


def _forge_events(house: House) -> Iterator[tuple[str, bool]]:
    url = f"{house.api}/api/phone/events"
    for name, query, header in (
        ("event without secret", "", ""),
        ("event with a wrong secret", "?secret=guess", ""),
        ("event with an empty secret", "?secret=", "Bearer"),
        ("event with the API key", "", f"Bearer {KEY}"),
        ("event with part of the secret", "", f"Bearer {SECRET[:-1]}"),
    ):
        headers = {"Authorization": header} if header else {}
        answer = httpx2.post(url + query, json=_EVENT, headers=headers, timeout=ANSWER_WITHIN, trust_env=False)
        yield name, answer.status_code == 401


def _forge_sockets(house: House) -> Iterator[tuple[str, bool]]:
    url = f"ws://127.0.0.1:{house.ports['media']}/phone"
    for name, query in (("socket without secret", ""), ("socket with a wrong secret", "?secret=guess")):
        try:
            with connect(url + query, open_timeout=ANSWER_WITHIN, proxy=None):
                yield name, False
        except InvalidStatus as refused:
            yield name, refused.response.status_code in (401, 403)
    frame = json.dumps({"type": "audio", "call_id": "nobody-knows-it", "data": "AAAA"})
    for name, said, code in (
        ("socket of an unknown call", frame, 1008),
        ("frame of 4 MiB", "x" * (4 << 20), 1009),
        ("socket that talks nonsense", "\u0000{", 1008),
    ):
        with connect(f"{url}?secret={SECRET}", open_timeout=ANSWER_WITHIN, proxy=None) as audio:
            try:
                audio.send(said)
                while True:
                    audio.recv(timeout=3 * ANSWER_WITHIN)
            except ConnectionClosed as closed:
                yield name, closed.rcvd is not None and closed.rcvd.code == code
            except TimeoutError:
                yield name, False


def _come_without_key(house: House, batch: Batch) -> Iterator[tuple[str, bool]]:
    number, batch_id = next(iter(batch.ids.items()))
    ticket = house.tickets([FLEETING])
    for key in ("", "guess", SECRET, KEY[:-1]):
        headers = {"X-API-Key": key, "User-Agent": f"phone {number}"}
        for path, body in (
            ("/api/aicall/createTasks", ticket),
            ("/aicall/stopTasks", {"batchIds": [batch_id]}),
            ("/api/aicall/calltask/list", {"pageNum": 1, "pageSize": 10}),
            ("/api/v1/do-not-call", {"numbers": [number]}),
        ):
            answer = httpx2.post(house.api + path, json=body, headers=headers, timeout=ANSWER_WITHIN, trust_env=False)
            yield f"{path} with key {key[:5]!r}", answer.status_code in (401, 404, 405) and number not in answer.text
    for path in ("/recordings/files?filename=../../etc/passwd", f"/{number}?phone={number}", "/metrics"):
        answer = httpx2.get(house.api + path, timeout=ANSWER_WITHIN, trust_env=False)
        yield path, answer.status_code in (401, 404)


def _send_too_much(house: House) -> Iterator[tuple[str, bool]]:
    url = httpx2.URL(house.api)
    for path, headers in (
        ("/api/aicall/createTasks", f"X-API-Key: {KEY}"),
        ("/api/phone/events", f"Authorization: Bearer {SECRET}"),
    ):
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\nContent-Type: application/json\r\nContent-Length: {TOO_LARGE}\r\n\r\n"
        with socket.create_connection((url.host, url.port or 80), timeout=3 * ANSWER_WITHIN) as client:
            client.sendall(head.encode() + b"[" * 1000)
            yield f"{TOO_LARGE >> 20} MiB to {path}", b" 413 " in client.recv(4096).split(b"\r\n")[0]


def _flower(house: House, batch: Batch) -> list[str]:
    """What Flower should not show; it must have seen tasks, and asks for a key."""
    url = f"http://127.0.0.1:{house.ports['flower']}"
    seen: list[str] = []

    def shown() -> bool:
        try:
            answer = httpx2.get(f"{url}/api/tasks", auth=("waihu", KEY), timeout=ANSWER_WITHIN, trust_env=False)
        except httpx2.HTTPError:
            return False
        seen[:] = [answer.text]
        return answer.status_code == 200 and len(answer.json()) > 0

    wait_for(shown, 60, "Flower shows no task")
    leaks = ["all to everybody"] if httpx2.get(f"{url}/api/tasks", trust_env=False).status_code != 401 else []
    forbidden = {
        "a number": tuple(batch.ids),
        "a secret": (KEY, SECRET),
        "a ticket": ("会员日", "\\u4f1a\\u5458\\u65e5"),
    }
    return leaks + [what for what, words in forbidden.items() if any(word in seen[0] for word in words)]
