"""Dispatch of a thousand due tasks, beside a bare loop that makes the same claims and rows.

    python -m benchmarks.dispatch [--quick]

Dispatch is the product's own, called in this process with its real database, Redis and doorbell: it looks whether
anything is due, takes leases from the script in Redis, claims a hundred tasks, asks the gates, writes their calls, moves
the tasks on, commits, and rings for the dials. The floor is psycopg2 by hand: the same claim with its locks, the same
rows in one INSERT, the same UPDATE, a commit a hundred. It has no leases and no gates. It sends no messages; a second
floor also looks beforehand; a third looks, and hands the calls over as dispatch does, by redis-py: their uuids in one
ZADD and as many messages as dispatch sends, of the same size, one LPUSH each. Rounds are interleaved, and ratios are taken
within a round.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import psycopg2
import redis
from sqlalchemy import Engine, func, select, text

from benchmarks.crowd import NOW, grow
from benchmarks.postgres import require_binaries
from shared import bus
from shared.clock import FakeClock
from shared.database import reading, upgrade
from shared.schema import calls
from shared.settings import load
from tests.postgres import fresh_database, running_server
from tests.workers.twins import CALLER, BellTwin, running_redis
from workers.dispatch import BELLS, CLAIM, dispatch
from workers.house import Bell, House
from workers.leases import rebuild_room
from workers.switchboard import WAITING_KEY

TABLE = 100_000
TASKS = TABLE // 100
"""The hundredth part of ``benchmarks.crowd`` that is due."""
OURS, UNRUNG = "dispatch with its messages", "dispatch without messages"
FLOOR, LOOKED, RANG = "floor: psycopg2 by hand", "floor that looks first", "floor that looks and sends messages"
MESSAGE = b"m" * 900
"""About as long as a message of Celery's without arguments."""
AIM = 0.6

_LIVE = "state IN ('answered', 'dialing', 'queued', 'ringing', 'unknown')"
_DUE = f"""due_at <= %s
    AND NOT EXISTS (SELECT 1 FROM calls WHERE calls.line = tasks.line AND call_type = '02' AND calls.{_LIVE} OFFSET 0)
    ORDER BY priority DESC, due_at, batch_id LIMIT {CLAIM}"""
"""As the product asks it: by any other form PostgreSQL sorts all that is due, and the floor would be a slow one."""
LOOK = f"SELECT caller, zone, ticket_type FROM tasks WHERE {_DUE}"
CLAIM_BY_HAND = f"""SELECT batch_id, state, stop_requested_at, connected, due_at, final_at, attempts, no_answers, refusals,
    number, phone, exten, line, caller, expires_at, zone, unknowns,
    EXISTS (SELECT 1 FROM do_not_call WHERE do_not_call.line = tasks.line),
    EXISTS (SELECT 1 FROM pauses WHERE pauses.ticket_type IN ('', tasks.ticket_type))
    FROM tasks WHERE {_DUE} FOR UPDATE OF tasks SKIP LOCKED"""
_ROW = "(%s, %s, '02', 'queued', %s, %s, %s, %s, %s, %s, %s)"
_INSERT = """INSERT INTO calls (uuid, batch_id, call_type, state, caller, number, telephone, exten, line, created_at, deadline_at)
    VALUES {} ON CONFLICT DO NOTHING RETURNING uuid"""
_QUEUE = """UPDATE tasks SET state = 'queued', state_at = %s, due_at = NULL, held_by = NULL, caller = %s
    WHERE batch_id = ANY(%s)"""


def by_hand(connection: Any, *, look: bool, client: redis.Redis | None = None) -> None:
    """Claims all that is due, a hundred at a time, and hands over what it claimed if it was given a ``client``."""
    numbers = itertools.count(5 * 10**18)
    with connection.cursor() as cursor:
        while True:
            if look:
                cursor.execute(LOOK, (NOW,))
                cursor.fetchall()
                connection.commit()
            cursor.execute(CLAIM_BY_HAND, (NOW,))
            rows = cursor.fetchall()
            if rows:
                values = [(f"{next(numbers):019d}", row[0], CALLER, *row[9:13], NOW, NOW) for row in rows]
                cursor.execute(
                    _INSERT.format(", ".join([_ROW] * len(rows))), list(itertools.chain.from_iterable(values))
                )
                assert len(cursor.fetchall()) == len(rows)
                cursor.execute(_QUEUE, (NOW, CALLER, [row[0] for row in rows]))
            connection.commit()
            if client is not None and rows:
                client.zadd(f"{WAITING_KEY}:bench", {value[0]: NOW for value in values})
                for _ in range(BELLS):
                    client.lpush("bench", MESSAGE)
            if len(rows) < CLAIM:
                return


def open_house(database_url: str, redis_url: str, home: Path, bell: Bell | None = None) -> House:
    """Room for far more calls than a round makes."""
    settings = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "STATE_DIR": str(home / "var"),
        "ALLOW_STANDIN": "1",
        "MAX_CALLS": "100000",
        "CALLERS": f"{CALLER}:concurrency=100000,cps=9999",
    }
    return House(
        load({f"WAIHU_{name}": value for name, value in settings.items()}, home), clock=FakeClock(NOW), bell=bell
    )


def empty_redis(house: House, client: redis.Redis) -> None:
    """As it is when no call lives: no leases, no messages, one media process with room."""
    client.flushall()
    media = bus.Heartbeat(at=2**50, capacity=10**6, sessions=0, phone_sessions=0, draining=False, listen="")
    client.hset(bus.MEDIA_KEY, "bench", msgspec.json.encode(media))
    assert rebuild_room(house)


def put_back(engine: Engine) -> None:
    """The thousand are due again."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("DELETE FROM calls WHERE state = 'queued'"))
        connection.execute(
            text("UPDATE tasks SET state = 'pending', due_at = created_at, caller = NULL WHERE state = 'queued'")
        )
        connection.execute(text("VACUUM ANALYZE tasks, calls"))


def measure(house: House, rows: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Tasks a second of each row, once a round; the first round warms up and does not count."""
    rates: dict[str, list[float]] = {name: [] for name in rows}
    for number in range(rounds + 1):
        for name in list(rows)[:: 1 if number % 2 else -1]:
            put_back(house.engine)
            empty_redis(house, house.redis)
            started = time.perf_counter()
            rows[name]()
            if number:
                rates[name].append(TASKS / (time.perf_counter() - started))
            with reading(house.engine) as connection:
                made = connection.execute(select(func.count()).where(calls.c.state == "queued")).scalar_one()
            assert made == TASKS, f"expected {TASKS} calls of {name}, found {made}"
    return rates


def show(rates: dict[str, list[float]]) -> None:
    print(f"\n{'tasks a second':<40}{'median':>10}{'worst':>10}{'best':>10}")
    for name, values in rates.items():
        print(f"{name:<40}{statistics.median(values):>10,.0f}{min(values):>10,.0f}{max(values):>10,.0f}")
    for row, floor in ((UNRUNG, FLOOR), (OURS, FLOOR), (UNRUNG, LOOKED), (OURS, RANG)):
        ratios = [mine / theirs for mine, theirs in zip(rates[row], rates[floor], strict=True)]
        print(f"{row} beside {floor}: {statistics.median(ratios):.0%} (aim: {AIM:.0%})")


def main() -> None:
    parser = argparse.ArgumentParser(description="Dispatch of a thousand due tasks, beside a bare loop.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    rounds = 5 if parser.parse_args().quick else 15
    logging.getLogger("workers.leases").setLevel(logging.ERROR)  # every round begins with an empty Redis
    binaries = require_binaries("dispatch")
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="waihu-bench-")))
        url = stack.enter_context(fresh_database(stack.enter_context(running_server(binaries))))
        redis_url = stack.enter_context(running_redis(home))
        upgrade(url)
        house = open_house(url, redis_url, home)
        stack.callback(house.close)
        unrung = open_house(url, redis_url, home, BellTwin())
        stack.callback(unrung.close)
        grow(house.engine, 0, TABLE)
        bare = stack.enter_context(contextlib.closing(psycopg2.connect(url)))
        print(f"{TASKS:,} due tasks a round in a table of {TABLE:,}, {CLAIM} a claim, {rounds} rounds")
        rows: dict[str, Callable[[], None]] = {
            FLOOR: lambda: by_hand(bare, look=False),
            LOOKED: lambda: by_hand(bare, look=True),
            RANG: lambda: by_hand(bare, look=True, client=house.redis),
            UNRUNG: lambda: dispatch(unrung),
            OURS: lambda: dispatch(house),
        }
        show(measure(house, rows, rounds))


if __name__ == "__main__":
    main()
