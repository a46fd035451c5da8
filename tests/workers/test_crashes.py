"""A worker killed at every step of every life of a task: each call row rings at most once, and every task becomes final.

Every step is what `tests.workers.deaths` counts; every life is in `tests.workers.lives`. Whoever dies is followed by
another worker, as a supervisor would have it, and maybe that one dies too.
"""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Protocol

import pytest
import redis
from sqlalchemy import Engine, delete, event, text

from shared.database import open_engine
from shared.schema import line_country, metadata
from tests.table import Verdict, recorded
from tests.workers.counts import count
from tests.workers.deaths import Killed, Steps
from tests.workers.lives import LIVES, WORDS, World, live
from tests.workers.twins import Office

EVERY = 4
OFFSET = {name: index % EVERY for index, name in enumerate(LIVES)}
"""Which steps the fast run takes; the slow one takes all others."""
ALONE = "in one process: a worker's death at each step of a task's life"


class LiveThrough(Protocol):
    def __call__(
        self, name: str, deaths: Sequence[int], verdict: Verdict | None = None, *, wiped: int | None = None
    ) -> list[Steps]: ...


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Engine]:
    """The database of all lives, one after the other: statements are compiled once for thousands of processes.

    The processes die, the machine does not: nothing here waits for the disk.
    """
    path = shutil.copy(empty_database, tmp_path_factory.mktemp("lives") / "waihu.db")
    made = open_engine(f"sqlite:///{path}")
    event.listen(made, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    yield made
    made.dispose()


@pytest.fixture
def live_through(tmp_path: Path, engine: Engine, redis_url: str) -> LiveThrough:
    """Lives one life of a task, whose workers die one after the other at the steps given; the last one lives.

    ``wiped``: the step of the last one at which Redis loses all it has, the broker's messages included.
    Fails if a promise was broken. Returns the steps that each worker passed. ``verdict``: where to count what came of it.
    """
    numbers = itertools.count(1)

    def through(
        name: str, deaths: Sequence[int], verdict: Verdict | None = None, *, wiped: int | None = None
    ) -> list[Steps]:
        with redis.Redis.from_url(redis_url) as client:
            client.flushall()
        with engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                if table is not line_country:  # which is written when the schema is made
                    connection.execute(delete(table))
            connection.execute(text("DELETE FROM sqlite_sequence"))
        workers: list[Steps] = []
        told = verdict or Verdict(name)
        try:
            _live(tmp_path / str(next(numbers)), engine, redis_url, name, deaths, wiped, workers, told)
        except AssertionError as error:
            killed = [steps.names[-1] for steps in workers[: len(deaths)]]
            error.add_note(f"life {name!r}, killed at steps {[*deaths]}: {killed}, wiped at step {wiped}")
            raise
        return workers

    return through


def _live(
    directory: Path,
    engine: Engine,
    redis_url: str,
    name: str,
    deaths: Sequence[int],
    wiped: int | None,
    workers: list[Steps],
    verdict: Verdict,
) -> None:
    """Appends to ``workers`` as they begin, and counts into ``verdict`` what came of it."""
    life = LIVES[name]
    with ExitStack() as stack:

        def enter(**options: Any) -> Office:
            url = engine.url.render_as_string()
            office = stack.enter_context(closing(Office(directory, url, redis_url, **life.settings, **options)))
            office.house.engine = engine
            return office

        outside = enter()
        world = World(outside, life)
        stack.callback(lambda: _count(verdict, world, workers))
        for steps in (*map(Steps, deaths), Steps(wiped, world.wipe)):
            office = enter(placer=outside.phone, clock=outside.clock)
            office.bell = outside.bell
            steps.watch(office)
            workers.append(steps)
            try:
                live(office, world)
            except Killed:
                continue
            break
        judge(world, {uuid for steps in workers for uuid in steps.settled})


def _count(verdict: Verdict, world: World, workers: Sequence[Steps]) -> None:
    verdict.tried += sum(steps.struck for steps in workers)
    count(verdict, world.outside, world.heard, WORDS)


def judge(world: World, settled: set[str]) -> None:
    """What must hold at the end; ``settled``: the startcalls whose answer a worker lived to commit."""
    office, life = world.outside, world.life
    assert world.at_rest()
    rings = office.phone.rings
    assert all(count == 1 for count in rings.values())
    made = {call.uuid: call for call in office.calls()}
    assert set(rings) <= {uuid for uuid, call in made.items() if call.dialing_at is not None}
    assert len(rings) <= life.rings
    in_doubt = {uuid for uuid, call in made.items() if call.dialing_at is not None and uuid not in settled}
    if life.told:
        in_doubt -= set(rings)  # an event has told what became of it
    assert office.task(1).state in ({life.final, "unknown"} if in_doubt else {life.final})
    for uuid in world.heard:
        assert [(turn["role"], turn["content"]) for turn in made[uuid].dialogue] == list(WORDS)


def test_a_life_without_deaths_ends_as_its_callee_has_it(live_through: LiveThrough) -> None:
    for name, life in LIVES.items():
        [steps] = live_through(name, [])
        assert len(steps.names) > 40, name
        assert len(steps.settled) >= life.rings, name


@pytest.mark.parametrize("name", LIVES)
def test_killed_at_every_fourth_step(live_through: LiveThrough, name: str) -> None:
    with recorded(f"{ALONE}, a quarter of them") as verdict:
        kill_at_each(live_through, name, lambda step: step % EVERY == OFFSET[name], verdict)


@pytest.mark.slow
@pytest.mark.parametrize("name", LIVES)
def test_killed_at_every_other_step(live_through: LiveThrough, name: str) -> None:
    with recorded(f"{ALONE}, all others") as verdict:
        kill_at_each(live_through, name, lambda step: step % EVERY != OFFSET[name], verdict)


def kill_at_each(live_through: LiveThrough, name: str, chosen: Callable[[int], bool], verdict: Verdict) -> None:
    [whole] = live_through(name, [])
    for step in filter(chosen, range(1, len(whole.names) + 1)):
        live_through(name, [step], verdict)


@pytest.mark.parametrize("seeds", [range(30), pytest.param(range(30, 130), marks=pytest.mark.slow)], ids=str)
def test_who_takes_over_is_killed_too(live_through: LiveThrough, seeds: range) -> None:
    with recorded("in one process: a worker's death, and that of whoever takes over") as verdict:
        for seed in seeds:
            luck = random.Random(seed)
            live_through(luck.choice(list(LIVES)), [luck.randint(1, 60) for _ in range(luck.randint(2, 4))], verdict)


@pytest.mark.parametrize("name", LIVES)
def test_redis_wiped_at_every_eighth_step(live_through: LiveThrough, name: str) -> None:
    [whole] = live_through(name, [])
    with recorded("in one process: Redis wiped at every eighth step of a worker") as verdict:
        for step in range(1 + OFFSET[name], len(whole.names) + 1, 2 * EVERY):
            live_through(name, [], verdict, wiped=step)
