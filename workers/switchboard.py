"""How many threads may talk to the phone system at once, so that a slow one cannot starve event handling."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from shared.errors import OutcomeUnknown, Unplaced
from shared.phone.port import Placer

WAITING_DIALS = 1_500
"""Calls that wait in this process for a place: above what is ever granted and not yet dialled (room.MOST_UNDIALLED).
What finds no place all the same is still queued in SQL, and the sweep rings for it again."""
HANGUP_THREADS = 4
WAITING_HANGUPS = 1_000
"""Above MAX_CALLS of a large house; a hangup that finds no place is repeated by the call's deadline."""

log = logging.getLogger(__name__)


class Bulkhead:
    """At most ``places`` dials at once. What finds no place waits here, and a dial that ends takes it up."""

    def __init__(self, places: int, waiting: int = WAITING_DIALS) -> None:
        self._places = places
        self._most_waiting = waiting
        self._lock = threading.Lock()
        self._waiting: deque[str] = deque()
        self._known: set[str] = set()
        self._busy = 0
        self._closing = False

    def run(self, uuids: Sequence[str], dial: Callable[[str], None]) -> None:
        """Has ``uuids`` dialled: by this thread, with whatever waits, if there is a place, else by those that dial.

        A call that this process has in hand already is passed over. Raises the first error of ``dial``, once nothing
        waits any more.
        """
        with self._lock:
            for uuid in uuids:
                if uuid not in self._known and not self._closing and len(self._waiting) < self._most_waiting:
                    self._known.add(uuid)
                    self._waiting.append(uuid)
            if not self._waiting or self._busy >= self._places:
                return
            self._busy += 1
            first = self._waiting.popleft()
        self._work(first, dial)

    def close(self) -> None:
        """From now on no waiting call is taken up: the process is about to leave, and the sweep finds them."""
        with self._lock:
            self._closing = True
            self._known.difference_update(self._waiting)
            self._waiting.clear()

    def _work(self, uuid: str, dial: Callable[[str], None]) -> None:
        failure: Exception | None = None
        current: str | None = uuid
        while current is not None:
            try:
                dial(current)
            except Exception as error:  # noqa: BLE001 - raised below, once nobody waits for this thread any more
                failure = failure or error
            except BaseException:
                self._leave(current)
                raise
            current = self._next(current)
        if failure is not None:
            raise failure

    def _next(self, done: str) -> str | None:
        with self._lock:
            self._known.discard(done)
            if self._waiting:
                return self._waiting.popleft()
            self._busy -= 1
            return None

    def _leave(self, done: str) -> None:
        with self._lock:
            self._known.discard(done)
            self._busy -= 1


class Hangups:
    """Ends calls without making who asks wait for the phone system."""

    def __init__(self, placer: Placer, executor: Executor) -> None:
        self._placer = placer
        self._executor = executor
        self._places = threading.BoundedSemaphore(WAITING_HANGUPS)

    def ask(self, call_id: str) -> None:
        """Hangs up soon. What fails is logged; the call's deadline asks again."""
        if not self._places.acquire(blocking=False):
            log.warning("too many hangups wait; the deadline asks again", extra={"call_id": call_id})
            return
        self._executor.submit(self._hang_up, call_id)

    def close(self) -> None:
        """Waits for those that were asked for."""
        self._executor.shutdown(wait=True)

    def _hang_up(self, call_id: str) -> None:
        try:
            self._placer.hangup(call_id)
        except (Unplaced, OutcomeUnknown) as error:
            log.warning("hangup failed; the deadline asks again", extra={"call_id": call_id, "error": error.code})
        finally:
            self._places.release()
