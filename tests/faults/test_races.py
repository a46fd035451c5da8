"""Races in one process, on the SQL layer as it is: stopTasks against dialling, two beats and dispatchers, one connection.

Cheaper than in a house of real processes, so a thousand times.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from api import stopping
from shared.clock import FakeClock
from shared.database import open_engine, reading, upgrade
from shared.doorbell import DIAL
from shared.lifecycle import FINAL_TASKS
from shared.schema import calls
from tests.postgres import find_binaries, fresh_database, running_server
from tests.workers.lives import BODIES, pass_time, work
from tests.workers.twins import CALLER, START_MS, Office, PhoneTwin, cdr, running_redis
from workers.dial import dial
from workers.dispatch import dispatch
from workers.events import apply_events, stop_calls
from workers.room import LEASES_KEY
from workers.sweep import sweep

SIZE = 50
"""Tasks of one race."""
SPELLINGS = ("", "86", "+86")
"""Of one number, with the country code that holds without a setting."""
LOOK_SECONDS = 20
LONGEST_LOOKS = 30
WITHIN = 60.0
BREATH = 0.005
"""Between two looks of a thread, so that the others have their turns in this one process."""
OpenOffice = Callable[..., Office]


@pytest.fixture(scope="module")
def postgresql_server() -> Iterator[str]:
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("needs a PostgreSQL server: no initdb on the PATH nor in /usr/lib/postgresql")
    with running_server(binaries) as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of either kind."""
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path / 'waihu.db'}"
        if request.param == "postgresql":
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgresql_server")))
        upgrade(url)
        yield url


@pytest.fixture
def open_office(tmp_path: Path, database_url: str) -> Iterator[OpenOffice]:
    """Worker processes of one house."""
    clock, phone = FakeClock(START_MS), PhoneTwin()
    with running_redis(tmp_path) as redis_url, ExitStack() as stack:

        def open_one(**settings: str) -> Office:
            wide = settings | {"callers": f"{CALLER}:concurrency=1000,cps=1000", "max_calls": "1000"}
            office = Office(tmp_path, database_url, redis_url, clock=clock, placer=phone, **wide)
            stack.callback(office.close)
            office.media(1000)
            return office

        yield open_one


def together(works: Sequence[Callable[[], Any]]) -> None:
    """Does all of them at once, and raises what any of them raised."""
    start = threading.Barrier(len(works))

    def run(one: Callable[[], Any]) -> None:
        start.wait(WITHIN)
        one()

    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(run, one) for one in works]:
            done.result(WITHIN)


class Race:
    """Two beats ring two dispatchers, four threads dial what these ring for, two stop all tasks bit by bit."""

    def __init__(self, offices: Sequence[Office], luck: random.Random) -> None:
        self.offices = offices
        self.luck = luck
        self.silenced: set[str] = set()
        """Calls that were queued when stopTasks had answered for their task."""
        self.called: set[int] = set()
        """Tasks that had any call then: no other may get one."""
        self.stopped: set[int] = set()
        self._over = threading.Event()

    def run(self, size: int) -> None:
        ids = self.offices[0].tickets(size)
        self.luck.shuffle(ids)
        half = size // 2
        self._over.clear()
        stops = [lambda some=some: self._stop(some) for some in (ids[:half], ids[half:])]  # type: ignore[misc]
        beats = [lambda office=office: self._beat(office) for office in self.offices]  # type: ignore[misc]
        dials = [lambda office=office: self._dial(office) for office in [*self.offices] * 2]  # type: ignore[misc]
        together([*beats, *dials, lambda: self._stop_all(stops)])

    def _stop_all(self, stops: Sequence[Callable[[], None]]) -> None:
        try:
            together(stops)
        finally:
            self._over.set()

    def _beat(self, office: Office) -> None:
        while not self._over.wait(BREATH):
            dispatch(office.house)

    def _dial(self, office: Office) -> None:
        """A message may come to either worker, or to both."""
        while not self._over.wait(BREATH):
            for one in self.offices:
                for _ in range(len(one.bell.rung)):
                    try:
                        name, args = one.bell.rung.pop(0)
                    except IndexError:
                        break
                    if name == DIAL:
                        BODIES[DIAL](office.house, *args)

    def _stop(self, batch_ids: list[int]) -> None:
        office = self.offices[0]
        while batch_ids:
            some = [batch_ids.pop() for _ in range(min(len(batch_ids), self.luck.randint(1, 4)))]
            live = stopping.stop(office.house.engine, some, office.now, "somebody")
            with reading(office.house.engine) as connection:
                mine = select(calls.c.uuid, calls.c.batch_id, calls.c.state).where(calls.c.batch_id.in_(some))
                rows = connection.execute(mine).all()
            self.stopped.update(some)
            self.called |= {row.batch_id for row in rows}
            self.silenced |= {row.uuid for row in rows if row.state == "queued"}
            stop_calls(self.offices[1].house, live)


@pytest.mark.timeout(300)
def test_stops_raced_against_two_dispatchers_and_their_dials(open_office: OpenOffice) -> None:
    """On PostgreSQL twenty races of fifty tasks: a thousand stops."""
    offices = [open_office(), open_office()]
    office = offices[0]
    races = 2 if office.house.engine.dialect.name == "sqlite" else 20
    race = Race(offices, random.Random(races))
    for _ in range(races):
        race.run(SIZE)
        for one in offices:
            one.bell.rung.clear()  # whatever nobody took up is lost
        end_all(offices)
    assert len(race.stopped) == races * SIZE
    rung = set(office.phone.rings)
    assert 0 < len(rung) < races * SIZE, "one side always won: no race"
    assert set(office.phone.rings.values()) == {1}
    assert not rung & race.silenced
    assert {office.call(uuid).batch_id for uuid in rung} <= race.called
    assert {office.task(batch_id).state for batch_id in race.stopped} == {"stopped"}
    assert rung <= {call_id.removeprefix("call-") for call_id in office.phone.hung_up}
    assert office.house.redis.zcard(LEASES_KEY) == 0


def test_a_customer_in_several_spellings_is_called_no_more_often_than_the_cap_allows(open_office: OpenOffice) -> None:
    """Each spelling is a number of its own to the unique index of live calls, and all are dialled at the same moment."""
    offices = [open_office(frequency_cap="1/1d") for _ in SPELLINGS]
    customers = [f"138{index:08d}" for index in range(SIZE)]
    for customer in customers:
        for spelling in SPELLINGS:
            offices[0].ticket(spelling + customer)
    dispatch(offices[0].house)
    queued = offices[0].calls()
    assert len(queued) == SIZE * len(SPELLINGS)
    for customer in customers:
        mine = [call.uuid for call in queued if call.number.endswith(customer)]
        together(
            [lambda one=one, uuid=uuid: dial(one.house, uuid) for one, uuid in zip(offices, mine, strict=True)]  # type: ignore[misc]
        )
    rung = Counter(offices[0].call(uuid).number[-len(customers[0]) :] for uuid in offices[0].phone.rings)
    assert rung == dict.fromkeys(customers, 1)


def end_all(offices: Sequence[Office]) -> None:
    """The phone system ends what rings, time passes, and everything becomes final."""
    office = offices[0]
    for uuid in office.phone.rings:
        if office.call(uuid).ended_at is None:
            event_id = office.event("cdr", request_id=uuid, call_id=f"call-{uuid}", pay_load=cdr(None, 2_000))
            apply_events(office.house, [event_id])
    for _ in range(LONGEST_LOOKS):
        together([lambda one=one: sweep(one.house) for one in offices])  # type: ignore[misc]
        for one in offices:
            work(one)
        if all(call.closed_at for call in office.calls()):
            return
        pass_time(office, LOOK_SECONDS)
    pytest.fail("calls are not closed")


def test_threads_that_share_one_connection_wait_for_each_other(open_office: OpenOffice) -> None:
    """Whoever holds it never asks for a second one; who waits longer than the pool has patience tries again."""
    office = open_office()
    url = office.house.engine.url.render_as_string(hide_password=False)
    office.house.engine = open_engine(url, pool_size=1, ping=False)
    office.tickets(SIZE)
    numbers = itertools.count()
    while next(numbers) < LONGEST_LOOKS:
        together([lambda: sweep(office.house), lambda: dispatch(office.house), lambda: dispatch(office.house)])
        together([lambda: work(office)] * 8)
        rung = [uuid for uuid in office.phone.rings if office.call(uuid).ended_at is None]
        ids = [office.event("cdr", request_id=uuid, call_id=f"call-{uuid}", pay_load=cdr(1, 2_000)) for uuid in rung]
        parts = [ids[part::8] for part in range(8)]
        together([lambda some=some: apply_events(office.house, some) for some in parts])  # type: ignore[misc]
        if all(call.closed_at for call in office.calls()) and all(
            office.task(call.batch_id).state in FINAL_TASKS for call in office.calls()
        ):
            break
        pass_time(office, LOOK_SECONDS)
    assert len(office.phone.rings) == SIZE
    assert {office.task(call.batch_id).state for call in office.calls()} == {"completed"}
