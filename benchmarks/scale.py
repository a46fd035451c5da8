"""What a request and a round of the dialer cost in a table of ten thousand, a hundred thousand and a million tasks.

    python -m benchmarks.scale [--quick] [--plans]

On a PostgreSQL of its own, by the product's own functions, without HTTP: what is measured is what grows. Nine tasks of
ten are over and have their calls; of the others most wait for a later day or their window; two hundred are in a call at
any size. Claims and stops are rolled back, so that the next round finds the same. The last column is the largest
table beside the smallest: 1 is flat. Below are the indexes that PostgreSQL's plans use on the largest table, and every
walk over a whole table; ``--plans`` prints the plans in full.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import logging
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, select

from api import call_stats, census, record_list, task_list
from benchmarks.crowd import DAY_MS, NOW, grow, newest
from benchmarks.postgres import require_binaries
from shared.clock import FakeClock
from shared.database import reading, upgrade
from shared.schema import tasks
from shared.stops import stop_tasks
from tests.postgres import fresh_database, running_server
from tests.workers.twins import CALLER, Office, running_redis
from workers import store
from workers.callers import JUDGED_KEY
from workers.dispatch import CLAIM, claim_tasks, due_tasks
from workers.holds import SETTINGS_KEY, fingerprint
from workers.room import Lease
from workers.sweep import sweep

STOPPED = 100
FLOOR = "floor: one task by its id"
BIG = ("tasks", "calls")
Statement = tuple[str, Any]


class Work:
    """What is measured, on one table."""

    def __init__(self, office: Office, count: int) -> None:
        self._office = office
        self._engine = office.house.engine
        self._count = count
        with reading(self._engine) as connection:
            waiting = select(tasks.c.batch_id).where(store.WAITING, tasks.c.due_at > NOW).order_by(tasks.c.batch_id)
            self._to_stop = list(connection.execute(waiting.limit(STOPPED)).scalars())

    def all(self) -> dict[str, Callable[[], object]]:
        """By name; each does it once."""
        last = newest(self._count)
        return {
            FLOOR: lambda: self._tasks(batch_id=self._count // 2, counted=False),
            "calltask/list, first page of 20": lambda: self._tasks(size=20),
            "calltask/list, page 100 of 20": lambda: self._tasks(page=100, size=20),
            "calltask/list, by batchId": lambda: self._tasks(batch_id=self._count // 2),
            "calltask/list, a day": lambda: self._tasks(since=last - DAY_MS, until=last, size=20),
            "records/list, first page of 20": lambda: self._records(),
            "records/list, a day": lambda: self._records(called_from=last - DAY_MS, called_to=last),
            "records/list, by uuid": lambda: self._records(identity=f"{self._count * 5 + 1:019d}"),
            f"dispatch, look and claim {CLAIM}": self._claim,
            "dispatch, look when nothing is due": self._look,
            "sweep": self._sweep,
            f"stopTasks, {STOPPED} ids": self._stop,
            "/metrics and /api/v1/stats": self._census,
            "/api/v1/stats/calls, a day by hour": lambda: self._call_stats(last - DAY_MS, last),
        }

    def _tasks(
        self,
        page: int = 1,
        size: int = 1,
        batch_id: int | None = None,
        since: int | None = None,
        until: int | None = None,
        *,
        counted: bool = True,
    ) -> None:
        query = task_list.TaskQuery(page, size, batch_id, since, until)
        with reading(self._engine) as connection:
            if counted:
                total, rows = task_list.find(connection, query)
                assert total >= len(rows) > 0
            else:
                assert connection.execute(task_list.page_of(query)).all()

    def _records(self, **asked: Any) -> None:
        query = record_list.RecordQuery("02", size=20, **asked)
        with reading(self._engine) as connection:
            record_list.find(connection, query, self._office.settings.timezone, str)

    def _claim(self) -> None:
        house = self._office.house
        leases = [Lease(house.ids.draw(NOW), CALLER) for _ in range(CLAIM)]
        with self._engine.connect() as connection, connection.begin() as transaction:
            due_tasks(connection, NOW, CLAIM)
            claim = claim_tasks(connection, house, leases)
            assert len(claim.leases) > CLAIM // 2
            transaction.rollback()

    def _look(self) -> None:
        with reading(self._engine) as connection:
            assert not due_tasks(connection, 0, CLAIM)

    def _sweep(self) -> None:
        self._office.house.redis.delete(JUDGED_KEY)
        sweep(self._office.house)

    def _stop(self) -> None:
        with self._engine.connect() as connection, connection.begin() as transaction:
            assert stop_tasks(connection, tasks.c.batch_id.in_(self._to_stop), NOW) == []
            transaction.rollback()

    def _census(self) -> None:
        with reading(self._engine) as connection:
            census.count(connection, NOW)

    def _call_stats(self, since: int, until: int) -> None:
        query = call_stats.StatsQuery(since, until, ("hour",), 10)
        with reading(self._engine) as connection:
            call_stats.count(connection, query, self._office.settings.timezone)


# --- plans -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def heard(engine: Engine) -> Iterator[list[Statement]]:
    """The statements that are executed meanwhile, each once, with parameters that it had."""
    found: dict[str, Any] = {}

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if not many and statement.split(None, 1)[0] in ("SELECT", "UPDATE", "DELETE"):
            found.setdefault(statement, parameters)

    heard: list[Statement] = []
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield heard
    finally:
        event.remove(engine, "before_cursor_execute", note)
        heard += found.items()


def plans(engine: Engine, work: Callable[[], object]) -> list[str]:
    """The plans of what ``work`` executes."""
    with heard(engine) as statements:
        work()
    found = []
    with engine.connect() as connection, contextlib.closing(connection.connection.cursor()) as cursor:
        for statement, parameters in statements:
            cursor.execute(f"EXPLAIN {statement}", parameters)
            found.append("\n".join(row[0] for row in cursor.fetchall()))
        connection.connection.rollback()
    return found


def reads(plan: str) -> list[str]:
    """What a plan reads of the big tables: its indexes, and in capitals what it walks over as a whole."""
    indexes = re.findall(
        r"(?:Index (?:Only )?Scan(?: Backward)? using|Bitmap Index Scan on) (\w*(?:tasks|calls)\w*)", plan
    )
    walks = [table.upper() for table in re.findall(r"Seq Scan on (\w+)", plan) if table in BIG]
    return [*indexes, *(f"SEQ SCAN ON {table}" for table in walks)]


# --- the tables ------------------------------------------------------------------------------------------------------


def median_ms(work: Callable[[], object], rounds: int) -> float:
    """Of ``rounds`` runs after one that warms up."""
    work()
    spent = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        spent.append((time.perf_counter() - started) * 1000)
    return statistics.median(spent)


def show(sizes: list[int], costs: dict[str, list[float]]) -> None:
    print(f"\n{'ms, medians':<40}{''.join(f'{size:>12,}' for size in sizes)}{'largest / smallest':>22}")
    for name, values in costs.items():
        print(f"{name:<40}{''.join(f'{value:>12.2f}' for value in values)}{values[-1] / values[0]:>22.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Costs in tables of up to a million tasks.")
    parser.add_argument("--quick", action="store_true", help="up to a hundred thousand tasks, few rounds")
    parser.add_argument("--plans", action="store_true", help="print the query plans in full")
    chosen = parser.parse_args()
    sizes, rounds = ([10_000, 100_000], 5) if chosen.quick else ([10_000, 100_000, 1_000_000], 15)
    binaries = require_binaries("scale")
    for name in ("workers.leases", "workers.callers"):  # Redis begins empty, and the crowd answers as no people do
        logging.getLogger(name).setLevel(logging.ERROR)
    costs: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="waihu-bench-")))
        url = stack.enter_context(fresh_database(stack.enter_context(running_server(binaries))))
        redis_url = stack.enter_context(running_redis(home))
        upgrade(url)
        office = Office(home, url, redis_url, clock=FakeClock(NOW), max_calls="100000", call_window="00:00-24:00")
        stack.callback(office.close)
        engine = office.house.engine
        # Or its first sweep would make all held tasks due, as after a change of settings.
        office.house.redis.set(SETTINGS_KEY, fingerprint(office.settings))
        have = 0
        for size in sizes:
            grow(engine, have, size)
            have = size
            work = Work(office, size)
            for name, one in work.all().items():
                costs.setdefault(name, []).append(median_ms(one, rounds))
        show(sizes, costs)
        print(f"\nwhat the plans read at {have:,}:")
        for name, one in work.all().items():
            found = plans(engine, one)
            print(f"  {name}: {', '.join(dict.fromkeys(itertools.chain.from_iterable(map(reads, found)))) or '-'}")
            if chosen.plans:
                print("\n".join(f"      {line}" for plan in found for line in [*plan.splitlines(), ""]))


if __name__ == "__main__":
    main()
