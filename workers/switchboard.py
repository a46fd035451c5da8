"""Which calls wait to be dialled, and how many threads may talk to the phone system at once, so that a slow one cannot
starve event handling."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import redis

from shared.errors import OutcomeUnknown, Unplaced
from shared.phone.port import Placer

WAITING_KEY = "waihu:dials"
"""Sorted set of uuids by when they were put there; no more than room.MOST_UNDIALLED and what the sweep finds once more."""
HANGUP_THREADS = 4
WAITING_HANGUPS = 1_000
"""Above MAX_CALLS of a large house; a hangup that finds no place is repeated by the call's deadline."""

log = logging.getLogger(__name__)


class Waiting:
    """Calls that wait to be dialled, by whichever process of the house has a thread for the next one.

    In Redis, which may forget them: they are queued in SQL, and the sweep puts them back. A call that was dialled
    meanwhile is found not to be queued any more. Raises redis.RedisError.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def put(self, uuids: Sequence[str], now_ms: int) -> None:
        """Behind those that wait; one that waits already keeps its place."""
        if uuids:
            self._redis.zadd(WAITING_KEY, dict.fromkeys(uuids, now_ms), nx=True)

    def take(self) -> tuple[str | None, int]:
        """The one that has waited longest, if any does, and how many wait after it."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.zpopmin(WAITING_KEY)
        pipeline.zcard(WAITING_KEY)
        first, left = pipeline.execute()
        return (first[0][0].decode() if first else None), left


class Bulkhead:
    """At most ``places`` threads of this process dial at once, and each goes on until nothing waits."""

    def __init__(self, places: int, waiting: Waiting) -> None:
        self._places = places
        self._waiting = waiting
        self._lock = threading.Lock()
        self._busy = 0
        self._rung = False
        self._closing = False

    def run(self, dial: Callable[[str], None], call_others: Callable[[], object]) -> None:
        """Has this thread dial what waits, one after the other, if there is a place; those that dial leave nothing behind.

        ``call_others`` is asked once if more waits than this thread has taken up: so as many threads come, of all
        processes, as there is work for. Raises what ``dial`` raises, after another thread was called to go on.
        """
        if not self._enter():
            return
        left = False
        try:
            while not left:
                self._until_none_waits(dial, call_others)
                left = self._leave_unless_rung()
        except BaseException:
            with self._lock:
                self._busy -= 1
            raise

    def close(self) -> None:
        """From now on no waiting call is taken up here: the process is about to leave, and others take them."""
        self._closing = True

    def _enter(self) -> bool:
        with self._lock:
            if self._busy >= self._places:
                self._rung = True
                return False
            self._busy += 1
            return True

    def _leave_unless_rung(self) -> bool:
        """A thread that found no place may have been rung for calls that came after this one saw that none waits."""
        with self._lock:
            if self._rung and not self._closing:
                self._rung = False
                return False
            self._busy -= 1
            return True

    def _until_none_waits(self, dial: Callable[[str], None], call_others: Callable[[], object]) -> None:
        called = False
        while not self._closing:
            uuid, left = self._waiting.take()
            if uuid is None:
                return
            if left and not called:
                called = True
                call_others()
            try:
                dial(uuid)
            except Exception:
                call_others()
                raise


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
