"""How fast our voice stops when the callee speaks, and how fast it answers when the callee has spoken.

    python -m benchmarks.bargein [--quick]

The media process as it is, over real sockets, with stand-ins for recognition and synthesis that answer at once. Each
callee speaks into our voice, real speech from espeak; what is measured at the callee's end of the socket:

- *stop*: from the first loud sample sent to the last frame of ours that arrives before it falls silent (aim: p95 200 ms);
- *answer*: from the last loud sample sent to the first frame of our answer, beyond the endpointing delay (aim: p95
  60 ms). The voice detector's own idea of where speech ended is part of it, so it is shown by itself too.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import uvloop
import websockets

from benchmarks.house import InstantSpeech, Tape, open_exchange
from media.driver import Cast, SessionOptions, SessionPort
from media.protocol import events
from media.protocol.options import SynthesisOption, TranscriptionOption
from media.speech.ports import (
    Recognition,
    RecognitionOptions,
    Recognizer,
    SpeechFailure,
    SynthesisOptions,
)
from media.turns import TurnRule
from sandbox.voice.espeak import speak
from tests.workers.twins import running_redis

PHRASES = ("等一下，你先听我说。", "我想问一下，什么时候可以送到？", "不好意思，我现在有点忙。", "你们是哪个公司的？")
ANSWERED = "好的，我知道了。"
LOUD = 10 ** (-40 / 20) * 32768
"""A sample above -40 dB of full scale is speech: the phrases lie at -20, the line's noise at -70."""
FRAME = 160
GAP = 0.15
"""Seconds without a frame of ours: it has fallen silent."""


class Prompt:
    """A recogniser that has understood as soon as the caller falls silent."""

    def __init__(self, on_recognition: Callable[[Recognition], None]) -> None:
        self._on_recognition = on_recognition
        self._index = 0

    def push(self, pcm: bytes | bytearray | memoryview) -> None:
        """Takes it."""

    def expect_result(self) -> None:
        recognition = Recognition(self._index, ANSWERED, 0, 0, True)
        self._index += 1
        asyncio.get_running_loop().call_soon(self._on_recognition, recognition)

    def finish(self) -> None:
        """Nothing is outstanding."""

    async def finished(self) -> None:
        """Nothing will come."""

    async def close(self) -> None:
        """Nothing is open."""


class _Recognizers:
    def open(
        self,
        options: RecognitionOptions,
        on_recognition: Callable[[Recognition], None],
        on_failure: Callable[[SpeechFailure], None],
    ) -> Recognizer:
        return Prompt(on_recognition)


class Answerer:
    """A driver that talks on and on, and answers each turn at once. Notes where turns were held to have ended."""

    ends: list[float]

    def __init__(self, port: SessionPort, ends: dict[str, list[float]]) -> None:
        self._port = port
        self._plays = 0
        self.ends = ends.setdefault(port.id, [])

    def on_event(self, event: events.AnyEvent) -> None:
        if isinstance(event, events.Eou):
            self.ends.append(event.end_time / 1000)
        if isinstance(event, events.Answer | events.Eou):
            self._plays += 1
            self._port.say("一直说话", play_id=f"p{self._plays}")


@dataclass
class Callee:
    """One line: speaks, listens, and notes when."""

    number: int
    rounds: int
    arrivals: list[float] = field(default_factory=list)
    spoken: list[tuple[float, float]] = field(default_factory=list)
    """When the first and the last loud sample of each phrase were sent: the moment of their frame, plus their place in it."""

    async def call(self, port: int) -> None:
        """A whole call."""
        url = f"ws://127.0.0.1:{port}/phone?call_id=call-{self.number}"
        async with websockets.connect(url, compression=None, proxy=None, max_queue=None) as socket:
            listening = asyncio.create_task(self._listen(socket))
            await self._talk(socket)
            listening.cancel()

    async def _listen(self, socket: websockets.ClientConnection) -> None:
        while True:
            await socket.recv()
            self.arrivals.append(time.monotonic())

    async def _talk(self, socket: websockets.ClientConnection) -> None:
        noise = np.random.default_rng(self.number)
        due = time.monotonic()
        for turn in range(self.rounds):
            phrase = speak(PHRASES[(self.number + turn) % len(PHRASES)], 8000)
            silence = np.zeros(int(8000 * (1.5 + noise.random())) + self.number * 37, np.int16)
            pcm = np.concatenate([silence, phrase, np.zeros(-(len(silence) + len(phrase)) % FRAME, np.int16)])
            loud = np.flatnonzero(np.abs(pcm) > LOUD)
            pcm = pcm + noise.normal(0, 8, len(pcm)).astype(np.int16)
            marks = {int(loud[0]): 0.0, int(loud[-1]): 0.0}
            for at in range(0, len(pcm), FRAME):
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                sent = time.monotonic()
                for sample in marks:
                    if at <= sample < at + FRAME:
                        marks[sample] = sent - (at + FRAME - sample) / 8000
                await socket.send(_frame(self.number, pcm[at : at + FRAME].tobytes()))
                due += 0.02
            self.spoken.append((marks[int(loud[0])], marks[int(loud[-1])]))
        for _ in range(100):
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await socket.send(_frame(self.number, bytes(320)))
            due += 0.02

    def stops(self) -> list[float]:
        """For each phrase, seconds from its onset to the last frame of ours before it fell silent."""
        found = []
        for onset, end in self.spoken:
            after = [at for at in self.arrivals if onset <= at < end + 1.5]
            silent = next((a for a, b in zip(after, [*after, float("inf")][1:], strict=True) if b - a > GAP), None)
            if silent is not None:
                found.append(silent - onset)
        return found

    def answers(self) -> list[float]:
        """For each phrase, seconds from its end to our first frame after a silence; a voice that went on is no answer."""
        begun = [
            at for before, at in zip([float("-inf"), *self.arrivals], self.arrivals, strict=False) if at - before > GAP
        ]
        firsts = [next((at for at in begun if at > end), None) for _, end in self.spoken]
        return [first - end for first, (_, end) in zip(firsts, self.spoken, strict=True) if first is not None]


def _frame(number: int, pcm: bytes) -> str:
    return f'{{"type":"audio","call_id":"call-{number}","data":"{b64encode(pcm).decode()}"}}'


async def run(callees: int, rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Stops, answers, and how late the voice detector placed the ends of turns; all in seconds."""
    speech = InstantSpeech(_Recognizers(), Tape(), RecognitionOptions(), SynthesisOptions())
    options = SessionOptions(asr=TranscriptionOption(), tts=SynthesisOption(), barge_in=True, turns=TurnRule())
    ends: dict[str, list[float]] = {}
    cast = Cast(make=lambda port: Answerer(port, ends))
    with tempfile.TemporaryDirectory() as directory, running_redis(Path(directory)) as redis_url:
        _, server, _ = open_exchange(Path(directory), callees, cast, options, speech, redis_url)
        await server.start("127.0.0.1", 0)
        lines = [Callee(number, rounds) for number in range(callees)]
        await asyncio.gather(*(line.call(server.port) for line in lines))
        await server.stop()
    offset = time.time() - time.monotonic()
    placed = []
    for line in lines:
        said = ends.get(f"2601010000{line.number:09d}", [])
        placed += [found - offset - end for (_, end), found in zip(line.spoken, said, strict=False)]
    return [stop for line in lines for stop in line.stops()], [a for line in lines for a in line.answers()], placed


def _shown(name: str, seconds: list[float], aim: float | None) -> None:
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))] * 1000
    wanted = f" (aim {aim:.0f})" if aim is not None else ""
    print(
        f"{name}: n {len(seconds)}, p50 {statistics.median(ordered) * 1000:.0f} ms, p95 {p95:.0f} ms{wanted}, "
        f"max {ordered[-1] * 1000:.0f} ms"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bargein", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer callees")
    asked = parser.parse_args()
    callees, rounds = (6, 4) if asked.quick else (16, 8)
    stops, answers, placed = uvloop.run(run(callees, rounds))
    if len(stops) < callees * rounds * 0.9 or len(answers) < callees * rounds * 0.9:
        print(
            f"expected {callees * rounds} of each, got {len(stops)} stops and {len(answers)} answers", file=sys.stderr
        )
        return 1
    rule = TurnRule()
    _shown("stop: onset to our last frame", stops, 200)
    _shown("answer: end of speech to our first frame, all", answers, None)
    _shown(f"answer: beyond the endpointing delay of {rule.complete_s * 1000:.0f} ms",
           [answer - rule.complete_s for answer in answers], 60)  # fmt: skip
    _shown("of that, the end of speech as the voice detector places it", placed, None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
