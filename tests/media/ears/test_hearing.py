"""The thread that looks at all calls, on a real loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from media.ears.bank import EarsFullError
from media.ears.hearing import Hearing
from media.ears.vad import SpeechModel
from media.ears.weights import Floats

Samples = npt.NDArray[np.int16]
PATIENCE_S = 20.0
"""For a thread that shares two busy cores; no test waits for it in full."""


class Listener:
    """Keeps what it is told, on which thread, and lets tests wait for it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.threads: set[int] = set()
        self.changed = asyncio.Event()

    def _note(self, what: str, value: object) -> None:
        self.told.append((what, value))
        self.threads.add(threading.get_ident())
        self.changed.set()

    def speech_started(self, sample: int) -> None:
        self._note("started", sample)

    def speech_ended(self, sample: int) -> None:
        self._note("ended", sample)

    def dtmf(self, digit: str, sample: int) -> None:
        self._note("dtmf", digit)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.told) < count:
                self.changed.clear()
                await self.changed.wait()


def test_tells_the_listener_on_the_loop(babble: Callable[..., Samples], line: Callable[..., Samples]) -> None:
    async def scenario() -> None:
        hearing = Hearing(asyncio.get_running_loop(), capacity=4)
        hearing.start()
        try:
            listener = Listener()
            ears = hearing.open(listener, 0.0)
            # All at once, and less than the bound on the backlog: nothing hangs on how fast the thread is.
            ears.hear(line(0.1, babble(0.45), 0.4).tobytes(), 0.95)
            await listener.until(2)
            assert [what for what, _ in listener.told] == ["started", "ended"]
            assert not ears.speaking
            assert listener.threads == {threading.get_ident()}
            ears.close()
        finally:
            hearing.stop()

    asyncio.run(scenario())


def test_a_closed_call_is_told_nothing(babble: Callable[..., Samples], line: Callable[..., Samples]) -> None:
    async def scenario() -> None:
        hearing = Hearing(asyncio.get_running_loop(), capacity=4)
        hearing.start()
        try:
            gone, there = Listener(), Listener()
            closing, staying = hearing.open(gone, 0.0), hearing.open(there, 0.0)
            audio = line(0.1, babble(0.8)).tobytes()
            closing.hear(audio, 0.9)
            staying.hear(audio, 0.9)
            closing.close()
            await there.until(1)
            assert gone.told == []
        finally:
            hearing.stop()

    asyncio.run(scenario())


def test_a_listener_that_raises_harms_nobody_else(babble: Callable[..., Samples], line: Callable[..., Samples]) -> None:
    class Broken(Listener):
        def speech_started(self, sample: int) -> None:
            raise RuntimeError("broken listener")

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        reported: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: reported.append(context))
        hearing = Hearing(loop, capacity=4)
        broken, well = Broken(), Listener()
        audio = line(0.1, babble(0.8)).tobytes()
        for listener in (broken, well):
            hearing.open(listener, 0.0).hear(audio, 0.9)
        hearing.start()
        try:
            await well.until(1)
        finally:
            hearing.stop()
        assert [str(context["exception"]) for context in reported] == ["broken listener"]

    asyncio.run(scenario())


def test_a_look_that_fails_is_counted_and_the_next_ones_go_on(
    babble: Callable[..., Samples], line: Callable[..., Samples], caplog: pytest.LogCaptureFixture
) -> None:
    class FailsOnce(SpeechModel):
        failed = False

        def step(self, rows: npt.NDArray[np.intp], features: Floats) -> Floats:
            if not self.failed:
                self.failed = True
                raise RuntimeError("out of memory")
            return super().step(rows, features)

    async def scenario() -> None:
        hearing = Hearing(asyncio.get_running_loop(), capacity=4, model=FailsOnce)
        listener = Listener()
        hearing.open(listener, 0.0).hear(line(0.1, babble(0.8)).tobytes(), 0.9)
        hearing.start()
        try:
            await listener.until(1)
        finally:
            hearing.stop()
        assert hearing.failures == 1
        assert "looking at the calls' audio failed" in caplog.text

    asyncio.run(scenario())


def test_more_calls_than_rows_are_refused() -> None:
    async def scenario() -> None:
        hearing = Hearing(asyncio.get_running_loop(), capacity=1)
        hearing.open(Listener(), 0.0)
        with pytest.raises(EarsFullError):
            hearing.open(Listener(), 0.0)
        hearing.stop()

    asyncio.run(scenario())
