"""Threads that wait for receivers, so many for each endpoint, so that a slow one holds up nobody but itself."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from shared.outbox import MOST_ENDPOINTS

PLACES = 2
"""Couriers for one endpoint in one process: one slow answer does not stop its others, and no receiver is flooded."""
DESKS = 4
"""Couriers that may use the database at once: of a process's 20 connections dialling must always find one."""

Work = Callable[[], bool]
"""Does all there is to do for an endpoint now. False: it is to be left alone for a while, whoever asked meanwhile."""

log = logging.getLogger(__name__)


class Couriers:
    """As many threads as all endpoints may use together, made when they are first needed. Safe from several threads."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(MOST_ENDPOINTS * PLACES, thread_name_prefix="waihu-courier")
        self._changed = threading.Condition()
        self._busy: Counter[int] = Counter()
        self._asked: set[int] = set()
        self._left_alone: set[int] = set()
        """Endpoints whose last courier was not willing to go on, until the next ring."""
        self._closing = False
        self.desk = threading.BoundedSemaphore(DESKS)

    @property
    def closing(self) -> bool:
        """Whether no courier is to set out any more."""
        return self._closing

    def offer(self, endpoint_id: int, work: Work) -> None:
        """Has ``work`` done soon; if all the endpoint's places are taken, one of its couriers looks again at its end."""
        with self._changed:
            self._left_alone.discard(endpoint_id)
            self._set_out(endpoint_id, work)

    def join_in(self, endpoint_id: int, work: Work) -> None:
        """Asked by a courier that is out and found that there is more to do than one can: as ``offer``, unless another one
        was unwilling to go on since. Each would otherwise find the place of the one that gave up before it, and a whole
        backlog would be tried at a receiver that is away."""
        with self._changed:
            if endpoint_id not in self._left_alone:
                self._set_out(endpoint_id, work)

    def _set_out(self, endpoint_id: int, work: Work) -> None:
        if self._closing:
            return
        if self._busy[endpoint_id] >= PLACES:
            self._asked.add(endpoint_id)
            return
        self._busy[endpoint_id] += 1
        self._executor.submit(self._run, endpoint_id, work)

    def wait_idle(self, timeout: float) -> bool:
        """Waits until no courier is out; False if that took longer than ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._busy.total(), timeout)

    def drain(self) -> None:
        """From now on nobody sets out; what is left stands in SQL."""
        with self._changed:
            self._closing = True

    def close(self) -> None:
        """Waits for those that are out: each is back within the time of one delivery."""
        self.drain()
        self._executor.shutdown(wait=True)

    def _run(self, endpoint_id: int, work: Work) -> None:
        again = True
        while again:
            try:
                willing = work()
            except Exception:
                # The thread's boundary: the delivery is due again when its claim ends.
                log.exception("a courier failed", extra={"endpoint_id": endpoint_id})
                willing = False
            again = self._leave(endpoint_id, willing)

    def _leave(self, endpoint_id: int, willing: bool) -> bool:
        """Whether to stay and look again; the place is free otherwise."""
        with self._changed:
            asked = endpoint_id in self._asked
            self._asked.discard(endpoint_id)
            if asked and willing and not self._closing:
                return True
            if not willing:
                self._left_alone.add(endpoint_id)
            self._busy[endpoint_id] -= 1
            self._changed.notify_all()
            return False
