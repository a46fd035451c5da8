"""Rings for the workers from the event loop: a small thread sends, so that a broker that hangs delays no audio."""

from __future__ import annotations

import logging
import queue
import threading
from typing import Any, Protocol

MAX_WAITING = 1_000
"""Messages that wait for a broker that is away: a few a call. The sweep finds what is dropped."""
JOIN_SECONDS = 6.0
"""How long the process waits for the last messages when it ends: one more than the broker's own time-out."""

log = logging.getLogger(__name__)


class Rings(Protocol):
    """What sends: shared.doorbell.Doorbell."""

    def ring(self, name: str, *args: Any) -> bool:
        """May block for seconds; False if the broker is away."""

    def close(self) -> None:
        """Lets go of its connections."""


class Bell:
    """Never blocks, never raises."""

    def __init__(self, doorbell: Rings) -> None:
        self.dropped = 0
        """Messages that found the queue full."""
        self._doorbell = doorbell
        self._queue: queue.Queue[tuple[str, tuple[Any, ...]] | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name="bell", daemon=True)

    def start(self) -> None:
        """Starts the thread. Once."""
        self._thread.start()

    def ring(self, name: str, *args: Any) -> None:
        """Sends a message, soon."""
        try:
            self._queue.put_nowait((name, args))
        except queue.Full:
            self.dropped += 1

    def stop(self) -> None:
        """Sends what waits, and ends the thread. Blocks for at most JOIN_SECONDS."""
        try:
            self._queue.put(None, timeout=JOIN_SECONDS)
        except queue.Full:
            log.warning("the bell's queue stays full; its messages are dropped", extra={"waiting": MAX_WAITING})
        self._thread.join(JOIN_SECONDS)
        self._doorbell.close()

    def _run(self) -> None:
        while (message := self._queue.get()) is not None:
            name, args = message
            try:
                self._doorbell.ring(name, *args)
            except Exception:  # the thread's boundary: one message that cannot be sent must not end all others
                log.exception("a message could not be sent", extra={"task_name": name})
