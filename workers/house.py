"""What a worker process works with: settings, clock, database, Redis, doorbell, phone system, room, gates.

Task bodies are plain functions that take a House. A process makes one, when its first task runs; a test makes its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from functools import partial
from typing import Protocol, TypeVar

import redis
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, TimeoutError

from shared import gate_config
from shared.bus import open_redis
from shared.clock import Clock
from shared.database import house_clock, is_transient, open_engine, reading, writing
from shared.doorbell import Doorbell
from shared.ids import CallIds
from shared.phone.client import PhoneSystem
from shared.phone.port import Placer
from shared.recordings import time_ms
from shared.settings import Settings
from workers.breaker import Breaker
from workers.gates import Gates, open_gates
from workers.policies import Policies
from workers.room import Room
from workers.switchboard import HANGUP_THREADS, Bulkhead, Hangups, Waiting
from workers.webhooks.couriers import Couriers
from workers.webhooks.post import Post
from workers.webhooks.subscribers import Subscribers

CONCURRENCY = 16
"""Threads of a worker process: they wait for databases and the phone system most of the time."""
TRIES = 4
"""Of one transaction: a deadlock or a serialization failure is gone at the second, a restarted database seldom sooner
than the sweep comes by."""
FIRST_PAUSE_SECONDS = 0.05

DATABASE_AWAY = (OperationalError, InterfaceError, TimeoutError)
"""What SQLAlchemy raises when the database cannot be reached or will not answer, whatever the statement was."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class Bell(Protocol):
    """What ``shared.doorbell.Doorbell`` does."""

    def ring(self, name: str, *args: object) -> bool: ...

    def ring_chunks(self, name: str, ids: Sequence[int | str]) -> bool: ...


class House:
    """One process's. Safe to use from several threads. Nothing here connects before it is first used."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        placer: Placer | None = None,
        bell: Bell | None = None,
        hangups: Executor | None = None,
        post: Post | None = None,
        pause: Callable[[float], None] = time.sleep,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self.settings = settings
        self.file_time: Callable[[], int] = clock.now_ms if clock else partial(time_ms, settings.recordings_dir)
        """What time it is by the clock that dates files. Raises OSError."""
        self.pause = pause
        self.gate_config = gate_config.read(settings)
        self.policies = Policies(settings, self.gate_config.retries)
        # No ping: ``commit`` repeats what met a dead connection, and so does the base of all tasks.
        self.engine: Engine = open_engine(settings.database_url, ping=False)
        self.clock: Clock = clock or house_clock(self.engine)
        # SQLite has one writer at a time anyway; waiting in turn here is fairer and faster than polling its file lock.
        self._turn: AbstractContextManager[object] = (
            threading.Lock() if self.engine.dialect.name == "sqlite" else nullcontext()
        )
        self.redis: redis.Redis = open_redis(settings.redis_url)
        self._resources = ExitStack()
        self.placer: Placer = placer or self._resources.enter_context(open_phone(settings))
        self.bell: Bell = bell or self._resources.enter_context(closing(Doorbell(settings.redis_url)))
        self.room = Room(self.redis, settings.callers, settings.max_calls, clock)
        self.gates: Gates = open_gates(settings, self.gate_config)
        self.breaker = Breaker(self.redis, self.gate_config.breaker, self.policies.default.startcall_timeout_ms, clock)
        self.holds_check_at: int | None = 0
        """When it is to be seen whether other settings put off tasks (``workers.holds``); None: never again."""
        self.holds_looked_at = 0
        """The last task of which that was seen; the next sweep goes on behind it."""
        self.lines_compared = False
        """Whether the stored lines were seen to be of this process's country (``workers.relining``)."""
        self.schema_missed = False
        """The last errand found no tables; that is said once."""
        self.ids = CallIds(settings.timezone)
        self.waiting = Waiting(self.redis)
        self.dials = Bulkhead(max(1, concurrency // 2), self.waiting)
        self.hangups = Hangups(
            self.placer, hangups or ThreadPoolExecutor(HANGUP_THREADS, thread_name_prefix="waihu-hangup")
        )
        self.couriers = Couriers()
        self.subscribers = Subscribers(self.engine, self.clock)
        self.post = post or Post(allow_private=settings.webhook_private)

    def miss_schema(self, fields: Mapping[str, str]) -> None:
        """A statement found no table, or lacked a column; said once, until the database has them."""
        if not self.schema_missed:
            self.schema_missed = True
            log.error(
                "the database lacks tables of this version, and nothing is done until `waihu db upgrade` has run",
                extra=dict(fields),
            )

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write."""
        with self._turn, writing(self.engine) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with reading(self.engine) as connection:
            yield connection

    def commit(self, work: Callable[[Connection], T]) -> T:
        """Runs ``work`` in a transaction of its own, and again if the database says that it only has to be repeated.

        A commit whose answer was lost may have held, so ``work`` must bear being done twice. Raises DBAPIError.
        """
        for attempt in range(1, TRIES):
            try:
                with self.write() as connection:
                    return work(connection)
            except DBAPIError as error:
                if not is_transient(error):
                    raise
                self.pause(FIRST_PAUSE_SECONDS * 2**attempt)
        with self.write() as connection:
            return work(connection)

    def drain(self) -> None:
        """Takes up no waiting dial and no webhook any more."""
        self.dials.close()
        self.couriers.drain()

    def close(self) -> None:
        self.drain()
        self.hangups.close()
        self.couriers.close()
        self._resources.close()
        self.redis.close()
        self.engine.dispose()


class Household:
    """Makes the process's House when it is first asked for, and no second one."""

    def __init__(self, build: Callable[[], House]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._house: House | None = None

    def __call__(self) -> House:
        with self._lock:
            if self._house is None:
                self._house = self._build()
            return self._house

    def drain(self) -> None:
        if self._house is not None:
            self._house.drain()

    def close(self) -> None:
        with self._lock:
            if self._house is not None:
                self._house.close()
                self._house = None


def open_phone(settings: Settings) -> PhoneSystem:
    return PhoneSystem(settings.phone_url, timeout=settings.phone_timeout, record=settings.phone_record)
