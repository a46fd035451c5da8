"""``make soak``: thousands of calls under random faults, for as long as it is told.

    python -m tests.faults.soak [--minutes 10] [--seed N] [--only kills,steps] [--rate 6]

Tickets come in all the while. In the first six tenths of the time nothing of ours is killed, so that the memory of
processes that live through all else can be compared; then they are. What is judged is judged when all is at rest.

Prints the table, and the seeds of what was broken, which repeat it. Ends with 1 if anything was broken; the house's
directory, with all logs, is kept then.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from sqlalchemy import func, select

from shared.database import reading
from shared.doorbell import QUEUES
from shared.lifecycle import FINAL_TASKS, LIVE_CALLS
from shared.schema import calls, tasks
from tests.faults import attacks, drain, outages, talks
from tests.faults.house import Batch, House
from tests.faults.intruders import intrude
from tests.faults.postgresql import PostgreSQL
from tests.faults.verdict import Struck, settle
from tests.postgres import find_binaries, fresh_database, running_server
from tests.table import HEADER, Verdict

Attack = Callable[[House, int], Struck]

PEACE: dict[str, Attack] = {
    "redis": outages.redis_outage,
    "phone": lambda house, seed: attacks.phone_system(house, seed, drawn=40),
    "stops": attacks.stops,
    "posts": lambda house, seed: attacks.doubled_posts(house, seed, times=50, large=3),
    "speech": talks.stalled_speech,
    "disk": talks.disk_full,
}
"""Attacks that leave our processes alive."""
WAR: dict[str, Attack] = {
    "kills": lambda house, seed: attacks.kills(house, seed, blows=40),
    "steps": attacks.steps,
    "media": talks.media_killed,
    "drain": lambda house, seed: drain.media_drained(house, seed, people=20),
}
PEACEFUL = 0.6
WARM = 0.15
"""Of the time: connections, caches and buffers have found their sizes then."""
FLAT = 0.05
"""Memory is flat if it grew by no more than this, or FLAT_MIB, from the warm start to the middle or from there to the end."""
FLAT_MIB = 8.0
LEAK_MIB_AN_HOUR = 40.0
NOISE_MIB = 4.0
"""A process leaks if it grew by more than both in each half of that time. In runs of twenty minutes and more, whose halves
last four and a half, 60 MiB an hour are told from what comes and goes by itself."""
LONG_S = 240.0
"""A half that is shorter tells nothing about leaks: buffers and rows that a first rush of calls takes come within it."""
OVERDUE_MS = 60_000
ROOM = {"MAX_CALLS": "60", "CALLERS": "057128167421:concurrency=60,cps=30"}
"""After an outage all that waited comes at once. Two cores also play the people and the recogniser: with 80 on the phone
that recogniser was five seconds late, and what was said to it in calls that were over by then is in no record."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Attacks a real house under load.")
    parser.add_argument("--minutes", type=float, default=10.0, help="no attack begins after that (default 10)")
    parser.add_argument("--seed", type=int, default=None, help="the first of the seeds; drawn if not given")
    parser.add_argument("--rate", type=int, default=6, help="tickets that come in each second beside (default 6)")
    parser.add_argument(
        "--only", default="", help=f"some of {', '.join([*PEACE, 'postgresql', 'conflicts', *WAR, 'intruders'])}"
    )
    asked = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 31) if asked.seed is None else asked.seed
    directory = Path(tempfile.mkdtemp(prefix="waihu-soak-"))
    print(f"soak: seed {seed}, {asked.minutes:g} minutes, {directory}", flush=True)
    with database(directory) as (url, server), House(directory / "house", url, **drain.LONG_CALLS, **ROOM) as house:
        only = asked.only.split(",") if asked.only else None
        soak = Soak(house, server, only, seed, asked.minutes * 60, asked.rate)
        right = soak.run()
    if not right:
        print(f"broken; the logs are in {directory}")
        return 1
    shutil.rmtree(directory)
    return 0


class Soak:
    """One run."""

    def __init__(
        self, house: House, server: PostgreSQL | None, only: list[str] | None, seed: int, seconds: float, rate: int
    ) -> None:
        self.house = house
        self.only = only
        self.luck = random.Random(seed)
        self.began = time.monotonic()
        self.seconds = seconds
        self.rate = rate
        self.memory: list[tuple[float, dict[str, tuple[int, float]]]] = []
        """Seconds since the beginning, and each role's process and MiB."""
        self.peaceful = 0
        """How many of these are from before the first kill."""
        self.peace = dict(PEACE)
        if server is not None:
            self.peace["postgresql"] = lambda house, seed: outages.postgresql_outage(house, server, seed)
            self.peace["conflicts"] = lambda house, seed: outages.postgresql_contention(house, server, seed)

    def run(self) -> bool:
        """Whether every promise held."""
        struck: list[tuple[str, int, Struck]] = []
        with load(self.house, self.luck.randrange(1 << 31), self.rate) as came:
            for attacks_of_part, share in ((self.peace, PEACEFUL), (WAR, 1.0)):
                struck += self._strike(attacks_of_part, self.began + share * self.seconds)
                self._weigh()
                self.peaceful = self.peaceful or len(self.memory)
        struck.append(("load", 0, Struck(f"{self.rate} tickets a second, all the while", came, len(came.ids))))
        print(HEADER, flush=True)
        right = True
        for name, seed, one in struck:
            right &= self._tell(name, seed, settle(self.house, one))
        if not self.only or "intruders" in self.only:
            right &= self._tell("intruders", 0, intrude(self.house, 0))
        return self._left_behind() & self._memory_is_flat() & right

    def _strike(self, chosen: dict[str, Attack], until: float) -> Iterator[tuple[str, int, Struck]]:
        """Rounds of these attacks in an order drawn by lot, until then; each is struck once at least."""
        chosen = {name: attack for name, attack in chosen.items() if not self.only or name in self.only}
        first = True
        while chosen and (first or time.monotonic() < until):
            for name in self.luck.sample(list(chosen), len(chosen)):
                if not first and time.monotonic() >= until:
                    break
                self._weigh()
                self.house.revive()
                seed = self.luck.randrange(1 << 31)
                print(f"  {time.monotonic() - self.began:5.0f} s  {name}, seed {seed}", flush=True)
                yield name, seed, chosen[name](self.house, seed)
            first = False

    def _tell(self, name: str, seed: int, verdict: Verdict) -> bool:
        print(verdict, flush=True)
        for what in verdict.broken:
            print(f"BROKEN {name}, seed {seed}: {what}", flush=True)
        return not verdict.broken

    def _left_behind(self) -> bool:
        found = left_behind(self.house)
        print("left behind: " + (", ".join(f"{count} {what}" for what, count in found.items()) or "nothing"))
        return not found

    def _weigh(self) -> None:
        pids = {role: process.pid for role, process in self.house.processes.items()}
        held = {role: (pids[role], mib) for role, mib in self.house.memory().items() if role in pids}
        self.memory.append((time.monotonic() - self.began, held))

    def _memory_is_flat(self) -> bool:
        """Of the processes that lived from the warm start to the end of the peace."""
        peace = self.memory[: self.peaceful]
        warm = next((one for one in peace if one[0] >= WARM * self.seconds), peace[0])
        last = peace[-1]
        middle = min(peace, key=lambda one: abs(one[0] - (warm[0] + last[0]) / 2))
        right = True
        print(
            f"\n| memory, MiB | at {warm[0]:.0f} s | at {middle[0]:.0f} s | at {last[0]:.0f} s | |\n|---|---|---|---|---|"
        )
        for role in sorted(warm[1]):
            if not warm[1][role][0] == middle[1].get(role, (0, 0))[0] == last[1].get(role, (0, 0))[0]:
                continue  # it was killed: Redis is, even in peace
            grown = growth([(at, held[role][1]) for at, held in (warm, middle, last)])
            sizes = [f"{held[role][1]:.0f}" for _, held in (warm, middle, last)]
            print("| " + " | ".join([role, *sizes, grown or "flat"]) + " |")
            right &= not grown or role in ("sandbox", "cloud")  # the witness remembers every call
        return right


def growth(weighed: Sequence[tuple[float, float]]) -> str:
    """What is wrong with how a process grew, or nothing. ``weighed``: seconds and MiB at the start, in the middle, at the
    end."""
    _, (_, second), (_, third) = weighed
    if third - second > max(FLAT * second, FLAT_MIB):
        return "GROWS"
    leaks = all(
        late[0] - early[0] >= LONG_S
        and late[1] - early[1] > max(NOISE_MIB, LEAK_MIB_AN_HOUR * (late[0] - early[0]) / 3600)
        for early, late in pairwise(weighed)
    )
    return "LEAKS" if leaks else ""


@contextmanager
def load(house: House, seed: int, rate: int) -> Iterator[Batch]:
    """Tickets come in every second; who cannot be answered sends them again."""
    luck, batch, over = random.Random(seed), Batch(), threading.Event()

    def come() -> None:
        while not over.wait(1):
            batch.ids.update(house.submit([luck.choice(attacks.PEOPLE) for _ in range(rate)], within=300).ids)

    thread = threading.Thread(target=come)
    thread.start()
    try:
        yield batch
    finally:
        over.set()
        thread.join(300)


def left_behind(house: House) -> dict[str, int]:
    """Calls and tasks that live on when nothing is to come any more, and messages that nobody takes."""
    late = (time.time_ns() // 1_000_000) - OVERDUE_MS
    with reading(house.engine) as connection:

        def count(*where: object) -> int:
            return int(connection.execute(select(func.count()).where(*where)).scalar_one())  # type: ignore[arg-type]

        found = {
            "calls past their deadline": count(calls.c.deadline_at < late),
            "live calls": count(calls.c.state.in_(LIVE_CALLS)),
            "tasks that are not final": count(tasks.c.state.not_in(FINAL_TASKS)),
        }
    found["messages"] = sum(int(house.redis.llen(queue.name)) for queue in QUEUES if queue.name != "dispatch")  # type: ignore[arg-type]
    return {what: number for what, number in found.items() if number}


@contextmanager
def database(directory: Path) -> Iterator[tuple[str, PostgreSQL | None]]:
    """A PostgreSQL server of its own where there is one to start, else SQLite."""
    binaries = find_binaries()
    if binaries is None:
        yield f"sqlite:///{directory / 'waihu.db'}", None
        return
    with running_server(binaries) as server, fresh_database(server) as url:
        yield url, PostgreSQL(url)


if __name__ == "__main__":
    sys.exit(main())
