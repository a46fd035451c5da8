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
    row: another request inserted it meanwhile, and ``work`` will find it now. ``work`` must be safe to run again even
    if the commit went through and its answer was lost. Raises the last DBAPIError.
    """
    started = monotonic()
    for attempt in range(1, ATTEMPTS):
        try:
            return _once(engine, work)
        except DBAPIError as error:
            again = is_transient(error) or (races and isinstance(error, IntegrityError))
            if not again or monotonic() - started > RETRY_SECONDS:
                raise
            log.info("transaction is run again", extra={"attempt": attempt, "error": type(error.orig).__name__})
    return _once(engine, work)


def _once(engine: Engine, work: Callable[[Connection], T]) -> T:
    with writing(engine) as connection:
        return work(connection)
