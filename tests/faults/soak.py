"""``make soak``: the attacks again and again, each time with another seed, for as long as it is told.

    python -m tests.faults.soak [--minutes 10] [--seed N] [--only kills,steps]

Prints the table and the seeds of what was broken, which repeat it. Ends with 1 if
anything was broken; the house's directory, with all logs, is kept then.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import func, select

from shared.database import reading
from shared.lifecycle import LIVE_CALLS
from shared.schema import calls
from tests.faults import attacks
from tests.faults.house import House
from tests.faults.intruders import intrude
from tests.faults.postgresql import PostgreSQL
from tests.faults.verdict import HEADER, Verdict
from tests.postgres import find_binaries, fresh_database, running_server

Attack = Callable[[House, int], Verdict]

_ATTACKS: dict[str, Attack] = {
    "kills": lambda house, seed: attacks.kills(house, seed, blows=60),
    "steps": attacks.steps,
    "redis": attacks.redis_outage,
    "phone": lambda house, seed: attacks.phone_system(house, seed, drawn=40),
    "stops": lambda house, seed: attacks.stops(house, seed, races=120),
    "posts": attacks.doubled_posts,
    "media": attacks.media_killed,
    "drain": attacks.media_drained,
    "intruders": intrude,
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Attacks a real house again and again.")
    parser.add_argument("--minutes", type=float, default=10.0, help="no attack begins after that (default 10)")
    parser.add_argument("--seed", type=int, default=None, help="the first of the seeds; drawn if not given")
    parser.add_argument("--only", default="", help=f"some of {', '.join([*_ATTACKS, 'postgresql'])}")
    asked = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 31) if asked.seed is None else asked.seed
    directory = Path(tempfile.mkdtemp(prefix="waihu-soak-"))
    print(f"soak: seed {seed}, {asked.minutes:g} minutes, {directory}", flush=True)
    with database(directory) as (url, server), House(directory / "house", url) as house:
        chosen = _attacks(server)
        if asked.only:
            chosen = {name: chosen[name] for name in asked.only.split(",")}
        verdicts = soak(house, chosen, seed, asked.minutes * 60)
        stuck = overdue(house)
    broken = [verdict for verdict in verdicts if verdict.broken]
    if stuck:
        print(f"calls past their deadline: {stuck}")
    if broken or stuck:
        print(f"broken; the logs are in {directory}")
        return 1
    shutil.rmtree(directory)
    return 0


def soak(house: House, chosen: dict[str, Attack], seed: int, seconds: float) -> list[Verdict]:
    """Rounds of all attacks in an order drawn by lot, until the time is over; each is done once at least."""
    luck = random.Random(seed)
    until = time.monotonic() + seconds
    verdicts: list[Verdict] = []
    print(HEADER, flush=True)
    first = True
    while first or time.monotonic() < until:
        for name in luck.sample(list(chosen), len(chosen)):
            if not first and time.monotonic() >= until:
                break
            house.revive()
            own = luck.randrange(1 << 31)
            verdict = chosen[name](house, own)
            verdicts.append(verdict)
            print(verdict, flush=True)
            for what in verdict.broken:
                print(f"BROKEN {name}, seed {own}: {what}", flush=True)
        first = False
    return verdicts


def overdue(house: House) -> int:
    """Live calls whose deadline passed more than a minute ago."""
    late = (time.time_ns() // 1_000_000) - 60_000
    with reading(house.engine) as connection:
        statement = select(func.count()).where(calls.c.state.in_(LIVE_CALLS), calls.c.deadline_at < late)
        return int(connection.execute(statement).scalar_one())


@contextmanager
def database(directory: Path) -> Iterator[tuple[str, PostgreSQL | None]]:
    """A PostgreSQL server of its own where there is one to start, else SQLite."""
    binaries = find_binaries()
    if binaries is None:
        yield f"sqlite:///{directory / 'waihu.db'}", None
        return
    with running_server(binaries) as server, fresh_database(server) as url:
        yield url, PostgreSQL(url)


def _attacks(server: PostgreSQL | None) -> dict[str, Attack]:
    if server is None:
        return _ATTACKS
    return _ATTACKS | {"postgresql": lambda house, seed: attacks.postgresql_outage(house, server, seed)}


if __name__ == "__main__":
    sys.exit(main())
