"""Tickets and events a second that one API worker accepts durably, beside floors measured in the same run.

    python -m benchmarks.api [--quick]

It starts a PostgreSQL of its own (SQLite where there is none) and one worker as the product is served
(``deploy/gunicorn_config.py``), and posts over HTTP. Rounds of all rows are interleaved and each starts from an empty
table with all its indexes, so that what the machine does meanwhile meets all of them alike. Medians are printed, as
rates and as ratios to the floor.

Why tickets go in by COPY. From a request's bytes to committed rows whose ids are known, 10,000 tickets at a time into a
table with all its indexes, as shares of the floor (two cores of an AMD EPYC, PostgreSQL 15, fsync on, nine rounds):

    COPY, ids drawn before in one query (api/insertion.py)    82 %
    INSERT ... SELECT FROM json_to_recordset RETURNING        53 %
    SQLAlchemy insertmanyvalues RETURNING                     18 %

Keeping six indexes costs PostgreSQL most of the time in all of them. COPY adds the least to that, sends the fewest
bytes, and needs no statement that grows with the batch. Drawing the ids first costs 5 ms; naming the sequence by
pg_get_serial_sequence in that query would cost 30 more, for it is asked anew for every id.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import itertools
import json
import os
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec
from sqlalchemy import Engine, insert, text

from api.insertion import insert_tasks
from api.tickets import read
from deploy.embedded import redis_command, redis_server
from shared.database import open_engine, upgrade, writing
from shared.numbers import CHINA, line
from shared.schema import phone_events, tasks
from tests.postgres import find_binaries, fresh_database, running_server

ROOT = Path(__file__).parents[1]
BATCH = 10_000
CLIENTS = 4
EVENTS_AT_ONCE = 100
SERVED = ("gunicorn", "--config", "python:deploy.gunicorn_config", "api.app:create_app()")
"""The command of ``web`` in the Procfile."""
IDLE_SECONDS = 2.0
"""A connection that waited longer, while other rows were measured, is not used again: the server closes it after five."""
NOW = 1_767_153_838_953
KIND = {"Content-Type": "application/json"}
EVENT = {
    "call_id": "bbd910fc-e5fd-11f0-a660-525400eaab18",
    "callee": "15101613608",
    "caller": "057128167421",
    "event_name": "firstAnswer",
    "event_time": 1767153844421,
    "pay_load": "",
    "request_id": "req4",
}

_batches = itertools.count()


class Wire(msgspec.Struct, gc=False):
    """A ticket as the floor decodes it: its five fields, unchecked."""

    ticketNo: str  # noqa: N815
    phone: str
    username: str
    ticketType: str  # noqa: N815
    ticketContent: str  # noqa: N815


class Row(NamedTuple):
    """One line of the table: what is run, how many things one run handles, and which row is its floor."""

    name: str
    run: Callable[[], None]
    handled: int
    floor: str = ""


def batch_body() -> bytes:
    """A batch of tickets that were never sent before."""
    number = next(_batches)
    content = "尊敬的张三先生，提醒您参加我们本周末的线下优惠活动。"
    tickets = [
        Wire(f"T{number:06d}{index:06d}", f"139{index * 7919 % 10**8:08d}", "张三", "活动通知1", content)
        for index in range(BATCH)
    ]
    return msgspec.json.encode(tickets)


# --- tickets ---------------------------------------------------------------------------------------------------------

_decode = msgspec.json.Decoder(list[Wire]).decode
_COPY = """COPY tasks (ticket_no, phone, number, line, username, ticket_type, ticket_content, digest, state, state_at,
    created_at, due_at) FROM STDIN"""
_RECORDSET = text(
    "INSERT INTO tasks (ticket_no, phone, number, line, exten, username, ticket_type, ticket_content, digest, state, state_at,"
    " created_at, due_at) SELECT no, phone, number, line, exten, name, type, content, decode(digest, 'hex'), 'pending', :now,"
    " :now, :now FROM json_to_recordset(CAST(:rows AS json)) AS r(no text, phone text, number text, line text, exten text,"
    " name text, type text, content text, digest text) RETURNING batch_id, ticket_no"
)


def bare_copy(engine: Engine, body: bytes) -> None:
    """The floor: decode, write each row once, COPY, commit; nothing checked, nothing looked up, no ids known."""
    times = f"{NOW}\t{NOW}\t{NOW}\n"
    lines = [
        f"{t.ticketNo}\t{t.phone}\t{t.phone}\t+86{t.phone}\t{t.username}\t{t.ticketType}\t{t.ticketContent}\t\\\\x{'00' * 16}\tpending\t{times}"
        for t in _decode(body)
    ]
    with writing(engine) as connection, contextlib.closing(connection.connection.cursor()) as cursor:
        cursor.copy_expert(_COPY, io.BytesIO("".join(lines).encode()), 1 << 20)


def copy_with_ids(engine: Engine) -> None:
    """Our own path without HTTP and without the lookup of repeated tickets."""
    tickets = read(_prepared[0], BATCH)
    with writing(engine) as connection:
        insert_tasks(connection, tickets, NOW)


def recordset(engine: Engine) -> None:
    """All rows as one JSON parameter."""
    rows = [
        {
            "no": item.ticket.ticket_no,
            "phone": item.ticket.phone,
            "number": item.number,
            "line": line(item.number, CHINA),
            "exten": item.exten,
            "name": item.ticket.username,
            "type": item.ticket.ticket_type,
            "content": item.ticket.ticket_content,
            "digest": item.digest.hex(),
        }
        for item in read(_prepared[0], BATCH)
    ]
    with writing(engine) as connection:
        connection.execute(_RECORDSET, {"rows": msgspec.json.encode(rows).decode(), "now": NOW}).all()


def many_values(engine: Engine) -> None:
    """SQLAlchemy's own batching of VALUES lists."""
    rows = [
        {
            "ticket_no": item.ticket.ticket_no,
            "phone": item.ticket.phone,
            "number": item.number,
            "line": line(item.number, CHINA),
            "exten": item.exten,
            "username": item.ticket.username,
            "ticket_type": item.ticket.ticket_type,
            "ticket_content": item.ticket.ticket_content,
            "digest": item.digest,
            "state_at": NOW,
            "created_at": NOW,
            "due_at": NOW,
        }
        for item in read(_prepared[0], BATCH)
    ]
    with writing(engine) as connection:
        statement = insert(tasks).returning(tasks.c.batch_id, sort_by_parameter_order=True)
        connection.execute(statement, rows).all()


_prepared: list[bytes] = []


def prepare() -> None:
    """Makes the next bodies, one a client, outside of what is measured."""
    _prepared[:] = [batch_body() for _ in range(CLIENTS)]


# --- HTTP ------------------------------------------------------------------------------------------------------------


class Client:
    """One kept-alive connection; the standard library's, so that it costs the worker little."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._used = time.monotonic()

    def post(self, path: str, body: bytes, code: int) -> None:
        if time.monotonic() - self._used > IDLE_SECONDS:
            self._connection.close()  # the next request opens another
        self._connection.request("POST", path, body, KIND)
        answer = self._connection.getresponse().read()
        self._used = time.monotonic()
        if not answer.startswith(b'{"code":%d' % code):
            raise RuntimeError(f"expected code {code}, got {answer[:300]!r}")

    def close(self) -> None:
        self._connection.close()


@contextlib.contextmanager
def broker(home: Path) -> Iterator[str]:
    """A Redis of our own, as the embedded one is started: the worker rings it after every answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(shlex.split(redis_command(redis_server(), port, home)), stdout=subprocess.DEVNULL)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def worker(database_url: str, redis_url: str, home: Path) -> Iterator[int]:
    """One worker as the Procfile's, on a socket that listens already."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as gunicorn does with sockets of its own
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WAIHU_")}
        environment |= {
            "WAIHU_DATABASE_URL": database_url,
            "WAIHU_REDIS_URL": redis_url,
            "WAIHU_STATE_DIR": str(home / "state"),
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", *SERVED, "-w", "1", "-b", f"fd://{listening.fileno()}"]
        process = subprocess.Popen(
            command, env=environment, cwd=home, pass_fds=[listening.fileno()], stderr=subprocess.DEVNULL
        )
        try:
            yield listening.getsockname()[1]
        finally:
            process.terminate()
            process.wait(30)


def at_once(clients: list[Client], work: Callable[[Client], None]) -> None:
    with ThreadPoolExecutor(len(clients)) as pool:
        list(pool.map(work, clients))


# --- the table -------------------------------------------------------------------------------------------------------


def empty(engine: Engine) -> None:
    postgresql = engine.dialect.name == "postgresql"
    with writing(engine) as connection:
        for table in ("tasks", "phone_events"):
            connection.execute(text(f"TRUNCATE {table} CASCADE" if postgresql else f"DELETE FROM {table}"))


def measure(engine: Engine, rows: list[Row], rounds: int) -> dict[str, list[float]]:
    """Rates of each row, one a round; the first round warms up and does not count."""
    rates: dict[str, list[float]] = {row.name: [] for row in rows}
    for number in range(rounds + 1):
        order = rows if number % 2 else rows[::-1]
        for row in order:
            empty(engine)
            prepare()
            started = time.perf_counter()
            row.run()
            if number:
                rates[row.name].append(row.handled / (time.perf_counter() - started))
    return rates


def show(rows: list[Row], rates: dict[str, list[float]], unit: str) -> None:
    print(f"\n{unit + ' a second':<44}{'median':>10}{'worst':>10}{'best':>10}  of its floor")
    for row in rows:
        values = rates[row.name]
        ratio = ""
        if row.floor:
            pairs = zip(values, rates[row.floor], strict=True)
            ratio = f"{statistics.median(value / floor for value, floor in pairs):7.0%}  ({row.floor})"
        print(f"{row.name:<44}{statistics.median(values):>10,.0f}{min(values):>10,.0f}{max(values):>10,.0f}{ratio}")


def ticket_rows(engine: Engine, clients: list[Client]) -> list[Row]:
    def post_one(client: Client) -> None:
        client.post("/api/aicall/createTasks", _prepared[0], 200)

    def post_all() -> None:
        bodies = {id(client): body for client, body in zip(clients, _prepared, strict=True)}
        at_once(clients, lambda client: client.post("/api/aicall/createTasks", bodies[id(client)], 200))

    def copy_all() -> None:
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda body: bare_copy(engine, body), _prepared))

    http_one = Row("createTasks over HTTP, 1 client", lambda: post_one(clients[0]), BATCH)
    http_all = Row(f"createTasks over HTTP, {CLIENTS} clients", post_all, BATCH * CLIENTS)
    values = Row("insertmanyvalues", lambda: many_values(engine), BATCH)
    if engine.dialect.name != "postgresql":
        return [values, http_one, http_all]
    floor, everyone = "floor: msgspec + bare COPY", f"floor: the same, {CLIENTS} at once"
    return [
        Row(floor, lambda: bare_copy(engine, _prepared[0]), BATCH),
        Row(everyone, copy_all, BATCH * CLIENTS),
        Row("COPY with ids", lambda: copy_with_ids(engine), BATCH, floor),
        Row("json_to_recordset", lambda: recordset(engine), BATCH, floor),
        values._replace(floor=floor),
        http_one._replace(floor=floor),
        http_all._replace(floor=everyone),
    ]


def event_rows(engine: Engine, clients: list[Client], count: int) -> list[Row]:
    single, many = json.dumps(EVENT).encode(), json.dumps([EVENT] * EVENTS_AT_ONCE).encode()
    row = {"received_at": NOW, "event_name": "firstAnswer", "request_id": "req4", "call_id": "c", "body": EVENT}

    def bare(_client: Client) -> None:
        for _ in range(count):
            with writing(engine) as connection:
                connection.execute(insert(phone_events).values(row))

    def post(client: Client, body: bytes) -> None:
        for _ in range(count):
            client.post("/api/phone/events", body, 0)

    one, everyone = "floor: INSERT and commit, 1 thread", f"floor: INSERT and commit, {CLIENTS} threads"
    total = count * CLIENTS
    return [
        Row(one, lambda: bare(clients[0]), count),
        Row("one event a request, 1 client", lambda: post(clients[0], single), count, one),
        Row(everyone, lambda: at_once(clients, bare), total),
        Row(
            f"one event a request, {CLIENTS} clients",
            lambda: at_once(clients, lambda c: post(c, single)),
            total,
            everyone,
        ),
        Row(f"{EVENTS_AT_ONCE} events a request, 1 client", lambda: post(clients[0], many), count * EVENTS_AT_ONCE),
    ]


@contextlib.contextmanager
def database(home: Path) -> Iterator[str]:
    """The URL of an empty database with the schema: PostgreSQL, or SQLite where there is none."""
    binaries = find_binaries()
    if binaries is None:
        print("no PostgreSQL server here: on SQLite, without the COPY floor")
        yield f"sqlite:///{home / 'bench.db'}"
        return
    with running_server(binaries) as server, fresh_database(server) as url:
        yield url


def main() -> None:
    parser = argparse.ArgumentParser(description="Tickets and events a second of one API worker, beside floors.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    rounds = 3 if parser.parse_args().quick else 9
    with tempfile.TemporaryDirectory(prefix="waihu-bench-") as name, database(Path(name)) as url:
        upgrade(url)
        engine = open_engine(url)
        with broker(Path(name)) as redis_url, worker(url, redis_url, Path(name)) as port:
            clients = [Client(port) for _ in range(CLIENTS)]
            print(f"{engine.dialect.name}, batches of {BATCH:,} tickets, {rounds} rounds, {os.cpu_count()} cores")
            rows = ticket_rows(engine, clients)
            show(rows, measure(engine, rows, rounds), "tickets")
            rows = event_rows(engine, clients, 50 if rounds == 3 else 200)
            show(rows, measure(engine, rows, rounds), "events")
            for client in clients:
                client.close()
        engine.dispose()


if __name__ == "__main__":
    main()
