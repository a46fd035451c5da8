"""Dials a second of one worker process and of two, against a phone system that takes its time, and one that does not.

    python -m benchmarks.processes [--quick]

Two houses stand side by side on one PostgreSQL: each has a database, a Redis, a beat, and one or two processes of
``celery -A workers.app worker``. The phone system is a process of its own that answers startcall after 100 ms or at once,
as the number called says. A round gives the same tasks to one house after the other, in turn which is first; ratios are
taken within a round. Beside the rates stands what a dial cost in processor time, by who spent it: where all of that
together fills the machine's cores, they are the limit, and a second process can only take from the first.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec
from sqlalchemy import Engine, func, insert, select, text

from benchmarks.postgres import require_binaries
from shared import bus
from shared.database import open_engine, reading, upgrade, writing
from shared.doorbell import DISPATCH, Doorbell
from shared.schema import calls, tasks
from tests.postgres import fresh_database, running_server
from tests.workers.twins import CALLER, running_redis, wait_for

ROOT = Path(__file__).parents[1]
SLOW_SECONDS = 0.1
SLOW, INSTANT = "139", "138"
"""What the numbers begin with that the phone system answers late, or at once."""
PAST = 1_767_153_838_953
PATIENCE_SECONDS = 120
TICK = os.sysconf("SC_CLK_TCK")
_tickets = itertools.count()


# --- the phone system: a process of its own ------------------------------------------------------------------------------


class Phone(asyncio.Protocol):
    """Answers one startcall a connection and closes it, as `Connection: close` asks."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        _head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or b"}" not in body:
            return
        asked = msgspec.json.decode(body)
        wait = SLOW_SECONDS if asked["callee"].startswith(SLOW) else 0
        asyncio.get_running_loop().call_later(wait, self._answer, asked["requestId"], asked["clientMutationId"])

    def _answer(self, uuid: str, mutation: str) -> None:
        answer = msgspec.json.encode({"clientMutationId": mutation, "code": 0, "msg": f"call-{uuid}"})
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % len(answer) + answer)
        self._transport.close()


def answer_calls(descriptor: int) -> None:
    """Runs until it is killed."""
    import uvloop

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Phone, sock=socket.socket(fileno=descriptor))
        await server.serve_forever()

    uvloop.run(serve())


@contextlib.contextmanager
def phone_system() -> Iterator[tuple[str, int]]:
    """Its URL and its process id."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        command = [sys.executable, "-m", "benchmarks.processes", "--phone", str(listening.fileno())]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=[listening.fileno()])
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/np/sandbox/dialog", process.pid
        finally:
            process.kill()
            process.wait(10)


# --- houses --------------------------------------------------------------------------------------------------------------


@dataclass
class House:
    """A database, a Redis, and the processes that work on them."""

    processes: int
    engine: Engine
    bell: Doorbell
    pids: list[int]
    rates: dict[str, list[float]] = field(default_factory=dict)
    spent: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def dial(self, count: int) -> float:
        """Rings once, waits until all is dialled; dials a second."""
        started = time.perf_counter()
        self.bell.ring(DISPATCH)
        wait_for(lambda: self._dialled() == count, PATIENCE_SECONDS)
        return count / (time.perf_counter() - started)

    def _dialled(self) -> int:
        with reading(self.engine) as connection:
            return int(connection.execute(select(func.count()).where(calls.c.state == "ringing")).scalar_one())

    def fill(self, count: int, prefix: str) -> None:
        """Nothing but ``count`` due tasks, for numbers that begin with ``prefix``."""
        rows = [
            {
                "ticket_no": f"T{next(_tickets)}",
                "phone": f"{prefix}{index:08d}",
                "number": f"{prefix}{index:08d}",
                "line": f"+86{prefix}{index:08d}",
                "username": "张三",
                "ticket_type": "回访",
                "ticket_content": "尊敬的张三先生，提醒您参加我们本周末的线下优惠活动。",
                "digest": b"0" * 16,
                "state_at": PAST,
                "created_at": PAST,
                "due_at": PAST,
            }
            for index in range(count)
        ]
        with writing(self.engine) as connection:
            connection.execute(text("TRUNCATE calls, tasks CASCADE"))
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE tasks, calls"))
        with writing(self.engine) as connection:
            connection.execute(insert(tasks), rows)


@contextlib.contextmanager
def house(server: str, phone_url: str, processes: int) -> Iterator[House]:
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="waihu-bench-")))
        url = stack.enter_context(fresh_database(server))
        redis_url = stack.enter_context(running_redis(home))
        upgrade(url)
        engine = open_engine(url)
        stack.callback(engine.dispose)
        bell, client = Doorbell(redis_url), bus.open_redis(redis_url)
        stack.callback(bell.close)
        stack.callback(client.close)
        media = bus.Heartbeat(at=2**50, capacity=10**6, sessions=0, phone_sessions=0, draining=False, listen="")
        client.hset(bus.MEDIA_KEY, "bench", msgspec.json.encode(media))
        settings = {
            "DATABASE_URL": url,
            "REDIS_URL": redis_url,
            "PHONE_URL": phone_url,
            "STATE_DIR": str(home / "state"),
            "ALLOW_STANDIN": "1",
            "MAX_CALLS": "100000",
            "CALLERS": f"{CALLER}:concurrency=100000,cps=9999",
            "LOG_LEVEL": "ERROR",
        }
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WAIHU_")}
        environment |= {f"WAIHU_{name}": value for name, value in settings.items()} | {"PYTHONPATH": str(ROOT)}
        pids = [stack.enter_context(celery(home, environment, "worker", f"w{n}")) for n in range(processes)]
        stack.enter_context(celery(home, environment, "beat", ""))
        yield House(processes, engine, bell, pids)


@contextlib.contextmanager
def celery(home: Path, environment: dict[str, str], role: str, name: str) -> Iterator[int]:
    command = [sys.executable, "-m", "celery", "-A", "workers.app", "--quiet", role]
    command += ["--without-mingle", "-n", f"{name}@%h"] if name else []
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=environment, cwd=home, **quiet)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


# --- processor time --------------------------------------------------------------------------------------------------------


def processor_seconds(pids: dict[str, list[int]]) -> dict[str, float]:
    """What these processes and those that they started have used so far; nothing where there is no /proc."""
    if not Path("/proc/self/stat").exists():
        return {}
    parents: dict[int, list[int]] = {}
    used: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(") ")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
                used[int(entry.name)] = int(fields[11]) + int(fields[12])

    def whole(pid: int) -> int:
        return used.get(pid, 0) + sum(whole(child) for child in parents.get(pid, []))

    return {name: sum(map(whole, some)) / TICK for name, some in pids.items()}


def server_pid(engine: Engine) -> int:
    """The PostgreSQL server's, which started all its backends."""
    with reading(engine) as connection:
        backend = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    return int(Path(f"/proc/{backend}/stat").read_text().rpartition(") ")[2].split()[1])


# --- the table -----------------------------------------------------------------------------------------------------------


def measure(houses: list[House], phone_pid: int, prefix: str, count: int, rounds: int) -> None:
    """The first round warms up and does not count."""
    for one in houses:
        one.rates[prefix], one.spent[prefix] = [], []
    for number in range(rounds + 1):
        for one in houses[:: 1 if number % 2 else -1]:
            one.fill(count, prefix)
            whose = {"workers": one.pids, "PostgreSQL": [server_pid(one.engine)], "phone system": [phone_pid]}
            before = processor_seconds(whose)
            rate = one.dial(count)
            after = processor_seconds(whose)
            if number:
                one.rates[prefix].append(rate)
                one.spent[prefix].append({name: (after[name] - before[name]) / count for name in after})


def show(houses: list[House], names: dict[str, str]) -> None:
    print(f"\n{'dials a second':<44}{'median':>10}{'worst':>10}{'best':>10}")
    for prefix, name in names.items():
        for one in houses:
            values = one.rates[prefix]
            label = f"{one.processes} worker process{'es' if one.processes > 1 else ''}, {name}"
            print(f"{label:<44}{statistics.median(values):>10,.0f}{min(values):>10,.0f}{max(values):>10,.0f}")
    for prefix, name in names.items():
        alone, together = (one.rates[prefix] for one in houses)
        ratio = statistics.median(two / one for one, two in zip(alone, together, strict=True))
        print(f"two beside one, {name}: {ratio:.2f}{' (aim: 1.8)' if prefix == SLOW else ''}")
    print(f"\nprocessor time of a dial, and cores in use of {os.cpu_count()}")
    for prefix, name in names.items():
        for one in houses:
            spent = one.spent[prefix]
            parts = {part: statistics.median(each[part] for each in spent) for part in spent[0]}
            cores = statistics.median(
                rate * sum(each.values()) for rate, each in zip(one.rates[prefix], spent, strict=True)
            )
            detail = ", ".join(f"{part} {value * 1000:.1f} ms" for part, value in parts.items())
            print(f"  {one.processes}, {name}: {detail}; {cores:.1f} cores")


def main() -> None:
    parser = argparse.ArgumentParser(description="Dials a second of one worker process and of two.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--phone", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.phone:
        answer_calls(chosen.phone)
        return
    binaries = require_binaries("processes")
    rounds, slow, instant = (2, 320, 500) if chosen.quick else (5, 800, 1_500)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running_server(binaries))
        phone_url, phone_pid = stack.enter_context(phone_system())
        houses = [stack.enter_context(house(server, phone_url, processes)) for processes in (1, 2)]
        print(f"{rounds} rounds of {slow} tasks that wait and {instant} that do not, {os.cpu_count()} cores for all")
        measure(houses, phone_pid, SLOW, slow, rounds)
        measure(houses, phone_pid, INSTANT, instant, rounds)
        show(houses, {SLOW: f"{SLOW_SECONDS * 1000:.0f} ms", INSTANT: "at once"})


if __name__ == "__main__":
    main()
