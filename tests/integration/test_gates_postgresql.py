"""Gates on a real PostgreSQL: what comes between dispatch and dial, and limits that two dispatchers must share."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import redis
from sqlalchemy import func, insert, select, text

from shared.clock import FakeClock
from shared.database import reading
from shared.lifecycle import FINAL_TASKS
from shared.schema import calls, do_not_call, pauses, tasks
from shared.suppression import IMPORT, suppress
from tests.integration.test_workers_postgresql import rings, together
from tests.workers.test_holds import due, tickets
from tests.workers.twins import START_MS, Office, PhoneTwin, cdr, running_redis
from workers.dial import dial
from workers.dispatch import dispatch
from workers.events import apply_events, stop_calls
from workers.holds import LOOKED_AT, release_if_settings_changed
from workers.room import LEASES_KEY
from workers.sweep import sweep

A, B = "0571000001", "0571000002"
SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY_SECONDS = 86_400


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def open_office(tmp_path: Path, postgresql_url: str, redis_server: str) -> Iterator[Callable[..., Office]]:
    """Worker processes of one house: they share database, Redis, clock and phone system."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    offices: list[Office] = []
    clock, phone = FakeClock(START_MS), PhoneTwin()

    def open_one(**options: str) -> Office:
        wide = {"callers": f"{A}:concurrency=1000,cps=1000", "max_calls": "1000"}
        office = Office(tmp_path, postgresql_url, redis_server, clock=clock, placer=phone, **wide | options)
        office.media(1000)
        offices.append(office)
        return office

    yield open_one
    for office in offices:
        office.close()


def rung(offices: list[Office]) -> list[str]:
    return [uuid for office in offices for uuid in office.dials()]


def dial_each(office: Office, uuids: list[str]) -> None:
    for uuid in uuids:
        dial(office.house, uuid)


def test_dispatchers_at_once_never_give_a_number_more_calls_than_its_day_has(
    open_office: Callable[..., Office],
) -> None:
    callers = f"{A}:concurrency=1000,cps=1000,daily=130;{B}:concurrency=1000,cps=1000,daily=70"
    offices = [open_office(callers=callers) for _ in range(3)]
    offices[0].tickets(400)
    for _ in range(3):
        together(*[partial(dispatch, office.house) for office in offices])
    made = offices[0].calls()
    assert Counter(call.caller for call in made) == {A: 130, B: 70}
    assert offices[0].house.room.occupancy().uuids == {call.uuid for call in made}
    offices[0].house.redis.flushall()
    offices[0].media(1000)
    together(*[partial(dispatch, office.house) for office in offices])
    assert len(offices[0].calls()) == 200


def test_workers_at_once_never_call_a_number_more_often_than_its_cap(open_office: Callable[..., Office]) -> None:
    offices = [open_office(frequency_cap="2/1d") for _ in range(2)]
    office = offices[0]
    numbers = [f"1380000{index:04d}" for index in range(10)]
    for _ in range(5):
        for number in numbers:
            office.ticket(number)
    for _ in range(8):
        together(*[partial(dispatch, one.house) for one in offices])
        uuids = rung(offices)
        together(*[partial(dial_each, one, uuids) for one in offices])
        for uuid in uuids:
            if office.call(uuid).state == "ringing":
                apply_events(office.house, [office.event("cdr", request_id=uuid, pay_load=cdr(None, 2_000))])
        office.advance(20)
        office.media(1000)
        sweep(office.house)
    assert Counter(callee for _, callee, _, _ in office.phone.requests) == dict.fromkeys(numbers, 2)
    with reading(office.house.engine) as connection:
        held = select(func.count()).where(tasks.c.held_by == "frequency", tasks.c.due_at > office.now)
        assert connection.execute(held).scalar_one() == 30


def test_who_is_put_on_the_list_is_not_called_once_that_is_committed(open_office: Callable[..., Office]) -> None:
    """Raced a hundred times. Whoever comes first: a call that was not committed as dialing by then never rings."""
    worker, api = open_office(), open_office()
    batch_ids = worker.tickets(100)
    dispatch(worker.house)
    uuids = {worker.call(uuid).batch_id: uuid for uuid in worker.dials()}
    list_was_first: set[str] = set()

    def put_on_list(number: str, uuid: str) -> None:
        with api.house.write() as connection:
            live = suppress(connection, [number], IMPORT, api.now)
            if connection.execute(select(calls.c.state).where(calls.c.uuid == uuid)).scalar() == "queued":
                list_was_first.add(uuid)
        stop_calls(api.house, live)

    for batch_id in batch_ids:
        number, uuid = worker.task(batch_id).number, uuids[batch_id]
        together(partial(dial, worker.house, uuid), partial(put_on_list, number, uuid))
        task, call = worker.task(batch_id), worker.call(uuid)
        if uuid in worker.phone.rings:
            assert uuid not in list_was_first
            assert (task.state, call.call_id in worker.phone.hung_up) == ("stopping", True)
        else:
            assert (task.state, call.state, task.connected) == ("stopped", "unplaced", False)


@pytest.mark.parametrize("table", ["list", "pause"])
def test_a_row_that_is_committed_while_the_dial_waits_for_its_task_is_seen(
    open_office: Callable[..., Office], table: str
) -> None:
    """Somebody holds the task's row, writes the obstacle, and commits: the dial that waited for the row must see it."""
    worker, person = open_office(), open_office()
    batch_id = worker.ticket("13800138000")
    dispatch(worker.house)
    [uuid] = worker.dials()
    dialling = threading.Thread(target=dial, args=(worker.house, uuid))
    with person.house.write() as connection:
        connection.execute(select(tasks).where(tasks.c.batch_id == batch_id).with_for_update())
        dialling.start()
        _wait_until_blocked(person)
        if table == "list":
            connection.execute(
                insert(do_not_call).values(number="13800138000", line="+8613800138000", source="person", created_at=0)
            )
        else:
            connection.execute(insert(pauses).values(ticket_type="", created_at=0))
    dialling.join(30)
    assert not dialling.is_alive()
    assert worker.phone.rings == {}
    assert worker.task(batch_id).state == ("stopped" if table == "list" else "pending")
    assert worker.house.redis.zcard(LEASES_KEY) == 0


def _wait_until_blocked(office: Office) -> None:
    """Until another connection waits for a lock."""
    query = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    done = threading.Event()
    for _ in range(3_000):
        with reading(office.house.engine) as connection:
            if connection.execute(query).scalar_one():
                return
        done.wait(0.01)
    raise AssertionError("nobody waits for a lock")


def test_a_hundred_thousand_tasks_that_wait_for_the_morning_are_written_once(
    open_office: Callable[..., Office],
) -> None:
    offices = [open_office(call_window="18:00-20:00") for _ in range(2)]
    office = offices[0]
    for one in offices:
        sweep(one.house)
    tickets(office, 100_000)
    opening = round(datetime(2025, 12, 31, 18, tzinfo=SHANGHAI).timestamp() * 1000)
    while due(office) != {(opening, "window"): 100_000}:
        together(*[partial(dispatch, one.house) for one in offices])
    with reading(office.house.engine) as connection:
        before = connection.execute(select(func.sum(text("xmin::text::bigint"))).select_from(tasks)).scalar_one()
    for _ in range(3):
        together(*[partial(dispatch, one.house) for one in offices])
        office.advance(60)
        office.media(1000)
        sweep(office.house)
    with reading(office.house.engine) as connection:
        after = connection.execute(select(func.sum(text("xmin::text::bigint"))).select_from(tasks)).scalar_one()
        assert connection.execute(select(func.count()).select_from(calls)).scalar_one() == 0
    assert before == after
    wider = open_office(call_window="09:00-20:00")
    for released in range(LOOKED_AT, 100_000 + LOOKED_AT, LOOKED_AT):
        release_if_settings_changed(wider.house)
        assert due(wider)[wider.now, None] == min(released, 100_000)


def test_sweeps_dispatchers_and_every_gate_at_once_leave_nothing_behind(open_office: Callable[..., Office]) -> None:
    settings = {
        "frequency_cap": "3/1d",
        "callers": f"{A}:concurrency=9,cps=1000,daily=500;{B}:concurrency=9,cps=1000",
        "retry_by_type": "急*: no_answer=10s,10s",
        "breaker": "failures=3,within=30s,rest=15s",
        "call_window": "00:00-23:00",
    }
    offices = [open_office(**settings) for _ in range(2)]
    office = offices[0]
    batch_ids = [office.ticket(f"1380000{index:04d}", ticket_type="急件") for index in range(30)]
    for index in range(40):
        together(*[partial(work, one.house) for one in offices for work in (dispatch, sweep)])
        for uuid in rung(offices):
            dial(office.house, uuid)
            rings(office, uuid)
        if index == 3:
            with office.house.write() as connection:
                live = suppress(connection, ["13800000003", "13800000004"], IMPORT, office.now)
            stop_calls(office.house, live)
        office.advance(15)
        office.media(1000)
        if all(office.task(batch_id).state in FINAL_TASKS for batch_id in batch_ids):
            break
    states = Counter(office.task(batch_id).state for batch_id in batch_ids)
    assert states == {"not_connected": 28, "stopped": 2}
    assert set(office.phone.rings.values()) == {1}
    assert max(Counter(callee for _, callee, _, _ in office.phone.requests).values()) == 3
    sweep(office.house)
    assert office.house.redis.zcard(LEASES_KEY) == 0
