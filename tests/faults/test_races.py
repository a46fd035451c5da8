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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select

from api import stopping
from api.insertion import insert_tasks
from api.tickets import read
from shared.clock import FakeClock
from shared.database import open_engine, reading, upgrade
from shared.doorbell import DIAL
from shared.lifecycle import FINAL_TASKS
from shared.numbers import CHINA, line
from shared.schema import calls, tasks
from tests.postgres import find_binaries, fresh_database, running_server
from tests.table import Verdict, recorded
from tests.workers.counts import count
from tests.workers.lives import BODIES, pass_time, work
from tests.workers.twins import CALLER, START_MS, Office, PhoneTwin, cdr, running_redis
from workers import store
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
    clock, phone = FakeClock(START_MS), WatchfulPhone()
    with running_redis(tmp_path) as redis_url, ExitStack() as stack:

        def open_one(**settings: str) -> Office:
            wide = settings | {"callers": f"{CALLER}:concurrency=1000,cps=1000", "max_calls": "1000"}
            office = Office(tmp_path, database_url, redis_url, clock=clock, placer=phone, **wide)
            stack.callback(office.close)
            office.media(1000)
            return office

        yield open_one


@contextmanager
def attack(name: str, office: Office) -> Iterator[Verdict]:
    """A line of the table for an attack in which nobody speaks; ``office`` counts at its end what came of it."""
    database = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[office.house.engine.dialect.name]
    with recorded(f"in one process: {name}, on {database}", speech=False) as verdict:
        try:
            yield verdict
        finally:
            count(verdict, office)


def together(works: Sequence[Callable[[], Any]]) -> None:
    """Does all of them at once, and raises what any of them raised."""
    start = threading.Barrier(len(works))

    def run(one: Callable[[], Any]) -> None:
        start.wait(WITHIN)
        one()

    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(run, one) for one in works]:
            done.result(WITHIN)


@dataclass
class WatchfulPhone(PhoneTwin):
    """Notes who is called while another call to the same line goes on."""

    going_on: dict[str, str] = field(default_factory=dict)
    at_once: list[tuple[str, str]] = field(default_factory=list)

    def line_of(self, number: str) -> str:
        return line(number, CHINA)

    def startcall(
        self, caller: str, callee: str, exten: str, request_id: str, *, leaving: Callable[[], None] = lambda: None
    ) -> str:
        def left() -> None:
            leaving()
            other = self.going_on.setdefault(self.line_of(callee), request_id)
            if other != request_id:
                self.at_once.append((other, request_id))

        return super().startcall(caller, callee, exten, request_id, leaving=left)

    def end(self, uuid: str) -> None:
        """Before anybody is told of it."""
        self.going_on = {line: other for line, other in self.going_on.items() if other != uuid}


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
    with attack("stopTasks against two dispatchers and four who dial", office) as verdict:
        try:
            for _ in range(races):
                race.run(SIZE)
                for one in offices:
                    one.bell.rung.clear()  # whatever nobody took up is lost
                end_all(offices)
        finally:
            verdict.tried = len(race.stopped)
    assert len(race.stopped) == races * SIZE
    rung = set(office.phone.rings)
    assert 0 < len(rung) < races * SIZE, "one side always won: no race"
    assert set(office.phone.rings.values()) == {1}
    assert not rung & race.silenced
    assert {office.call(uuid).batch_id for uuid in rung} <= race.called
    assert {office.task(batch_id).state for batch_id in race.stopped} == {"stopped"}
    assert rung <= {call_id.removeprefix("call-") for call_id in office.phone.hung_up}
    assert office.house.redis.zcard(LEASES_KEY) == 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("cap", ["", "1/1d"], ids=["no cap", "a cap of one"])
def test_a_customer_in_several_spellings_has_one_call_at_a_time(open_office: OpenOffice, cap: str) -> None:
    """Tickets for all spellings come at once; two dispatchers claim at once, and each call is dialled by both workers.

    Without a cap all are called, one after another; with one, whoever was called once waits.
    """
    offices = [open_office(frequency_cap=cap) for _ in range(2)]
    office, phone = offices[0], offices[0].phone
    customers = [f"138{index:08d}" for index in range(10 if office.house.engine.dialect.name == "sqlite" else SIZE)]
    with attack(f"one customer in three spellings, {'a cap of one' if cap else 'no cap'}", office) as verdict:
        together([lambda spelling=spelling: post(office, customers, spelling) for spelling in SPELLINGS])  # type: ignore[misc]
        for _ in range(LONGEST_LOOKS):
            together([lambda one=one: dispatch(one.house) for one in offices])  # type: ignore[misc]
            uuids = [uuid for one in offices for uuid in one.dials()]
            verdict.tried += len(offices) * len(uuids)
            together([lambda one=one, uuids=uuids: dial_all(one, uuids) for one in offices])  # type: ignore[misc]
            assert set(live_by_line(office).values()) <= {1}
            assert phone.at_once == []
            for uuid in list(phone.rings):
                if office.call(uuid).ended_at is None:
                    phone.end(uuid)
                    apply_events(office.house, [office.event("cdr", request_id=uuid, pay_load=cdr(None, 2_000))])
            pass_time(office, LOOK_SECONDS)
            together([lambda one=one: sweep(one.house) for one in offices])  # type: ignore[misc]
            if not waiting(office):
                break
        assert set(phone.rings.values()) == {1}
        rung = Counter(phone.line_of(office.call(uuid).number) for uuid in phone.rings)
        assert rung == {f"+86{customer}": 1 if cap else len(SPELLINGS) for customer in customers}
        states = Counter(office.task(batch_id).state for batch_id in range(1, len(customers) * len(SPELLINGS) + 1))
        assert states == {"not_connected": len(rung) * (1 if cap else 3), **({"pending": len(rung) * 2} if cap else {})}
        stop_all(office)


def post(office: Office, customers: Sequence[str], spelling: str) -> None:
    """As createTasks stores them."""
    tickets = [
        {"ticketNo": spelling + customer, "phone": spelling + customer, "username": "张三", "ticketType": "回访"}
        | {"ticketContent": "内容"}
        for customer in customers
    ]
    with office.house.write() as connection:
        insert_tasks(connection, read(msgspec.json.encode(tickets), len(tickets)), office.now)


def dial_all(office: Office, uuids: Sequence[str]) -> None:
    for uuid in uuids:
        dial(office.house, uuid)


def live_by_line(office: Office) -> Counter[str]:
    with reading(office.house.engine) as connection:
        return Counter(connection.execute(select(calls.c.line).where(store.LIVE)).scalars())


def waiting(office: Office) -> int:
    """How many tasks are due."""
    with reading(office.house.engine) as connection:
        due = select(func.count()).select_from(tasks).where(tasks.c.due_at <= office.now)
        return int(connection.execute(due).scalar_one())


def stop_all(office: Office) -> None:
    """Those who wait for another call to their customer are not called any more."""
    with reading(office.house.engine) as connection:
        ids = list(connection.execute(select(tasks.c.batch_id)).scalars())
    stop_calls(office.house, stopping.stop(office.house.engine, ids, office.now, "somebody"))


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
    with attack("threads that share one connection", office) as verdict:
        while next(numbers) < LONGEST_LOOKS:
            together([lambda: sweep(office.house), lambda: dispatch(office.house), lambda: dispatch(office.house)])
            together([lambda: work(office)] * 8)
            rung = [uuid for uuid in office.phone.rings if office.call(uuid).ended_at is None]
            ids = [
                office.event("cdr", request_id=uuid, call_id=f"call-{uuid}", pay_load=cdr(1, 2_000)) for uuid in rung
            ]
            parts = [ids[part::8] for part in range(8)]
            together([lambda some=some: apply_events(office.house, some) for some in parts])  # type: ignore[misc]
            verdict.tried += 3 + 8 + len(parts)
            if all(call.closed_at for call in office.calls()) and all(
                office.task(call.batch_id).state in FINAL_TASKS for call in office.calls()
            ):
                break
            pass_time(office, LOOK_SECONDS)
    assert len(office.phone.rings) == SIZE
    assert {office.task(call.batch_id).state for call in office.calls()} == {"completed"}
