"""Rings the workers' doorbell from a thread of its own, so that a broker that is away delays no answer.

The rows are the queue: a ring that is lost is found by the sweep, so the waiting line is bounded and never blocks.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from shared.doorbell import CHUNK

CAPACITY = 1000
"""Messages that may wait for the broker: more than a second of what it takes; beyond that the sweep does it."""
FLUSH_SECONDS = 2.0
"""How long a process that ends waits for the last rings."""

log = logging.getLogger(__name__)


class Bell(Protocol):
    """What is rung: shared.doorbell.Doorbell, or a twin that remembers."""

    def ring(self, name: str, *args: Any) -> bool:
        """Sends one message; False if the broker is away."""


class Ringer:
    """A bounded line of messages and the thread that sends them. Safe from several threads; starts again after a fork."""

    def __init__(self, bell: Bell, capacity: int = CAPACITY) -> None:
        self._bell = bell
        self._capacity = capacity
        self._line: deque[tuple[str, tuple[Any, ...]]] = deque()
        self._changed = threading.Condition()
        self._busy = False
        self._closed = False
        self._process = 0

    def ring(self, name: str, *args: Any) -> bool:
        """Puts a message in line; one that waits there already is not doubled. False if the line is full or closed."""
        message = (name, args)
        with self._changed:
            if self._closed or len(self._line) >= self._capacity:
                log.warning("the doorbell's line is full; the sweep will ring", extra={"task_name": name})
                return False
            if args or message not in self._line:
                self._line.append(message)
            self._start()
            self._changed.notify_all()
        return True

    def ring_chunks(self, name: str, ids: Sequence[int]) -> bool:
        """Puts ``ids`` in line, CHUNK to a message, each as one list argument."""
        rung = [self.ring(name, list(ids[start : start + CHUNK])) for start in range(0, len(ids), CHUNK)]
        return all(rung)

    def wait_idle(self, timeout: float) -> bool:
        """Waits until everything in line was tried; False if that took longer than ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._line and not self._busy, timeout)

    def close(self, timeout: float = FLUSH_SECONDS) -> None:
        """Takes no more, and waits for what is in line."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.wait_idle(timeout)

    def _start(self) -> None:
        """Starts the thread in the process that rings: a server forks its workers after loading the application."""
        if self._process == os.getpid():
            return
        self._process = os.getpid()
        self._busy = False
        threading.Thread(target=self._run, name="doorbell", daemon=True).start()
        atexit.register(self.close)

    def _run(self) -> None:
        while (message := self._next()) is not None:
            name, args = message
            try:
                self._bell.ring(name, *args)
            except Exception:
                # The thread's boundary: one bad message must not end all ringing.
                log.exception("the doorbell failed; the sweep will ring", extra={"task_name": name})
            with self._changed:
                self._busy = False
                self._changed.notify_all()
        atexit.unregister(self.close)

    def _next(self) -> tuple[str, tuple[Any, ...]] | None:
        """The next message, None once closed and empty; waits for one."""
        with self._changed:
            self._changed.wait_for(lambda: self._line or self._closed)
            if not self._line:
                return None
            self._busy = True
            return self._line.popleft()
