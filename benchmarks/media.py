"""Calls on one core in real time, beside bare WebSockets that carry the same frames.

    python -m benchmarks.media [--quick] [--calls 100 400] [--rounds 3]

Two servers in turn, each with all its threads on core 0, driven from core 1 by ``benchmarks.lines``:

- *waihu*: the media process as it is: sockets, ears with the voice detector, recording of both sides to the disk,
  blocks for a recogniser (which is a stand-in that answers nothing), the playout ledger, the pacer, a driver, the
  owner keys in a Redis on the other core.
- *floor*: the ``websockets`` library on uvloop, frames decoded with msgspec, one ticker with twenty phases that sends
  each call a frame every 20 ms. No ears, no recording, no ledger.

Both send continuous audio. Lateness is measured where it counts, at the peer, against each call's own grid of 20 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from media.bell import Bell
from media.control import Control
from media.driver import Cast, SessionOptions, SessionPort
from media.ears.hearing import Hearing
from media.exchange import Exchange, Plant
from media.legs.door import PhoneDoor
from media.owner import Owners
from media.pacer import Pacer
from media.protocol import events
from media.protocol.options import SynthesisOption, TranscriptionOption
from media.recorder import Recorder
from media.registry import Registry, headroom
from media.server import MediaServer, Pages
from media.session.clips import HttpClips
from media.session.session import Equipment
from media.speech.ports import (
    Recognition,
    RecognitionOptions,
    Recognizer,
    SpeechFailure,
    SynthesisListener,
    SynthesisOptions,
    SynthesisStream,
)
from shared import bus, recordings
from shared.clock import SystemClock
from shared.phone.wire import decode_audio
from tests.workers.twins import running_redis

ROOT = Path(__file__).parents[1]
SECONDS = 110
"""Of audio that each call is given to play: longer than a round."""
PATIENCE = 60.0
Kind = Literal["waihu", "floor"]


# --- the floor -----------------------------------------------------------------------------------------------------------


class Floor:
    """Bare WebSockets and one ticker."""

    def __init__(self) -> None:
        self._phases: list[list[ServerConnection]] = [[] for _ in range(20)]
        self._loop = asyncio.get_running_loop()
        self._origin = self._loop.time()
        self._turn = 0
        self._frame = bytes(320)
        self._loop.call_at(self._origin, self._tick)

    async def handle(self, socket: ServerConnection) -> None:
        phase = min(self._phases, key=len)
        phase.append(socket)
        try:
            while True:
                decode_audio(await socket.recv(decode=False))
        except ConnectionClosed:
            phase.remove(socket)

    def _tick(self) -> None:
        now = self._loop.time()
        while (due := self._origin + self._turn * 0.001) <= now + 0.0005:
            broadcast(self._phases[self._turn % 20], self._frame)
            self._turn += 1
        self._loop.call_at(due, self._tick)


async def serve_floor(port: int) -> None:
    """For ever."""
    floor = Floor()
    async with serve(floor.handle, "127.0.0.1", port, compression=None, ping_interval=None, server_header=None):
        print("ready", flush=True)
        gc.freeze()
        await asyncio.Event().wait()


# --- the media process with stand-ins at its ports -------------------------------------------------------------------------


class Deaf:
    """A recogniser that takes audio and understands nothing."""

    def push(self, pcm: bytes | bytearray | memoryview) -> None:
        """Takes it."""

    def expect_result(self) -> None:
        """None comes."""

    def finish(self) -> None:
        """Nothing is outstanding."""

    async def close(self) -> None:
        """Nothing is open."""


class Tape:
    """A voice that has the same audio for every text, at once and without copying it."""

    def __init__(self) -> None:
        self._pcm = (np.sin(np.arange(SECONDS * 8000) * 0.2) * 6000).astype("<i2").tobytes()

    def open(self, options: SynthesisOptions, listener: SynthesisListener) -> SynthesisStream:
        return _TapeStream(self._pcm, listener)

    def prepare(self, options: SynthesisOptions) -> None:
        """It is."""

    async def close(self) -> None:
        """Nothing is open."""


class _TapeStream:
    def __init__(self, pcm: bytes, listener: SynthesisListener) -> None:
        self._pcm = pcm
        self._listener = listener

    def send(self, text: str) -> None:
        """Any text will do."""

    def finish(self) -> None:
        asyncio.get_running_loop().call_soon(self._play)

    def cancel(self) -> None:
        """It is played to the end."""

    def _play(self) -> None:
        self._listener.on_audio(self._pcm)
        self._listener.on_done()


class _Recognizers:
    def open(
        self,
        options: RecognitionOptions,
        on_recognition: Callable[[Recognition], None],
        on_failure: Callable[[SpeechFailure], None],
    ) -> Recognizer:
        return Deaf()


@dataclass
class InstantSpeech:
    """Speech providers that answer at once."""

    recognizers: _Recognizers
    synthesizer: Tape
    recognition: RecognitionOptions
    synthesis: SynthesisOptions


class InstantPhone:
    """Every action succeeds."""

    async def start_stream(self, call_id: str) -> None: ...
    async def stream_playback(self, call_id: str) -> None: ...
    async def clean_stream(self, call_id: str) -> None: ...
    async def stop_stream(self, call_id: str) -> None: ...
    async def file_playback(self, call_id: str, name: str) -> None: ...
    async def hangup(self, call_id: str) -> None: ...


class KnownCalls:
    """Briefings for call-0, call-1, …"""

    async def find(self, call_id: str) -> bus.Briefing:
        number = int(call_id.rpartition("-")[2])
        return bus.Briefing(
            uuid=f"2601010000{number:09d}",
            call_id=call_id,
            batch_id=number,
            created_at=1_767_153_838_953,
            caller="",
            number="",
            ticket_no="",
            username="",
            ticket_type="",
            ticket_content="",
        )

    async def read(self, identity: str) -> bus.Briefing | None:
        return None


class SilentBell:
    """Nobody is rung for."""

    def ring(self, name: str, *args: Any) -> bool:
        return True

    def close(self) -> None:
        """Nothing is open."""


class Talker:
    """A driver that talks without end."""

    def __init__(self, port: SessionPort) -> None:
        self._port = port

    def on_event(self, event: events.AnyEvent) -> None:
        if isinstance(event, events.Answer):
            self._port.say("一直说话", play_id="tape")


_duties: list[asyncio.Task[None]] = []
"""The loop itself holds tasks weakly."""


def open_exchange(
    root: Path, capacity: int, cast: Cast, options: SessionOptions, speech: Any, redis_url: str
) -> tuple[Exchange, MediaServer, Pacer]:
    """The media process's own parts, with the stand-ins above at its ports; started."""
    loop = asyncio.get_running_loop()
    clock = SystemClock()
    client = bus.open_async_redis(redis_url)
    registry = Registry(capacity)
    recorder = Recorder(loop, root, lambda recording, error: None)
    recorder.start()
    hearing = Hearing(loop, capacity + headroom(capacity))
    hearing.start()
    bell = Bell(SilentBell())
    bell.start()
    briefings = KnownCalls()
    pacer = Pacer(loop, lambda sink, error: exchange.failed(sink, error))
    clips = HttpClips()
    control = Control(client, briefings, "bench", lambda uuid, hint: None)
    owners = Owners(client, "bench")
    exchange = Exchange(
        Plant(
            equipment=Equipment(clock=clock, soon=loop.call_soon, hearing=hearing, speech=speech, clips=clips),
            pacer=pacer,
            recorder=recorder,
            registry=registry,
            briefings=briefings,
            control=control,
            owners=owners,
            bell=bell,
            phone=InstantPhone(),
            casting=cast,
            defaults=options,
            stem=lambda briefing: f"{recordings.ROOT}/2026/01/01/00/{briefing.uuid}",
        )
    )
    door = PhoneDoor(exchange, clock.monotonic)
    pages = Pages(health=dict, ready=lambda: (True, {}), metrics=str)
    _duties.extend([loop.create_task(control.run()), loop.create_task(owners.run())])
    return exchange, MediaServer(door, pages, ""), pacer


async def serve_waihu(port: int, capacity: int, root: Path, redis_url: str) -> None:
    """For ever."""
    speech = InstantSpeech(_Recognizers(), Tape(), RecognitionOptions(), SynthesisOptions())
    options = SessionOptions(asr=TranscriptionOption(), tts=SynthesisOption(), barge_in=False)
    _, server, _ = open_exchange(root, capacity, Cast(make=Talker), options, speech, redis_url)
    await server.start("127.0.0.1", port)
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    await asyncio.Event().wait()


# --- one round ---------------------------------------------------------------------------------------------------------


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
def server(kind: Kind, calls: int, port: int, root: Path, redis_url: str) -> Any:
    """A server process on core 0 that is ready."""
    command = [sys.executable, "-m", "benchmarks.media", "--serve", kind, "--port", str(port)]
    command += ["--calls", str(calls), "--root", str(root), "--redis", redis_url]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # as media/__init__.py does, which here comes after numpy
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert running.stdout is not None
        if running.stdout.readline().strip() != "ready":
            raise RuntimeError(f"the {kind} server did not start")
        yield running
    finally:
        running.kill()
        running.wait()


def measure(kind: Kind, calls: int, seconds: float) -> Round:
    """One server, one generator, one window."""
    port = free_port()
    with (
        tempfile.TemporaryDirectory() as directory,
        running_redis(Path(directory)) as redis_url,
        server(kind, calls, port, Path(directory), redis_url) as running,
    ):
        empty = resident(running.pid)
        command = [sys.executable, "-m", "benchmarks.lines", "--port", str(port), "--calls", str(calls)]
        command += ["--seconds", str(seconds), "--core", "1"]
        lines = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert lines.stdout is not None
        if lines.stdout.readline().strip() != "measuring":
            raise RuntimeError("the generator could not connect")
        began, used = time.monotonic(), cpu_seconds(running.pid)
        full = resident(running.pid)
        document = lines.stdout.readline()
        cpu = (cpu_seconds(running.pid) - used) / (time.monotonic() - began)
        lines.wait(PATIENCE)
        return Round(kind, calls, cpu, (full - empty) / calls, json.loads(document))


def table(rounds: Sequence[Round]) -> None:
    """All rounds, and their ratios."""
    print(
        f"{'server':8}{'calls':>6}{'CPU':>7}{'frames':>8}{'late p50':>10}{'p99':>7}{'p99.9':>8}{'max':>7}  own p99  kB/call"
    )
    for each in rounds:
        late, own = each.result["late"], each.result["own"]
        print(
            f"{each.kind:8}{each.calls:6}{each.cpu:7.3f}{each.result['frames'] / each.result['expected']:8.3f}"
            f"{late['p50']:10.2f}{late['p99']:7.2f}{late['p999']:8.2f}{late['max']:7.1f}{own['p99']:9.2f}{each.memory / 1000:9.0f}"
        )
    for calls in sorted({each.calls for each in rounds}):
        ours = [each for each in rounds if each.calls == calls and each.kind == "waihu"]
        floor = [each for each in rounds if each.calls == calls and each.kind == "floor"]
        cpu = _median(ours, lambda each: each.cpu) / _median(floor, lambda each: each.cpu)
        p99 = _median(ours, _p99) / max(_median(floor, _p99), 1e-9)
        print(
            f"{calls} calls: CPU {cpu:.2f} x the floor's (aim 1.6), send lateness p99 {p99:.2f} x (aim 2), "
            f"{_median(ours, _p99):.2f} ms; {_median(ours, lambda each: each.memory) / 1e6:.2f} MB a call (aim 2)"
        )


def _p99(each: Round) -> float:
    return float(each.result["late"]["p99"])


def _median(rounds: Sequence[Round], value: Callable[[Round], float]) -> float:
    return statistics.median(map(value, rounds))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.media", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 calls, one short round")
    parser.add_argument("--calls", type=int, nargs="+", help="how many at once (default 100 400)")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--serve", choices=["waihu", "floor"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--redis", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        os.sched_setaffinity(0, {0})
        capacity = asked.calls[0]
        uvloop.run(
            serve_floor(asked.port)
            if asked.serve == "floor"
            else serve_waihu(asked.port, capacity, asked.root, asked.redis)
        )
        return 0
    if len(os.sched_getaffinity(0)) < 2:
        print("this benchmark needs two cores: one for the server, one for the generator", file=sys.stderr)
        return 1
    os.sched_setaffinity(0, {1})  # with all that is started from here, but for the server
    seconds = 6.0 if asked.quick else 15.0
    kinds: tuple[Kind, ...] = ("floor", "waihu")
    rounds = [
        measure(kind, calls, seconds)
        for calls in asked.calls or ([100] if asked.quick else [100, 400])
        for _ in range(asked.rounds or (1 if asked.quick else 3))
        for kind in kinds
    ]
    table(rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
