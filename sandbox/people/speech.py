"""Synthesised lines, made ahead of need in one thread (espeak-ng is not thread-safe, and must not hold the audio up)."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from sandbox.people.sounds import RATE, Pcm
from sandbox.voice import speech

log = logging.getLogger(__name__)

CACHED_LINES = 2000
"""Lines kept: all those of the built-in manners in every voice (about 60 x 6), and room for long scenarios; 2000 lines of
two seconds are 64 MB at most."""


class Speech(Protocol):
    """Turns texts into sound."""

    def prepare(self, text: str, voice: int, ready: Callable[[Pcm], None]) -> None:
        """Call `ready` with the speech, at once or later, from the same thread."""

    async def line(self, text: str, voice: int) -> Pcm:
        """The speech, awaited."""


class EspeakSpeech:
    """Speech by espeak-ng, each line carrying its own words as tones. Used from one event loop."""

    def __init__(self) -> None:
        self._lines: OrderedDict[tuple[str, int], asyncio.Future[Pcm]] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="espeak")

    def prepare(self, text: str, voice: int, ready: Callable[[Pcm], None]) -> None:
        """See :class:`Speech`. `voice` is any number; it picks one of the voices for people."""
        line = self._line(text, voice % len(speech.CALLEES))
        if line.done():
            self._deliver(line, ready)
        else:
            line.add_done_callback(lambda done: self._deliver(done, ready))

    async def line(self, text: str, voice: int) -> Pcm:
        """See :class:`Speech`."""
        return await asyncio.shield(self._line(text, voice % len(speech.CALLEES)))

    def close(self) -> None:
        """Stop synthesising; lines that wait are dropped."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    @staticmethod
    def _deliver(line: asyncio.Future[Pcm], ready: Callable[[Pcm], None]) -> None:
        """A line that could not be synthesised is said as nothing: the person must not wait for it for ever."""
        if line.cancelled():
            return
        error = line.exception()
        if error is not None:
            log.error("a line could not be synthesised", exc_info=error)
        ready(np.zeros(0, np.int16) if error is not None else line.result())

    def _line(self, text: str, voice: int) -> asyncio.Future[Pcm]:
        key = (text, voice)
        line = self._lines.get(key)
        if line is None:
            loop = asyncio.get_running_loop()
            line = loop.run_in_executor(self._thread, _synthesise, text, voice)
            self._lines[key] = line
            while len(self._lines) > CACHED_LINES:
                self._lines.popitem(last=False)
        else:
            self._lines.move_to_end(key)
        return line


def _synthesise(text: str, voice: int) -> Pcm:
    return speech.utterance(text, RATE, speech.CALLEES[voice]).pcm
