"""Whether new calls can be recorded: what the disk has room for is looked at before customers are called.

A call that cannot be recorded is hung up, so nobody is to be called while that would be its fate; and the last of the
room is left to those who are on the phone already.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from media.recorder import Recorder
from media.registry import Registry

LOOK_SECONDS = 2.0
"""Between two looks, as between two heartbeats; what a recording cannot write brings on a look at once."""
PATIENCE_SECONDS = 10.0
"""A disk that does not answer for so long takes no recording: what waits for it in memory is bounded by a minute's sound."""
SECOND_BYTES = 32_000
"""Of a phone call's recording: 8,000 samples of two channels."""
SPARED_SECONDS = 60
"""Of sound that must have room for each call that lives here and one more. Once there was less, twice as much is asked for,
so that a disk at its limit is not full and empty in turn."""
PROBE_BYTES = 4096

log = logging.getLogger(__name__)


class Shelf:
    """Looks at the recordings directory, on the recorder's own thread: if that hangs, nothing can be recorded either."""

    def __init__(
        self, root: Path, recorder: Recorder, registry: Registry, changed: Callable[[], Awaitable[None]]
    ) -> None:
        """``changed`` is awaited when ``registry.recordable`` has: whoever places calls should hear of it."""
        self.free = 0
        """Bytes, at the last look."""
        self.problem = ""
        """Why no new call can be recorded; "" if it can."""
        self._root = root
        self._recorder = recorder
        self._registry = registry
        self._changed = changed
        self._looking: asyncio.Future[int] | None = None

    async def run(self) -> None:
        """Looks, for ever."""
        while True:
            self._recorder.trouble.clear()
            await self.look()
            try:
                await asyncio.wait_for(self._recorder.trouble.wait(), LOOK_SECONDS)
            except TimeoutError:
                pass

    async def look(self) -> None:
        """Once. Whatever is wrong with the disk is told, not raised."""
        self._looking = self._looking or self._recorder.ask(lambda: room_in(self._root))
        done, _ = await asyncio.wait([self._looking], timeout=PATIENCE_SECONDS)
        if done:
            asked, self._looking = self._looking, None
            problem = self._judge(asked)
        else:
            problem = f"the recordings' disk has not answered for {PATIENCE_SECONDS:g} s"
        if problem != self.problem:
            self.problem = problem
            self._registry.recordable = not problem
            if problem:
                log.error("new calls cannot be recorded: none is to be placed", extra={"why": problem})
            else:
                log.info("new calls can be recorded again", extra={"free_mib": self.free >> 20})
            await self._changed()

    def _judge(self, asked: asyncio.Future[int]) -> str:
        if (error := asked.exception()) is not None:
            self.free = 0
            return f"the recordings' disk cannot be written: {getattr(error, 'strerror', None) or type(error).__name__}"
        self.free = asked.result()
        needed = (self._registry.sessions + 1) * SPARED_SECONDS * SECOND_BYTES * (2 if self.problem else 1)
        return "" if self.free >= needed else "the recordings' disk is full but for what live calls may need"


def room_in(root: Path) -> int:
    """Bytes that are free where recordings lie. Blocks. Raises OSError if nothing can be written there."""
    with tempfile.TemporaryFile(dir=root, buffering=0) as probe:
        written = probe.write(bytes(PROBE_BYTES))
        if written != PROBE_BYTES:
            probe.write(bytes(PROBE_BYTES - written))  # says what is wrong
    status = os.statvfs(root)
    return status.f_bavail * status.f_frsize
