"""Many phone lines at once: a lean generator of the phone system's audio frames, and a judge of what comes back.

    python -m benchmarks.lines --port N --calls N --seconds S [--core N]

Every frame is encoded, masked and framed before the first is sent, speech in 40 % of them; each line sends one every
20 ms, spread over twenty phases of 1 ms, and notes when each frame of ours arrives. Prints ``measuring`` when all
lines have settled, then one JSON document. It reports its own lateness too: above a millisecond it is the limit.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import time
from array import array
from base64 import b64encode
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import uvloop

from sandbox.voice.espeak import speak

CYCLE = 250
"""Frames after which a line begins anew: 5 s, of which 2 s are speech."""
SPEECH = 100
PHASES = 20
SETTLE = 3.0
CONNECT_EVERY = 0.004
TEXT = "您好，我想问一下，我昨天下的订单什么时候能送到，我明天可能不在家。"
_SHORT, _LONG = 126, 1 << 16


def audio() -> list[bytes]:
    """One cycle of frames: speech, then a quiet line."""
    speech = speak(TEXT, 8000)[: SPEECH * 160]
    noise = np.random.default_rng(1).normal(0, 12, CYCLE * 160).astype(np.int16)
    noise[: len(speech)] += speech
    return [noise[at : at + 160].tobytes() for at in range(0, len(noise), 160)]


def client_frame(payload: bytes, mask: bytes = b"\x12\x34\x56\x78") -> bytes:
    """A masked, final text frame (RFC 6455, section 5.2)."""
    size = len(payload)
    head = bytes((0x81, 0x80 | size)) if size < _SHORT else b"\x81\xfe" + size.to_bytes(2, "big")
    key = np.frombuffer((mask * (size // 4 + 1))[:size], np.uint8)
    return head + mask + (np.frombuffer(payload, np.uint8) ^ key).tobytes()


class Line(asyncio.Protocol):
    """One call's socket."""

    def __init__(self, number: int, frames: list[bytes]) -> None:
        self.arrivals = array("d")
        self.open = asyncio.get_running_loop().create_future()
        self._number = number
        self._at = number % CYCLE
        self._frames = frames
        self._buffer = b""
        self._shaken = False
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        key = b64encode(self._number.to_bytes(16, "big")).decode()
        self._transport.write(
            f"GET /phone?call_id=call-{self._number} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if not self.open.done():
            self.open.set_exception(ConnectionError("the server closed a line"))

    def send(self) -> None:
        """The next frame."""
        if self._transport is not None:
            self._transport.write(self._frames[self._at])
            self._at = (self._at + 1) % CYCLE

    def data_received(self, data: bytes) -> None:
        if len(data) == 324 and data[0] == 0x82 and not self._buffer and self._shaken:
            self.arrivals.append(time.monotonic())
            return
        self._buffer += data
        if not self._shaken:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head.split(b"\r\n")[0]:
                self.open.set_exception(ConnectionError(head.split(b"\r\n")[0].decode()))
                return
            self._shaken, self._buffer = True, rest
            self.open.set_result(None)
        self._parse(time.monotonic())

    def _parse(self, now: float) -> None:
        buffer = self._buffer
        while len(buffer) >= 2:
            size, head = buffer[1], 2
            if size == _SHORT:
                size, head = int.from_bytes(buffer[2:4], "big"), 4
            if len(buffer) < head + size:
                break
            if buffer[0] == 0x82:
                self.arrivals.append(now)
            buffer = buffer[head + size :]
        self._buffer = buffer


class Ticker:
    """Sends for all lines, on absolute deadlines."""

    def __init__(self, lines: list[Line]) -> None:
        self.lateness = array("d")
        self._phases = [lines[phase::PHASES] for phase in range(PHASES)]
        self._loop = asyncio.get_running_loop()
        self._origin = self._loop.time()
        self._turn = 0
        self._loop.call_at(self._origin, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        while (due := self._origin + self._turn * 0.02 / PHASES) <= now + 0.0005:
            self.lateness.append(max(0.0, now - due))
            for line in self._phases[self._turn % PHASES]:
                line.send()
            self._turn += 1
        self._loop.call_at(due, self._tick)


def lateness(arrivals: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How late each frame of one line came, in seconds, against the line's own grid of 20 ms."""
    offsets = arrivals - np.arange(len(arrivals)) * 0.02
    return np.maximum(offsets - np.percentile(offsets, 2), 0.0) if len(offsets) else offsets


def percentiles(values: npt.NDArray[np.float64]) -> dict[str, float]:
    """Milliseconds."""
    if not len(values):
        return {"p50": 0.0, "p99": 0.0, "p999": 0.0, "max": 0.0}
    p50, p99, p999 = np.percentile(values, (50, 99, 99.9)) * 1000
    return {"p50": float(p50), "p99": float(p99), "p999": float(p999), "max": float(values.max() * 1000)}


async def generate(port: int, calls: int, seconds: float) -> dict[str, Any]:
    """Calls, talks, listens."""
    loop = asyncio.get_running_loop()
    sound = [b64encode(pcm) for pcm in audio()]
    lines: list[Line] = []
    for number in range(calls):
        call_id = b"call-%d" % number
        frames = [client_frame(b'{"type":"audio","call_id":"%s","data":"%s"}' % (call_id, data)) for data in sound]
        lines.append(Line(number, frames))
    gc.collect()
    gc.freeze()
    gc.disable()
    for line in lines:
        await loop.create_connection(lambda line=line: line, "127.0.0.1", port)  # type: ignore[misc]
        await line.open
        await asyncio.sleep(CONNECT_EVERY)
    ticker = Ticker(lines)
    await asyncio.sleep(SETTLE)
    print("measuring", flush=True)
    marks = [len(line.arrivals) for line in lines]
    sent = len(ticker.lateness)
    began = time.monotonic()
    await asyncio.sleep(seconds)
    lasted = time.monotonic() - began
    arrived = [np.array(line.arrivals[mark:]) for line, mark in zip(lines, marks, strict=True)]
    return {
        "frames": sum(map(len, arrived)),
        "expected": calls * lasted * 50,
        "seconds": lasted,
        "late": percentiles(np.concatenate([lateness(each) for each in arrived])),
        "own": percentiles(np.array(ticker.lateness[sent:])),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lines", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--core", type=int)
    asked = parser.parse_args()
    if asked.core is not None:
        os.sched_setaffinity(0, {asked.core})
    print(json.dumps(uvloop.run(generate(asked.port, asked.calls, asked.seconds))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
