"""Transactions that are run again when that helps, and only then."""

from __future__ import annotations

import itertools

import pytest
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from api.transactions import ATTEMPTS, RETRY_SECONDS, write
from shared.database import reading
from shared.schema import idempotency_keys

BUSY = OperationalError("", None, Exception("database is locked"))
TAKEN = IntegrityError("", None, Exception("UNIQUE constraint failed"))
ODD = DBAPIError("", None, Exception("no such function"))


class Work:
    """Writes a row, then fails with each error in turn, then succeeds."""

    def __init__(self, *errors: DBAPIError) -> None:
        self.errors = list(errors)
        self.runs = 0

    def __call__(self, connection: Connection) -> str:
        self.runs += 1
        row = {"key": "k", "digest": b"", "response": b"", "created_at": 0}
        connection.execute(idempotency_keys.insert().values(row))
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def rows(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(idempotency_keys)).scalar_one()


def test_a_failure_that_passes_is_tried_again_from_the_start(engine: Engine) -> None:
    work = Work(BUSY, BUSY)
    assert write(engine, work) == "done"
    assert (work.runs, rows(engine)) == (3, 1)


def test_a_failure_that_stays_is_raised_after_the_last_attempt(engine: Engine) -> None:
    work = Work(*[BUSY] * ATTEMPTS)
    with pytest.raises(OperationalError):
        write(engine, work)
    assert (work.runs, rows(engine)) == (ATTEMPTS, 0)


def test_a_lost_race_is_tried_again_only_where_it_can_be_one(engine: Engine) -> None:
    with pytest.raises(IntegrityError):
        write(engine, Work(TAKEN))
    assert rows(engine) == 0
    assert write(engine, Work(TAKEN), races=True) == "done"


def test_any_other_failure_is_raised_at_once(engine: Engine) -> None:
    work = Work(ODD)
    with pytest.raises(DBAPIError):
        write(engine, work, races=True)
    assert (work.runs, rows(engine)) == (1, 0)


def test_no_attempt_begins_when_the_client_has_waited_long_enough(engine: Engine) -> None:
    times = itertools.count(0, RETRY_SECONDS * 0.6)
    work = Work(BUSY, BUSY)
    with pytest.raises(OperationalError):
        write(engine, work, monotonic=lambda: next(times))
    assert work.runs == 2
