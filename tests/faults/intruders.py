"""The attack of those who do not belong here: forged events and sockets, no keys, paths out of the recordings, webhooks
into the house, too much, too slow; and what leaks."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import cast
from urllib.parse import parse_qs, quote, urlsplit

import httpx2
from sqlalchemy import func, insert, select
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from shared.database import reading, writing
from shared.schema import phone_events, tasks, webhook_deliveries, webhook_endpoints
from tests.faults import leaks
from tests.faults.attacks import BRIEF, FLEETING, TALKER
from tests.faults.house import FINAL_WITHIN, KEY, SECRET, WEBHOOK_SECRET, Batch, House, answers, wait_for
from tests.faults.verdict import Struck, judge, note
from tests.table import Verdict

SLOW_CLIENTS = 150
"""Of each kind, against 2 processes of 16 threads."""
ANSWER_WITHIN = 10.0
GIVEN_UP_WITHIN = 30.0
"""The API gives a request 10 s to arrive, media a handshake 5; both look once a second."""
FLOWER_PAGES = 20
WITH_MODEL = "客服回访"
"""A ticket type whose robot is a language model (playbooks/客服助手.md): what is said there goes out to a provider, too."""
LINKS = 5
QUEUES = ("dispatch", "dial", "events", "results", "webhooks")
_ALLOWED = {"X-API-Key": KEY}
_ESCAPES = "\x1b[2J\x1b]0;owned\x07\r\nX-Injected: 1\u2028"
_INTO_THE_HOUSE = (
    "http://127.0.0.1:8899/api/v1/stats",
    "http://localhost:8899/",
    "http://0.0.0.0:8899/",
    "http://2130706433/",
    "http://017700000001/",
    "http://0x7f.1/",
    "http://127.1/",
    "http://[::1]:8899/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[fd00:ec2::254]/latest/meta-data",
    "http://169.254.169.254/latest/meta-data",
    "http://100.100.100.200/latest/meta-data",
    "http://168.63.129.16/",
    "http://10.0.0.1/",
    "http://１２７.0.0.1/",
    "http://user@127.0.0.1/",
    "http://127.0.0.1:6379/",
    "http://hooks.example.com\\@127.0.0.1/",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "file:///etc/passwd",
)
"""Every way of writing an address that is not for outsiders; a redirect is not followed at all (workers/webhooks)."""
TOO_LARGE = 33 << 20
_EVENT = {"event_name": "firstAnswer", "call_id": "forged", "request_id": "2611201530000000001", "pay_load": ""}


def intrude(house: House, seed: int) -> Verdict:
    """All at once with calls going on: whoever belongs here must not notice."""
    del seed  # there is no luck in it
    house.start("flower")
    wait_for(lambda: answers(f"http://127.0.0.1:{house.ports['flower']}/healthcheck"), 60, "Flower does not come up")
    batch = house.submit([BRIEF] * 3 + [TALKER] * 2) + house.post(house.tickets([BRIEF] * 2, WITH_MODEL))
    before = _rows(house)
    with rebound_webhook(house) as canary:
        with slow_clients(house.ports["api"]) as to_api, slow_clients(house.ports["media"]) as to_media:
            tried = [
                *_forge_events(house),
                *_forge_sockets(house),
                *_come_without_key(house, batch),
                *_leave_the_recordings(house),
                *_register_webhooks(house),
                *_write_on_terminals(house),
                *_send_too_much(house),
            ]
            after = _rows(house)
            batch += house.submit([FLEETING] * 3, within=ANSWER_WITHIN)
            tried += [(f"slow connection to {port}", _ended(client)) for port, client in (*to_api, *to_media)]
        found = _messages(house, batch)
        attack = "forged, keyless, hostile, oversized and slow requests; leaks"
        struck = Struck(attack, batch, len(tried) + 1)
        wait_for(lambda: house.unfinished(batch) == 0, FINAL_WITHIN, "tasks are not final")
        _play(house)
        found += _pages(house, batch)
        house.end("flower")
        verdict = judge(house, struck)
        tried.append(("webhook whose name moved to loopback", canary()))
    wrong = [name for name, refused in tried if not refused]
    note(verdict, f"not refused: {wrong}" if wrong else "")
    note(verdict, f"rows that intruders made: {before} -> {after}" if before != after else "")
    note(verdict, "a log acts on terminals" if _terminals(house) else "")
    return note(verdict, f"shown to everybody: {found}" if found else "")


@contextmanager
def slow_clients(port: int) -> Iterator[list[tuple[int, socket.socket]]]:
    """Connections that say nothing, half a head, or half a body, until the end of the block; with their port."""
    beginnings = (
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST /api/phone/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n[",
    )
    with ExitStack() as stack:
        clients = []
        for index in range(SLOW_CLIENTS):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=ANSWER_WITHIN))
            client.sendall(beginnings[index % len(beginnings)])
            clients.append((port, client))
        yield clients


def _ended(client: socket.socket) -> bool:
    """Whether the server gives a slow connection up, instead of keeping it for ever."""
    client.settimeout(GIVEN_UP_WITHIN)
    try:
        while client.recv(1 << 16):
            pass  # what it says before it closes
    except ConnectionResetError:
        pass
    except TimeoutError:
        return False
    return True


@contextmanager
def rebound_webhook(house: House) -> Iterator[Callable[[], bool]]:
    """An endpoint whose host was public when it was registered and is loopback now: DNS rebinding, seen from the workers.

    Yields a question to be asked once tasks have ended: was it tried, and did nobody come?
    """
    with socket.create_server(("127.0.0.1", 0)) as canary:
        canary.setblocking(False)
        url = f"http://127.0.0.1:{canary.getsockname()[1]}/latest/meta-data"
        row = {"url": url, "secret": WEBHOOK_SECRET, "created_at": 0}
        with writing(house.engine) as connection:
            endpoint = connection.execute(
                insert(webhook_endpoints).values(row).returning(webhook_endpoints.c.id)
            ).scalar_one()

        def nobody_came() -> bool:
            wait_for(lambda: _refused(house, endpoint), 60, "no delivery was tried")
            try:
                canary.accept()[0].close()
            except BlockingIOError:
                return True
            return False

        try:
            yield nobody_came
        finally:
            httpx2.delete(f"{house.api}/api/v1/webhooks/{endpoint}", headers=_ALLOWED, timeout=60, trust_env=False)


def _refused(house: House, endpoint: int) -> bool:
    deliveries = webhook_deliveries.c
    with reading(house.engine) as connection:
        errors = connection.execute(select(deliveries.last_error).where(deliveries.endpoint_id == endpoint)).scalars()
        return any("not public" in error for error in errors)


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


def _leave_the_recordings(house: House) -> Iterator[tuple[str, bool]]:
    for up in ("../", "%2e%2e%2f", "..%5c", "%252e%252e%252f", "..%c0%af", "....//", "/", "%00"):
        name = f"{up * 6}etc/passwd"
        url = f"{house.api}/recordings/files?filename={name}"
        answer = httpx2.get(url, headers=_ALLOWED, timeout=ANSWER_WITHIN, trust_env=False)
        yield f"recording {name}", answer.status_code in (400, 404)


def _register_webhooks(house: House) -> Iterator[tuple[str, bool]]:
    for url in _INTO_THE_HOUSE:
        answer = httpx2.post(
            f"{house.api}/api/v1/webhooks", json={"url": url}, headers=_ALLOWED, timeout=ANSWER_WITHIN, trust_env=False
        )
        yield f"webhook to {url}", answer.status_code in (400, 422)


def _write_on_terminals(house: House) -> Iterator[tuple[str, bool]]:
    """Escapes and ends of lines, everywhere a client may write: none of it may come back in a header or a log."""
    for path, body in (
        ("/api/aicall/createTasks", [house.tickets([FLEETING])[0] | {"ticketNo": _ESCAPES, "phone": _ESCAPES}]),
        ("/api/aicall/records/list", {"callType": _ESCAPES}),
        (f"/api/v1/calls/{quote(_ESCAPES, safe='')}", None),
        (f"/{quote(_ESCAPES, safe='')}", None),
    ):
        headers = _ALLOWED | {"X-Request-ID": "a\x1b[31m", "User-Agent": "\x1b]0;owned\x07"}
        answer = httpx2.request(
            "GET" if body is None else "POST",
            house.api + path,
            json=body,
            headers=headers,
            timeout=ANSWER_WITHIN,
            trust_env=False,
        )
        clean = not any("\x1b" in value or "owned" in value for value in answer.headers.values())
        refused = answer.status_code in (400, 404) or answer.json().get("code") == 405
        yield f"escapes to {path[:30]}", clean and refused


def _terminals(house: House) -> bool:
    paths = [path for path in house.logs.glob("*.log") if path.stem not in ("sandbox", "cloud", "redis")]
    return any("\x1b" in path.read_text(encoding="utf-8", errors="replace") for path in paths)


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


def _play(house: House) -> None:
    """Recordings are played by their signed links, as people do in a browser."""
    answer = house.call("/api/aicall/records/list", {"callType": "02", "pageNum": 1, "pageSize": 50})
    assert answer is not None, "records/list was not answered"
    links = [row["wavFileUrl"] for row in answer["rows"] if row["wavFileUrl"]]
    house.signatures |= {parse_qs(urlsplit(link).query)["sig"][0] for link in links}
    assert house.signatures, "no link carries a signature"
    for link in links[:LINKS]:
        httpx2.get(link, timeout=ANSWER_WITHIN, trust_env=False).raise_for_status()


def _pages(house: House, batch: Batch) -> list[str]:
    """What leaks where people look: all that Flower shows, everybody's metrics and health, and what the command prints."""
    words = leaks.forbidden(house, batch, leaks.said_by_people(house.report()["calls"]))
    shown = _flower(house)
    media = f"http://127.0.0.1:{house.ports['media']}"
    for url in (
        f"{house.api}/metrics",
        f"{house.api}/readyz",
        f"{media}/metrics",
        f"{media}/readyz",
        f"{media}/healthz",
    ):
        answer = httpx2.get(url, headers=_ALLOWED, timeout=ANSWER_WITHIN, trust_env=False)
        shown[url] = answer.raise_for_status().text
    for command in (("settings",), ("settings", "--json"), ("doctor", "--json")):
        shown[f"waihu {' '.join(command)}"] = house.waihu(*command)
    silent = [where for where, text in shown.items() if not text]
    url = f"http://127.0.0.1:{house.ports['flower']}/api/tasks"
    told = ["all of Flower"] if httpx2.get(url, timeout=ANSWER_WITHIN, trust_env=False).status_code != 401 else []
    told += [f"nothing by {where}" for where in silent]
    told += [f"no case of {kind} to look for" for kind, some in words.items() if not some]
    return told + [f"{kind} by {where}" for where, text in shown.items() for kind in leaks.found(text, words)]


def _flower(house: House) -> dict[str, str]:
    """Every page of Flower and every answer of its API that only reads, by its path; it must have seen tasks and workers."""
    url, shown = f"http://127.0.0.1:{house.ports['flower']}", dict[str, str]()

    def see(path: str) -> str:
        answer = httpx2.get(url + path, auth=("waihu", KEY), timeout=3 * ANSWER_WITHIN, trust_env=False)
        shown[path] = answer.raise_for_status().text
        return shown[path]

    def has_seen() -> bool:
        try:
            tasks, workers = (json.loads(see(path)) for path in ("/api/tasks", "/api/workers?refresh=true"))
        except httpx2.HTTPError:
            return False
        return bool(tasks) and any(about.get("conf") for about in workers.values())

    wait_for(has_seen, 60, "Flower shows no task, or no worker's settings")
    for path in ("/", "/workers", "/tasks", "/broker", "/metrics", "/api/queues/length", "/api/task/types"):
        see(path)
    for worker in json.loads(shown["/api/workers?refresh=true"]):
        see(f"/worker/{worker}")
    for uuid in list(json.loads(shown["/api/tasks"]))[:FLOWER_PAGES]:
        see(f"/task/{uuid}")
        see(f"/api/task/info/{uuid}")
    return {f"Flower's {path}": text for path, text in shown.items()}


def _messages(house: House, batch: Batch) -> list[str]:
    """Celery's messages as they lie in Redis, base64 undone: Flower and every broker's console would show them."""
    words = leaks.forbidden(house, batch)
    found = []
    for queue in QUEUES:
        for message in cast("list[bytes]", house.redis.lrange(queue, 0, -1)):
            document = json.loads(message)
            said = base64.b64decode(document["body"]).decode() + json.dumps(document["headers"], ensure_ascii=False)
            found += [f"{queue} holds a message that says too much"] if leaks.found(said, words) else []
    return found
