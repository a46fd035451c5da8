"""Calls on one core in real time, beside bare WebSockets that carry the same frames, and beside Pipecat.

    python -m benchmarks.media [--quick] [--calls 100 400] [--rounds 3] [--no-pipecat]

Servers in turn, each with all its threads on core 0, driven from core 1 by ``benchmarks.lines``:

- *waihu*: the media process as it is: sockets, ears with the voice detector, recording of both sides to the disk,
  blocks for a recogniser (which is a stand-in that answers nothing), the playout ledger, the pacer, a driver, the
  owner keys in a Redis on the other core (``benchmarks.house``).
- *floor*: the ``websockets`` library on uvloop, frames decoded with msgspec, one ticker with twenty phases that sends
  each call a frame every 20 ms. No ears, no recording, no ledger (``benchmarks.floor``).
- *pipecat*: Pipecat's pass-through, what comes in goes out: no ears, no recording either (``benchmarks.pipecat``). At
  numbers of calls that it can hold, and us at the same.

All send continuous audio. Lateness is measured where it counts, at the peer, against each call's own grid of 20 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import uvloop

from benchmarks import pipecat
from benchmarks.floor import serve_floor
from benchmarks.house import serve_waihu
from tests.workers.twins import running_redis

ROOT = Path(__file__).parents[1]
PATIENCE = 60.0
LOOK_SECONDS = 0.5
"""How often a server's memory is looked at."""
PIPECAT_CALLS = (50, 75)
"""What it holds on a core of any machine tried; some fall behind at 100, all at 150."""
Kind = Literal["waihu", "floor", "pipecat"]


@dataclass(frozen=True)
class Round:
    """What one server did with so many calls."""

    kind: Kind
    calls: int
    cpu: float
    """Share of one core."""
    memory: float
    """Bytes a call."""
    result: dict[str, Any]

    @property
    def p99(self) -> float:
        """Milliseconds that a frame came late."""
        return float(self.result["late"]["p99"])

    @property
    def delivered(self) -> float:
        """Share of the frames that should have come."""
        return float(self.result["frames"] / self.result["expected"])


Pair = tuple[Round, Round]
"""What we are held against, and ourselves right after it."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def server(kind: Kind, command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A server process that is ready; it moves to core 0 by itself."""
    # The first as media/__init__.py does, which here comes after numpy; the second keeps Pipecat's banner away.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "LOGURU_LEVEL": "ERROR"}
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert running.stdout is not None
        if running.stdout.readline().strip() != "ready":
            raise RuntimeError(f"the {kind} server did not start")
        yield running
    finally:
        running.kill()
        running.wait()


def measure(kind: Kind, calls: int, seconds: float, python: Path | None = None) -> Round:
    """One server, one generator, one window. ``python``: the one that Pipecat is installed for."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory, running_redis(Path(directory)) as redis_url:
        if python is not None:
            command = [*pipecat.command(python), "--port", str(port)]
        else:
            command = [sys.executable, "-m", "benchmarks.media", "--serve", kind, "--port", str(port)]
            command += ["--calls", str(calls), "--root", directory, "--redis", redis_url]
        with server(kind, command) as running:
            return _drive(running.pid, kind, calls, port, seconds)


def _drive(pid: int, kind: Kind, calls: int, port: int, seconds: float) -> Round:
    empty = resident(pid)
    command = [sys.executable, "-m", "benchmarks.lines", "--port", str(port), "--calls", str(calls)]
    command += ["--seconds", str(seconds), "--core", "1"]
    lines = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert lines.stdout is not None
    if lines.stdout.readline().strip() != "measuring":
        raise RuntimeError("the generator could not connect")
    began, used = time.monotonic(), cpu_seconds(pid)
    full = resident(pid)
    while not select.select([lines.stdout], [], [], LOOK_SECONDS)[0]:
        full = max(full, resident(pid))  # what a call keeps of its last ten seconds fills as it goes
    document = lines.stdout.readline()
    cpu = (cpu_seconds(pid) - used) / (time.monotonic() - began)
    lines.wait(PATIENCE)
    return Round(kind, calls, cpu, (full - empty) / calls, json.loads(document))


# --- what came of it -----------------------------------------------------------------------------------------------------


def table(pairs: Sequence[Pair]) -> None:
    """All rounds, and their ratios."""
    print(
        f"{'server':8}{'calls':>6}{'CPU':>7}{'frames':>8}{'late p50':>10}{'p99':>7}{'p99.9':>8}{'max':>7}  own p99  kB/call"
    )
    for each in chain.from_iterable(pairs):
        late, own = each.result["late"], each.result["own"]
        print(
            f"{each.kind:8}{each.calls:6}{each.cpu:7.3f}{each.delivered:8.3f}{late['p50']:10.2f}{each.p99:7.2f}"
            f"{late['p999']:8.2f}{late['max']:7.1f}{own['p99']:9.2f}{each.memory / 1000:9.0f}"
        )
    for kind, calls in dict.fromkeys((other.kind, other.calls) for other, _ in pairs):
        some = [pair for pair in pairs if (pair[0].kind, pair[0].calls) == (kind, calls)]
        (_beside_floor if kind == "floor" else _beside_pipecat)(calls, some)


def _beside_floor(calls: int, pairs: Sequence[Pair]) -> None:
    """Medians of the ratios within a pair: what else the machine did then weighed on both."""
    cpu = _median(pairs, lambda floor, ours: ours.cpu / floor.cpu)
    p99 = _median(pairs, lambda floor, ours: ours.p99 / max(floor.p99, 1e-9))
    print(
        f"{calls} calls: CPU {cpu:.2f} x the floor's (aim 1.6), {_median(pairs, lambda _, ours: ours.cpu):.2f} of the core; "
        f"send lateness p99 {p99:.2f} x (aim 2), {_median(pairs, lambda _, ours: ours.p99):.2f} ms; "
        f"{_median(pairs, lambda _, ours: ours.memory) / 1e6:.2f} MB a call (aim 2)"
    )


def _beside_pipecat(calls: int, pairs: Sequence[Pair]) -> None:
    print(
        f"{calls} calls: Pipecat's pass-through takes {_median(pairs, lambda other, ours: other.cpu / ours.cpu):.1f} x "
        f"our CPU a call ({_median(pairs, lambda other, _: other.cpu) / calls:.2%} of a core beside "
        f"{_median(pairs, lambda _, ours: ours.cpu) / calls:.2%}), lateness p99 "
        f"{_median(pairs, lambda other, _: other.p99):.1f} ms beside {_median(pairs, lambda _, ours: ours.p99):.1f}"
    )


def _median(pairs: Sequence[Pair], value: Callable[[Round, Round], float]) -> float:
    return statistics.median(value(*pair) for pair in pairs)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.media", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 calls, one short round")
    parser.add_argument("--calls", type=int, nargs="+", help="how many at once (default 100 400)")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--no-pipecat", action="store_true", help="do not install Pipecat, nor run it")
    parser.add_argument("--serve", choices=["waihu", "floor"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--redis", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        os.sched_setaffinity(0, {0})
        uvloop.run(
            serve_floor(asked.port)
            if asked.serve == "floor"
            else serve_waihu(asked.port, asked.calls[0], asked.root, asked.redis)
        )
        return 0
    if len(os.sched_getaffinity(0)) < 2:
        print("this benchmark needs two cores: one for the server, one for the generator", file=sys.stderr)
        return 1
    os.sched_setaffinity(0, {1})  # with all that is started from here, but for the server
    table(list(_pairs(asked)))
    return 0


def _pairs(asked: argparse.Namespace) -> Iterator[Pair]:
    seconds = 6.0 if asked.quick else 15.0
    count = asked.rounds or (1 if asked.quick else 3)
    for calls in asked.calls or ([100] if asked.quick else [100, 400]):
        for _ in range(count):
            yield measure("floor", calls, seconds), measure("waihu", calls, seconds)
    if not asked.no_pipecat and (python := pipecat.interpreter(install=not asked.quick)) is not None:
        for calls in PIPECAT_CALLS[: 1 if asked.quick else None]:
            for _ in range(count):
                yield measure("pipecat", calls, seconds, python), measure("waihu", calls, seconds)


if __name__ == "__main__":
    sys.exit(main())
