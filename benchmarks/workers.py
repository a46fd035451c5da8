"""Dials a second of one worker process against an instant phone system, beside bare loops of the same work.

    python -m benchmarks.workers [--quick]

A dial is: the claim (a hundred tasks at a time), the read, the commit as dialing, startcall on a fresh connection, the
commit of its answer, in the same statements on both sides. The floor does that in bare psycopg2 (or sqlite3) and
http.client, with one thread and with as many as the worker lets into startcall; it has no broker, no leases, no pace,
no gates, no briefing, no lifecycle. The worker is the real one, `celery -A workers.app worker`, with its broker. The
phone system is a process of its own on the other core. Rounds are interleaved; ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import itertools
import json
import os
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import msgspec
import psycopg2
from sqlalchemy import Engine, func, insert, select, text

from shared import bus
from shared.database import open_engine, reading, upgrade, writing
from shared.doorbell import DISPATCH, Doorbell
from shared.schema import calls, tasks
from tests.postgres import find_binaries, fresh_database, running_server
from tests.workers.twins import CALLER, running_redis, wait_for
from workers.house import CONCURRENCY

ROOT = Path(__file__).parents[1]
PAST = 1_767_153_838_953
FAR = 1 << 50
"""A time that never comes: what the floor works on is never due for the worker, nor ever overdue for its sweep."""
CLAIM = 100
THREADS = CONCURRENCY // 2
WORKER = "worker process"
PATIENCE_SECONDS = 120
_numbers = itertools.count()


# --- the phone system: a process of its own ------------------------------------------------------------------------------


class InstantPhone(asyncio.Protocol):
    """Answers one startcall a connection and closes it, as `Connection: close` asks."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or b"}" not in body:
            return
        asked = msgspec.json.decode(body)
        answer = b'{"clientMutationId":"%s","code":0,"msg":"call-%s"}' % (
            asked["clientMutationId"].encode(),
            asked["requestId"].encode(),
        )
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % len(answer) + answer)
        self._transport.close()


def answer_calls(port: int) -> None:
    """Runs until it is killed."""
    import uvloop

    pin(-1)

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(InstantPhone, "127.0.0.1", port, backlog=1024)
        await server.serve_forever()

    uvloop.run(serve())


def pin(core: int) -> None:
    """Binds this process to its first or last core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[core]})


@contextlib.contextmanager
def phone_system() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.workers", "--phone", str(port)], cwd=ROOT)
    try:
        wait_for(lambda: _listens(port))
        yield f"http://127.0.0.1:{port}/np/sandbox/dialog"
    finally:
        process.kill()
        process.wait(10)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


# --- the floor ---------------------------------------------------------------------------------------------------------

_LIVE = "state IN ('answered', 'dialing', 'queued', 'ringing', 'unknown')"
_CLAIM = f"""SELECT batch_id, state, stop_requested_at, connected, due_at, final_at, attempts, no_answers, refusals,
    number, phone, exten, caller, expires_at, line FROM tasks WHERE due_at <= {{0}}
    AND NOT EXISTS (SELECT 1 FROM calls WHERE calls.line = tasks.line AND call_type = '02' AND calls.{_LIVE})
    ORDER BY priority DESC, due_at, batch_id LIMIT {CLAIM}"""
_INSERT = """INSERT INTO calls (uuid, batch_id, call_type, state, caller, number, telephone, exten, line, created_at, deadline_at)
    VALUES ({0}, {0}, '02', 'queued', {0}, {0}, {0}, {0}, {0}, {0}, {0}) ON CONFLICT DO NOTHING"""
_QUEUE = "UPDATE tasks SET state = 'queued', state_at = {0}, due_at = NULL, caller = {0} WHERE batch_id IN ({1})"
_READ = """SELECT calls.*, tasks.* FROM calls JOIN tasks ON calls.batch_id = tasks.batch_id WHERE calls.uuid = {0}"""
_DIALING = """UPDATE calls SET state = 'dialing', dialing_at = {0}, deadline_at = {0}
    WHERE uuid = {0} AND state = 'queued' AND call_id = '' AND stop_asked = false"""
_TASK = """UPDATE tasks SET state = 'dialing', state_at = {0}
    WHERE batch_id = {0} AND state = 'queued' AND stop_requested_at IS NULL"""
_RINGING = """UPDATE calls SET state = 'ringing', call_id = {0}, deadline_at = {0}
    WHERE uuid = {0} AND state = 'dialing' AND call_id = '' AND stop_asked = false"""


class Connection(Protocol):
    """What psycopg2 and sqlite3 have in common."""

    def cursor(self) -> Any: ...
    def commit(self) -> None: ...
    def close(self) -> None: ...


class Bare:
    """The same dials without Waihu."""

    def __init__(self, database_url: str, phone_url: str) -> None:
        self._postgresql = database_url.startswith("postgresql")
        self._database_url = database_url
        self._phone = urlsplit(phone_url)
        self._turn = contextlib.nullcontext() if self._postgresql else threading.Lock()

    def run(self, threads: int) -> None:
        """Dials every due task."""
        local = threading.local()
        opened: list[Connection] = []

        def dial(item: tuple[str, int, str]) -> None:
            if not hasattr(local, "connection"):
                local.connection = self._open()
                opened.append(local.connection)
            self._dial(local.connection, *item)

        claims = self._open()
        with ThreadPoolExecutor(threads) as pool:
            while claimed := self._claim(claims):
                list(pool.map(dial, claimed))
        for connection in [claims, *opened]:
            connection.close()

    def _open(self) -> Connection:
        if self._postgresql:
            return psycopg2.connect(self._database_url)
        connection = sqlite3.connect(
            urlsplit(self._database_url).path.removeprefix("/"), timeout=15, check_same_thread=False
        )
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def _sql(self, statement: str, many: int = 0) -> str:
        mark = "%s" if self._postgresql else "?"
        return statement.format(mark, ", ".join([mark] * many))

    def _claim(self, connection: Connection) -> list[tuple[str, int, str]]:
        skip = " FOR UPDATE SKIP LOCKED" if self._postgresql else ""
        with self._turn:
            cursor = connection.cursor()
            cursor.execute(self._sql(_CLAIM) + skip, (FAR,))
            rows = cursor.fetchall()
            if rows:
                made = [(f"{next(_numbers):019d}", row[0], row[9]) for row in rows]
                values = [
                    (uuid, batch_id, CALLER, number, number, "", row[14], FAR, FAR)
                    for (uuid, batch_id, number), row in zip(made, rows, strict=True)
                ]
                self._insert(cursor, values)
                batch_ids = [batch_id for _, batch_id, _ in made]
                cursor.execute(self._sql(_QUEUE, len(rows)), (FAR, CALLER, *batch_ids))
            connection.commit()
        return made if rows else []

    def _insert(self, cursor: Any, values: Sequence[tuple[Any, ...]]) -> None:
        if not self._postgresql:
            cursor.executemany(self._sql(_INSERT), values)
            return
        one = "(%s, %s, '02', 'queued', %s, %s, %s, %s, %s, %s, %s)"
        head = _INSERT.partition("VALUES")[0]
        flat = [value for row in values for value in row]
        cursor.execute(f"{head} VALUES {', '.join([one] * len(values))} ON CONFLICT DO NOTHING", flat)

    def _dial(self, connection: Connection, uuid: str, batch_id: int, number: str) -> None:
        cursor = connection.cursor()
        cursor.execute(self._sql(_READ), (uuid,))
        cursor.fetchall()
        connection.commit()
        with self._turn:
            cursor.execute(self._sql(_DIALING), (FAR, FAR, uuid))
            cursor.execute(self._sql(_TASK), (FAR, batch_id))
            connection.commit()
        call_id = self._startcall(uuid, number)
        with self._turn:
            cursor.execute(self._sql(_RINGING), (call_id, FAR, uuid))
            connection.commit()

    def _startcall(self, uuid: str, number: str) -> str:
        body = {
            "action": "startcall",
            "caller": CALLER,
            "callee": number,
            "isRecord": True,
            "exten": "",
            "requestId": uuid,
            "clientMutationId": uuid,
        }
        connection = http.client.HTTPConnection(self._phone.hostname or "", self._phone.port, timeout=10)
        connection.request("POST", f"{self._phone.path}/", json.dumps(body), {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return str(answer["msg"])


# --- the worker --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def worker(database_url: str, redis_url: str, phone_url: str, home: Path) -> Iterator[Callable[[Engine, int], None]]:
    """One worker process on the first core, with beat on the other; yields what rings for it and waits until all is dialled."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WAIHU_")}
    environment |= {
        "WAIHU_DATABASE_URL": database_url,
        "WAIHU_REDIS_URL": redis_url,
        "WAIHU_PHONE_URL": phone_url,
        "WAIHU_STATE_DIR": str(home / "state"),
        "WAIHU_ALLOW_STANDIN": "1",
        "WAIHU_MAX_CALLS": "100000",
        "WAIHU_CALLERS": f"{CALLER}:concurrency=100000,cps=9999",
        "WAIHU_LOG_LEVEL": "ERROR",
        "PYTHONPATH": str(ROOT),
    }
    celery = [sys.executable, "-m", "celery", "-A", "workers.app", "--quiet"]
    quiet: Any = {"env": environment, "cwd": home, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    beat = subprocess.Popen([*celery, "beat"], **quiet, preexec_fn=lambda: pin(-1))
    process = subprocess.Popen([*celery, "worker", "--without-mingle"], **quiet, preexec_fn=lambda: pin(0))
    bell, client = Doorbell(redis_url), bus.open_redis(redis_url)

    def run(engine: Engine, count: int) -> None:
        bell.ring(DISPATCH)
        wait_for(lambda: dialled(engine) == count, PATIENCE_SECONDS)

    try:
        media = bus.Heartbeat(at=2**50, capacity=10**6, sessions=0, phone_sessions=0, draining=False, listen="")
        client.hset(bus.MEDIA_KEY, "bench", msgspec.json.encode(media))
        yield run
    finally:
        for one in (beat, process):
            one.terminate()
            one.wait(60)
        bell.close()
        client.close()


def dialled(engine: Engine) -> int:
    with reading(engine) as connection:
        return int(connection.execute(select(func.count()).where(calls.c.state == "ringing")).scalar_one())


# --- the table -----------------------------------------------------------------------------------------------------------


def fill(engine: Engine, count: int, at: int) -> None:
    """An empty house with ``count`` tasks that are due at ``at``."""
    postgresql = engine.dialect.name == "postgresql"
    with writing(engine) as connection:
        if postgresql:
            connection.execute(text("TRUNCATE calls, tasks CASCADE"))
        else:
            for table in ("calls", "tasks"):
                connection.execute(text(f"DELETE FROM {table}"))
        rows = [
            {
                "ticket_no": f"T{next(_numbers)}",
                "phone": f"138{index:08d}",
                "number": f"138{index:08d}",
                "line": f"+86138{index:08d}",
                "username": "张三",
                "ticket_type": "回访",
                "ticket_content": "尊敬的张三先生，提醒您参加我们本周末的线下优惠活动。",
                "digest": b"0" * 16,
                "state_at": at,
                "created_at": at,
                "due_at": at,
            }
            for index in range(count)
        ]
        connection.execute(insert(tasks), rows)
    if postgresql:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE tasks, calls"))


def measure(engine: Engine, rows: dict[str, Callable[[], None]], count: int, rounds: int) -> dict[str, list[float]]:
    """Dials a second of each row, once a round; the first round warms up and does not count."""
    rates: dict[str, list[float]] = {name: [] for name in rows}
    for number in range(rounds + 1):
        for name in list(rows)[:: 1 if number % 2 else -1]:
            fill(engine, count, PAST if name == WORKER else FAR)
            started = time.perf_counter()
            rows[name]()
            if number:
                rates[name].append(count / (time.perf_counter() - started))
            assert dialled(engine) == count
    return rates


def show(rates: dict[str, list[float]], floors: Sequence[str]) -> None:
    print(f"\n{'dials a second':<44}{'median':>10}{'worst':>10}{'best':>10}")
    for name, values in rates.items():
        print(f"{name:<44}{statistics.median(values):>10,.0f}{min(values):>10,.0f}{max(values):>10,.0f}")
    for floor in floors:
        ratios = [mine / theirs for mine, theirs in zip(rates[WORKER], rates[floor], strict=True)]
        print(f"{WORKER} beside {floor}: {statistics.median(ratios):.0%} (aim: 50 %)")


@contextlib.contextmanager
def database(home: Path) -> Iterator[str]:
    """The URL of an empty database with the schema: PostgreSQL, or SQLite where there is none."""
    binaries = find_binaries()
    if binaries is None:
        url = f"sqlite:///{home / 'bench.db'}"
        print("no PostgreSQL server here: on SQLite")
        yield url
        return
    with running_server(binaries) as server, fresh_database(server) as url:
        yield url


def main() -> None:
    parser = argparse.ArgumentParser(description="Dials a second of one worker process, beside bare loops.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--phone", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.phone:
        answer_calls(chosen.phone)
        return
    rounds, count = (3, 500) if chosen.quick else (7, 2_000)
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="waihu-bench-")))
        url = stack.enter_context(database(home))
        upgrade(url)
        engine = open_engine(url)
        stack.callback(engine.dispose)
        redis_url = stack.enter_context(running_redis(home))
        phone_url = stack.enter_context(phone_system())
        run = stack.enter_context(worker(url, redis_url, phone_url, home))
        pin(0)
        bare = Bare(url, phone_url)
        one, many = "floor: 1 thread", f"floor: {THREADS} threads"
        print(f"{engine.dialect.name}, {count:,} tasks a round, {rounds} rounds, {os.cpu_count()} cores")
        rows: dict[str, Callable[[], None]] = {
            one: lambda: bare.run(1),
            many: lambda: bare.run(THREADS),
            WORKER: lambda: run(engine, count),
        }
        show(measure(engine, rows, count, rounds), (one, many))


if __name__ == "__main__":
    main()
