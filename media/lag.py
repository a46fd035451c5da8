"""Whether the event loop keeps up: how late it runs what is due, and what it was doing when it did not."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback

from media.pacer import Lateness

PROBE_SECONDS = 0.1
STALL_SECONDS = 0.1
"""A loop that stood still for so long has made every call's voice stumble (the lead is 60 ms)."""
QUIET_SECONDS = 10.0
"""Stacks are dumped at most so often: one is enough to see, and writing them costs time too."""

log = logging.getLogger(__name__)


class LagProbe:
    """A recurring callback on the loop, and a thread that looks at the loop's stack when that does not come."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.lateness = Lateness()
        self.stalls = 0
        """How often the loop stood still for longer than STALL_SECONDS."""
        self._loop = loop
        self._due = 0.0
        self._handle: asyncio.TimerHandle | None = None
        self._loop_thread = 0
        self._stopping = threading.Event()
        self._dumped_at = -QUIET_SECONDS
        self._thread = threading.Thread(target=self._watch, name="lag", daemon=True)

    def start(self) -> None:
        """Begins to probe. On the loop, once."""
        self._loop_thread = threading.get_ident()
        self._due = time.monotonic() + PROBE_SECONDS
        self._handle = self._loop.call_later(PROBE_SECONDS, self._probe)
        self._thread.start()

    def stop(self) -> None:
        """Ends both."""
        self._stopping.set()
        if self._handle is not None:
            self._handle.cancel()
        self._thread.join(2 * PROBE_SECONDS)

    def _probe(self) -> None:
        now = time.monotonic()
        late = now - self._due
        self.lateness.add(late)
        if late > STALL_SECONDS:
            self.stalls += 1
            log.warning("the event loop stood still", extra={"milliseconds": int(late * 1000)})
        self._due = now + PROBE_SECONDS
        self._handle = self._loop.call_later(PROBE_SECONDS, self._probe)

    def _watch(self) -> None:
        while not self._stopping.wait(PROBE_SECONDS / 2):
            now = time.monotonic()
            if now - self._due > STALL_SECONDS and now - self._dumped_at > QUIET_SECONDS:
                self._dumped_at = now
                self._dump()

    def _dump(self) -> None:
        frame = sys._current_frames().get(self._loop_thread)
        if frame is not None:
            stack = "".join(traceback.format_stack(frame))
            log.warning("the event loop stands still here:\n%s", stack)
