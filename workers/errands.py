"""The base of every task: errors sorted, retries, duplicates and log ids, so that task bodies have none of it.

A message is a doorbell. Whatever it meant to start stands in SQL, so an errand that cannot be run is left to the
sweep, never queued again with a delay.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import redis
from celery import Task
from sqlalchemy.exc import StatementError

from shared.database import lacks_schema
from shared.errors import StatementFailed, WaihuError, database_kind
from workers.house import DATABASE_AWAY, Household

TRIES = 3
"""Of one body, when the database went away under it: it holds a connection pool's worth of dead connections at worst."""
FIRST_PAUSE_SECONDS = 0.1

Body = Callable[..., None]

log = logging.getLogger(__name__)


class Errand(Task):  # type: ignore[type-arg]
    """One kind of message. Its body is a plain function of the House and the message's arguments."""

    ignore_result = True
    acks_late = False
    typing = False

    def __init__(self, name: str, body: Body, household: Household, *, alone: bool = False) -> None:
        """``alone``: at most one at a time in this process; messages that come meanwhile are one more run after it."""
        self.name = name
        self._body = body
        self._household = household
        self._turn = Turn() if alone else None

    def run(self, *args: Any) -> None:
        """Runs the body. An error that is a bug is logged and raised, and Flower shows it; others are left to the sweep.

        Of a database's error, which quotes what was to be stored, only the kind is raised: Celery logs and sends its text.
        """
        if self._turn is None:
            self._attempt(args)
            return
        while self._turn.begin():
            try:
                self._attempt(args)
            finally:
                again = self._turn.end()
            if not again:
                return

    def _attempt(self, args: tuple[Any, ...]) -> None:
        fields = {"task_name": self.name, "ids": shown(args)}
        house = self._household()
        for attempt in range(1, TRIES + 1):
            try:
                self._body(house, *args)
            except DATABASE_AWAY as error:
                if lacks_schema(error):
                    house.miss_schema(fields)
                    return
                if attempt == TRIES:
                    log.warning("the database is away; left to the sweep", extra=fields | _named(error))
                    return
                house.pause(FIRST_PAUSE_SECONDS * 2**attempt)
            except redis.RedisError as error:
                log.warning("Redis is away; left to the sweep", extra=fields | _named(error))
                return
            except WaihuError as error:
                if not error.retryable:
                    log.exception("a task failed", extra=fields)
                    raise
                log.warning("not now; left to the sweep", extra=fields | _named(error))
                return
            except StatementError as error:
                if lacks_schema(error):
                    house.miss_schema(fields)
                    return
                log.exception("a task failed", extra=fields)
                raise StatementFailed(database_kind(error)) from None
            except Exception:
                log.exception("a task failed", extra=fields)
                raise
            else:
                house.schema_missed = False
                return


class Turn:
    """One at a time: who comes meanwhile is told so, and who runs is told that somebody came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = False
        self._asked = False

    def begin(self) -> bool:
        """Whether the caller may run now; if not, the one that runs is asked to run once more."""
        with self._lock:
            if self._running:
                self._asked = True
                return False
            self._running, self._asked = True, False
            return True

    def end(self) -> bool:
        """Whether somebody asked meanwhile: the caller then begins again."""
        with self._lock:
            self._running = False
            return self._asked


def shown(args: tuple[Any, ...]) -> str:
    """A message's ids for a log line, the first few of a chunk."""
    ids = args[0] if args and isinstance(args[0], list) else list(args)
    text = ",".join(str(one) for one in ids[:5])
    return text if len(ids) <= 5 else f"{text} and {len(ids) - 5} more"


def _named(error: Exception) -> dict[str, str]:
    return {"error": type(error).__name__}
