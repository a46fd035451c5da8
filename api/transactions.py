"""Transactions that are run again, a bounded number of times, when the database says that this helps."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError

from shared.database import is_transient, writing

ATTEMPTS = 5
"""Each lost race means that another request won; five lost in a row mean something else."""
RETRY_SECONDS = 10.0
"""No attempt begins later than this: a SQLite file that was busy for 15 s has kept the client waiting long enough."""


class LostRaceError(Exception):
    """Another transaction has committed what this one did not find; no index says so. ``work`` will find it now."""


log = logging.getLogger(__name__)
T = TypeVar("T")


def write(
    engine: Engine,
    work: Callable[[Connection], T],
    *,
    races: bool = False,
    monotonic: Callable[[], float] = time.monotonic,
) -> T:
    """Runs ``work`` in one transaction and returns what it returned, once that is committed.

    Repeated after a deadlock, a lost connection, a busy file, and with ``races`` also after a unique index refused a
    row, or ``work`` raised LostRaceError: another request inserted it meanwhile, and ``work`` will find it now. ``work`` must be safe to run again even
    if the commit went through and its answer was lost. Raises the last DBAPIError.
    """
    started = monotonic()
    for attempt in range(1, ATTEMPTS):
        try:
            return _once(engine, work)
        except (DBAPIError, LostRaceError) as error:
            lost = isinstance(error, IntegrityError | LostRaceError)
            again = (races and lost) or (isinstance(error, DBAPIError) and is_transient(error))
            if not again or monotonic() - started > RETRY_SECONDS:
                raise
            cause = error.orig if isinstance(error, DBAPIError) else error
            log.info("transaction is run again", extra={"attempt": attempt, "error": type(cause).__name__})
    return _once(engine, work)


def _once(engine: Engine, work: Callable[[Connection], T]) -> T:
    with writing(engine) as connection:
        return work(connection)
