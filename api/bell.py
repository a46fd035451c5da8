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

CAPACITY = 100_000
"""Ids that may wait for the broker: more than it takes in a second; beyond that the sweep does it."""
FLUSH_SECONDS = 2.0
"""How long a process that ends waits for the last rings."""

log = logging.getLogger(__name__)


class Bell(Protocol):
    """What is rung: shared.doorbell.Doorbell, or a twin that remembers."""

    def ring(self, name: str, *args: Any) -> bool:
        """Sends one message; False if the broker is away."""


class Ringer:
    """What is still to be rung, and the thread that rings it. Safe from several threads; starts again after a fork.

    A message costs about as much as a small request, whatever it carries, so what waits for the broker is put together:
    one ring for many without ids, up to CHUNK ids in one message.
    """

    def __init__(self, bell: Bell, capacity: int = CAPACITY) -> None:
        self._bell = bell
        self._capacity = capacity
        self._waiting: dict[str, deque[int]] = {}  # an empty one: rung without ids
        self._ids = 0
        self._changed = threading.Condition()
        self._busy = False
        self._closed = False
        self._process = 0

    def ring(self, name: str) -> bool:
        """Rings without ids, once however often it was asked for meanwhile. False once closed."""
        return self._wait_for_turn(name, ())

    def ring_ids(self, name: str, ids: Sequence[int]) -> bool:
        """Rings with ids, in their order, as one list argument a message. False if too many wait, or once closed."""
        return self._wait_for_turn(name, ids) if ids else True

    def _wait_for_turn(self, name: str, ids: Sequence[int]) -> bool:
        with self._changed:
            if self._closed or self._ids + len(ids) > self._capacity:
                log.warning("too much waits for the broker; the sweep will ring", extra={"task_name": name})
                return False
            self._waiting.setdefault(name, deque()).extend(ids)
            self._ids += len(ids)
            self._start()
            self._changed.notify_all()
        return True

    def wait_idle(self, timeout: float) -> bool:
        """Waits until everything in line was tried; False if that took longer than ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout)

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
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            self._busy = True
            name = next(iter(self._waiting))
            ids = self._waiting.pop(name)
            if not ids:
                return name, ()
            chunk = [ids.popleft() for _ in range(min(CHUNK, len(ids)))]
            self._ids -= len(chunk)
            if ids:
                self._waiting[name] = ids  # behind the others
            return name, (chunk,)
