"""Engines and transactions: PostgreSQL in production, SQLite embedded (WAL, synchronous=FULL, BEGIN IMMEDIATE to write).

SQLite's deferred transactions fail with "locked" when two writers upgrade at once, whatever the time-out
(facts: 325 of 1,000); taking the write lock at the start makes them wait in turn instead.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError

from shared.clock import Clock, HouseClock, SystemClock
from shared.errors import DatabaseUnavailable

BUSY_TIMEOUT_MS = 15_000
"""How long a SQLite writer waits for its turn; far above any transaction of ours, below every request time-out."""
SETTLE_MS = 1_000
"""How long emptying SQLite's log may wait for readers: writers wait with it."""
POOL_SIZE = 20
"""Connections a process may hold to PostgreSQL: above its worker threads, times processes below max_connections."""
CONNECT_TIMEOUT_SECONDS = 5
STATEMENT_TIMEOUT_MS = 30_000
"""No statement of ours is meant to take longer; one that does must not hold locks for ever."""
IDLE_TIMEOUT_MS = 60_000
"""A process that stands still in the middle of a transaction (SIGSTOP, a machine that is moved) holds its locks no longer."""
SILENCE_SECONDS = 40
"""A server that acknowledges nothing for so long is gone, its host or the way there: the time-outs above run on the server, and
by itself the kernel would wait a quarter of an hour. Longer than any statement of ours."""
_KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 10, "keepalives_count": 3}
_TIME = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::double precision"
_TIME_RESOLUTION_MS = 0.001
_NEW = "waihu_new"
MIGRATIONS = Path(__file__).parent / "migrations"


def open_engine(url: str, *, pool_size: int = POOL_SIZE, ping: bool = True) -> Engine:
    """An engine for ``url`` (sqlite:/// or postgresql://), set up so that ``writing`` and ``reading`` hold what they promise.

    Its errors do not show parameters: they would carry phone numbers and tickets into logs. ``ping``: a connection is
    tried before it is lent; who repeats a transaction that lost its connection can do without that round trip.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(url)
    # Compiling a statement takes ten milliseconds, and ours take one.
    options = (
        f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c idle_in_transaction_session_timeout={IDLE_TIMEOUT_MS}"
        " -c timezone=UTC -c jit=off"
    )
    return create_engine(
        parsed.set(drivername="postgresql+psycopg2"),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT_SECONDS,
        pool_pre_ping=ping,
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "tcp_user_timeout": SILENCE_SECONDS * 1000,
            **_KEEPALIVE,
            "options": options,
            "application_name": "waihu",
        },
    )


def _open_sqlite(url: str) -> Engine:
    path = make_url(url).database
    if path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    # autocommit=True: the driver opens no transaction of its own, so that ours begin as they must.
    engine = create_engine(
        url, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_TIMEOUT_MS}", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA secure_delete=ON")  # what was erased is no longer among the file's bytes

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get("reads_only")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def house_clock(engine: Engine, monotonic: Callable[[], float] = time.monotonic) -> Clock:
    """The one clock of all processes that share this database: PostgreSQL's own, or this machine's beside a SQLite file.

    PostgreSQL is asked when a connection is lent that is new, or once in CALIBRATE_SECONDS, and by the first who wants to
    know; who asks when it cannot be reached, and never could, is told what SQLAlchemy raises then. Once for each engine,
    and before a connection of it is lent: one that has but one would wait for itself.
    """
    if engine.dialect.name != "postgresql":
        return SystemClock()
    first = threading.Lock()

    def ask() -> None:
        with first:
            if not clock.calibrated:
                with engine.connect() as connection:
                    sent = monotonic()
                    told = connection.exec_driver_sql(_TIME).scalar_one()
                    clock.take(told, sent, monotonic(), _TIME_RESOLUTION_MS)

    clock = HouseClock(ask, monotonic=monotonic)

    @event.listens_for(engine, "connect")
    def note_new(_connection: Any, record: Any) -> None:
        record.info[_NEW] = True  # it may be another server: the other one was left

    @event.listens_for(engine, "checkout")
    def calibrate(connection: Any, record: Any, _proxy: Any) -> None:
        if not record.info.pop(_NEW, False) and not clock.due:
            return
        try:
            _ask_time(connection, clock, monotonic)
        except psycopg2.Error as error:
            if connection.closed:  # better found here: the pool lends another
                raise DisconnectionError from error
            # Until the next time the clock goes on as it is: whoever wants to know something else may get an answer.

    return clock


def _ask_time(connection: Any, clock: HouseClock, monotonic: Callable[[], float]) -> None:
    """Asks on a connection that nobody uses, in no transaction. Raises psycopg2.Error."""
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            sent = monotonic()
            cursor.execute(_TIME)
            told = cursor.fetchone()[0]
            clock.take(told, sent, monotonic(), _TIME_RESOLUTION_MS)
    finally:
        connection.autocommit = False


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that may write: committed at the end of the block, rolled back by an exception."""
    with engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads: it takes no write lock on SQLite, and sees one state throughout there.

    On PostgreSQL every statement sees the state at its own begin, as it would in a transaction of the default isolation,
    so there is none: BEGIN and COMMIT would cost two round trips more than a single SELECT does.
    """
    with engine.connect().execution_options(**_READS[engine.dialect.name]) as connection, connection.begin():
        yield connection


_READS: dict[str, dict[str, Any]] = {
    "sqlite": {"reads_only": True},
    "postgresql": {"isolation_level": "AUTOCOMMIT"},
}


def settle(engine: Engine) -> bool:
    """Empties SQLite's write-ahead log into the file, so that what was overwritten is in neither.

    False if somebody still reads an older state, or writes: the log is then emptied at a later checkpoint. PostgreSQL
    does this by itself (autovacuum, and segments are recycled).
    """
    if engine.dialect.name != "sqlite":
        return True
    pooled = engine.raw_connection()
    try:
        cursor = pooled.cursor()
        cursor.execute(f"PRAGMA busy_timeout={SETTLE_MS}")
        busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    finally:
        pooled.close()
    return not busy


def is_postgresql(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


def is_transient(error: DBAPIError) -> bool:
    """Whether the transaction may simply be run again: a lost connection, a deadlock, a serialization failure, a busy file."""
    if error.connection_invalidated:
        return True
    code = getattr(error.orig, "pgcode", None)
    return code in ("40001", "40P01", "55P03", "57P01") or (
        isinstance(error, OperationalError) and "locked" in str(error.orig)
    )


def lacks_schema(error: BaseException) -> bool:
    """Whether a statement failed because a table or column is not there: `waihu db upgrade` was forgotten, or runs just now."""
    if not isinstance(error, DBAPIError):
        return False
    return getattr(error.orig, "pgcode", None) in ("42P01", "42703") or (
        isinstance(error, OperationalError) and str(error.orig).startswith(("no such table", "no such column"))
    )


def _alembic(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    return config


def upgrade(url: str) -> None:
    """Brings the schema to this version, from an empty database or any earlier one. Safe to call at once from many."""
    command.upgrade(_alembic(url), "head")


def require_current(engine: Engine) -> None:
    """Raises DatabaseUnavailable if the schema is not there, or older than this version needs.

    One that only a later version knows is good enough: migrations add, and processes of both versions run while a
    new one is brought in (docs/operations.md, "Deploying a new version").
    """
    scripts = ScriptDirectory(str(MIGRATIONS))
    wanted = scripts.get_current_head()
    try:
        with reading(engine) as connection:
            found = MigrationContext.configure(connection).get_current_revision()
    except DBAPIError as error:
        raise DatabaseUnavailable(
            f"the database cannot be reached: {type(error.orig).__name__}; check WAIHU_DATABASE_URL"
        ) from error
    if found is None or (found != wanted and found in {script.revision for script in scripts.walk_revisions()}):
        raise DatabaseUnavailable(
            f"the schema is at {found or 'nothing'}, this version needs {wanted}; run `waihu db upgrade`"
        )
