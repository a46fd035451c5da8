"""The attacks on Redis and PostgreSQL: wiped, killed, away, full; in conflict with itself, and out of connections."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import psycopg2
import redis

from tests.faults.attacks import BRIEF, PEOPLE, TALKER
from tests.faults.house import Batch, House, wait_for
from tests.faults.postgresql import PostgreSQL
from tests.faults.verdict import Struck
from workers.store import LIVE

AWAY = 30.0
FULL = 12.0
"""Seconds without room in the broker: two sweeps."""
BALLAST = b"waihu:test:ballast"
PIECE = 1 << 16
ROOM = 1 << 20
"""Bytes that the broker has left before the ballast takes them."""
CONTENTION = 15.0
RIVALS = 4
HELD = 0.15
"""Seconds for which a rival holds one row before it wants the next."""
TERMINATED_EVERY = 0.7
TAKEN = 10.0
"""Seconds without a free connection: longer than the product waits for one."""
_TERMINATE = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'waihu' AND datname = current_database()"""


def redis_outage(house: House, seed: int, away: float = AWAY) -> Struck:
    """Full, wiped, killed, and away for 30 s while tickets come in."""
    luck = random.Random(seed)
    batch = house.submit([luck.choice(PEOPLE) for _ in range(12)] + [TALKER])
    _under_way(house, batch, luck)
    with full_broker(house.redis) as refused:
        until = time.monotonic() + FULL
        while time.monotonic() < until:
            batch += house.submit([luck.choice(PEOPLE)], within=10)
            time.sleep(1.5)  # they come one by one
    ended = [role for role, process in house.processes.items() if process.poll() is not None]
    house.revive()
    batch += house.submit([luck.choice(PEOPLE) for _ in range(4)])
    blows: tuple[Callable[[], object], ...] = (
        house.redis.flushall,
        lambda: house.restart("redis"),
        lambda: house.kill("redis"),
    )
    for blow in blows:
        time.sleep(luck.uniform(1, 3))  # the moment is the attack
        blow()
        batch += house.submit([luck.choice(PEOPLE) for _ in range(6)])
    until = time.monotonic() + away
    while time.monotonic() < until:
        batch += house.submit([luck.choice(PEOPLE)], within=10)
        time.sleep(2)  # as above
    house.start("redis")
    wait_for(house.redis_answers, 30, "Redis does not answer")
    struck = Struck(f"Redis: full, FLUSHALL, SIGKILL, away for {away:g} s", batch, len(blows) + 1)
    struck.broken += [] if refused[0] else ["the broker was never full"]
    struck.broken += [f"a full broker has ended {ended}"] if ended else []
    return struck


def _under_way(house: House, batch: Batch, luck: random.Random) -> None:
    """Returns at some moment after the first of these people has picked up."""
    wait_for(lambda: bool(house.live(batch)), 60, "nobody is on the phone")
    time.sleep(luck.uniform(0, 1.5))  # the moment is the attack


@contextmanager
def full_broker(client: redis.Redis) -> Iterator[list[int]]:
    """Redis at its maxmemory, as whoever shares it may bring it there: every write is refused with an OOM error, for the
    ballast takes what becomes free. Yields how often Redis refused a command of anybody but the ballast's."""
    own, refused = [0], [0]
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            try:
                client.append(BALLAST, bytes(PIECE))
            except redis.ResponseError:
                own[0] += 1
                stop.wait(0.02)

    client.config_set("maxmemory", int(client.info("memory")["used_memory"]) + ROOM)
    before = _oom_errors(client)
    thread = threading.Thread(target=load)
    thread.start()
    try:
        yield refused
    finally:
        stop.set()
        thread.join(30)
        refused[0] = _oom_errors(client) - before - own[0]
        client.delete(BALLAST)
        client.config_set("maxmemory", 0)


def _oom_errors(client: redis.Redis) -> int:
    """Redis counts its own error answers by kind (INFO errorstats, since Redis 6.2)."""
    return int(client.info("errorstats").get("errorstat_OOM", {}).get("count", 0))


def postgresql_outage(house: House, server: PostgreSQL, seed: int) -> Struck:
    """Restarted without a word, and away for 30 s, with calls in every state."""
    luck = random.Random(seed)
    batch = house.submit([luck.choice(PEOPLE) for _ in range(12)] + [TALKER])
    _under_way(house, batch, luck)
    server.stop()
    server.start()
    some = house.submit([luck.choice(PEOPLE) for _ in range(12)] + [TALKER])
    batch += some
    _under_way(house, some, luck)
    server.stop()
    time.sleep(AWAY)  # so long it is
    answered = house.call("/api/aicall/createTasks", house.tickets([BRIEF])) is not None
    server.start()
    batch += house.submit([luck.choice(PEOPLE) for _ in range(6)])
    struck = Struck(f"PostgreSQL: restarted, away for {AWAY:g} s", batch, 2)
    struck.broken += ["createTasks claimed success without a database"] if answered else []
    return struck


def postgresql_contention(house: House, server: PostgreSQL, seed: int) -> Struck:
    """Deadlocks, serialization failures, sessions terminated at random, and no connection left for 10 s."""
    luck = random.Random(seed)
    complaints = ("deadlock detected", "could not serialize access", "terminating connection", "too many clients")
    before = [server.said(words) for words in complaints]
    server.configure("deadlock_timeout", "'100ms'")
    with rivals(house, _lock_backwards):
        batch = _come(house, luck, CONTENTION)
    with rivals(house, _write_meanwhile), isolated(house, "repeatable read"):
        batch += _come(house, luck, CONTENTION)
    with no_connection_left(house):
        tickets = house.tickets([luck.choice(PEOPLE) for _ in range(4)])
        house.call("/api/aicall/createTasks", tickets)
        time.sleep(TAKEN)  # so long they are
    batch += house.post(tickets)  # whether or not it was answered then, these are the same tasks
    met = [server.said(words) - already for words, already in zip(complaints, before, strict=True)]
    struck = Struck("PostgreSQL: deadlocks, no serialization, sessions killed, no connection left", batch, sum(met))
    struck.broken += [
        f"PostgreSQL never said: {words}" for words, times in zip(complaints, met, strict=True) if not times
    ]
    return struck


def _come(house: House, luck: random.Random, seconds: float) -> Batch:
    """Tickets come in for so long."""
    batch = Batch()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        batch += house.submit([luck.choice(PEOPLE) for _ in range(4)])
        time.sleep(1)  # they come in every second
    return batch


Cursor = psycopg2.extensions.cursor


@contextmanager
def session(house: House) -> Iterator[Cursor]:
    """A session of somebody else's, each statement its own transaction unless it begins one."""
    with closing(psycopg2.connect(house.settings.database_url, application_name="rival")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


@contextmanager
def rivals(house: House, fight: Callable[[Cursor, str, int], None]) -> Iterator[None]:
    """Others who want the rows of live calls all the time, and one who terminates sessions of the product."""
    stop = threading.Event()

    def work() -> None:
        with session(house) as cursor:
            cursor.execute("SET deadlock_timeout = '1min'")  # so that it is the product that is made to give way
            cursor.execute("SET default_transaction_isolation = 'read committed'")  # as above, whatever the house's is
            while not stop.wait(0.02):
                cursor.execute(f"SELECT uuid, batch_id FROM calls WHERE {LIVE.text} ORDER BY random() LIMIT 1")
                for uuid, batch_id in cursor.fetchall():
                    cursor.execute("BEGIN")
                    fight(cursor, uuid, batch_id)
                    cursor.execute("COMMIT")

    def terminate() -> None:
        with session(house) as cursor:
            while not stop.wait(TERMINATED_EVERY):
                cursor.execute(f"{_TERMINATE} ORDER BY random() LIMIT 1")

    threads = [threading.Thread(target=work) for _ in range(RIVALS)] + [threading.Thread(target=terminate)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


def _lock_backwards(cursor: Cursor, uuid: str, batch_id: int) -> None:
    """The product locks a call and then its task."""
    cursor.execute("SELECT FROM tasks WHERE batch_id = %s FOR UPDATE", (batch_id,))
    time.sleep(HELD)
    cursor.execute("SELECT FROM calls WHERE uuid = %s FOR UPDATE", (uuid,))


def _write_meanwhile(cursor: Cursor, uuid: str, batch_id: int) -> None:
    """Who has read the call and waits for it finds another one."""
    cursor.execute("UPDATE calls SET caller = caller WHERE uuid = %s", (uuid,))
    cursor.execute("UPDATE tasks SET priority = priority WHERE batch_id = %s", (batch_id,))
    time.sleep(HELD)


@contextmanager
def isolated(house: House, level: str) -> Iterator[None]:
    """The product's transactions are as isolated as a careful administrator might have them by default."""

    def change(value: str) -> None:
        with session(house) as cursor:
            cursor.execute("SELECT quote_ident(current_database())")
            name = cursor.fetchall()[0][0]
            cursor.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = {value}")
            cursor.execute(_TERMINATE)  # a new session asks for its defaults

    change(f"'{level}'")
    try:
        yield
    finally:
        change("DEFAULT")


@contextmanager
def no_connection_left(house: House) -> Iterator[None]:
    """Somebody else takes every connection, also those that the product has."""
    stop = threading.Event()

    def take(stack: ExitStack, first: Cursor) -> None:
        while not stop.wait(0.05):
            first.execute(_TERMINATE)
            while not stop.is_set():
                try:
                    stack.enter_context(session(house))
                except psycopg2.OperationalError:  # too many clients already
                    break

    with session(house) as first, ExitStack() as stack:
        thread = threading.Thread(target=take, args=(stack, first))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(60)
