"""The workers' locks on a real PostgreSQL: claims, conflicts, and the order in which rows are locked."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import redis
from sqlalchemy import create_engine, select, text

from shared import recordings
from shared.clock import FakeClock
from shared.database import writing
from shared.lifecycle import TaskState, stopped
from shared.schema import tasks
from tests.workers.twins import CALLER, START_MS, Office, PhoneTwin, cdr, running_redis
from workers import store
from workers.dial import dial
from workers.dispatch import dispatch
from workers.errands import Errand
from workers.events import apply_events, stop_calls
from workers.house import Household
from workers.record import finish_call
from workers.room import LEASES_KEY
from workers.sweep import sweep


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
        callers = {"callers": f"{CALLER}:concurrency=1000,cps=1000", "max_calls": "1000"}
        office = Office(tmp_path, postgresql_url, redis_server, clock=clock, placer=phone, **callers | options)
        office.media(1000)
        offices.append(office)
        return office

    yield open_one
    for office in offices:
        office.close()


def together(*works: Callable[[], object]) -> None:
    """Does all of them at once, and raises what any of them raised."""
    start = threading.Barrier(len(works))
    errors: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        start.wait(30)
        try:
            work()
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert not any(thread.is_alive() for thread in threads)


def rings(office: Office, uuid: str) -> None:
    """The phone system says that this call rings: only of such a call is it known that nobody answered."""
    apply_events(office.house, [office.event("firstStart", request_id=uuid, call_id=f"call-{uuid}")])


def test_two_dispatchers_share_the_work_and_claim_nothing_twice(open_office: Callable[..., Office]) -> None:
    offices = [open_office(), open_office()]
    batch_ids = offices[0].tickets(450)
    together(*[partial(dispatch, office.house) for office in offices])
    for office in offices:
        dispatch(office.house)
    made = offices[0].calls()
    assert sorted(call.batch_id for call in made) == sorted(batch_ids)
    rung = [uuid for office in offices for uuid in office.dials()]
    assert sorted(rung) == sorted(call.uuid for call in made)
    assert offices[0].house.room.occupancy().uuids == set(rung)


def test_dispatchers_that_meet_on_the_same_numbers_neither_deadlock_nor_ring_twice(
    open_office: Callable[..., Office],
) -> None:
    offices = [open_office() for _ in range(3)]
    for _ in range(4):
        for index in range(40):
            offices[0].ticket(f"1380000{index:04d}")
    together(*[partial(dispatch, office.house) for office in offices])
    made = offices[0].calls()
    assert Counter(call.number for call in made) == {f"1380000{index:04d}": 1 for index in range(40)}
    assert offices[0].house.room.occupancy().uuids == {call.uuid for call in made}


def test_one_task_in_somebodys_hands_does_not_hold_up_the_others(open_office: Callable[..., Office]) -> None:
    office = open_office()
    first, second = office.ticket("13800000001"), office.ticket("13800000002")
    with office.house.write() as connection:
        connection.execute(select(tasks).where(tasks.c.batch_id == first).with_for_update())
        dispatch(office.house)
        assert [call.batch_id for call in office.calls()] == [second]
    dispatch(office.house)
    assert {call.batch_id for call in office.calls()} == {first, second}


def test_a_call_dialled_by_two_workers_at_once_rings_once(open_office: Callable[..., Office]) -> None:
    offices = [open_office(), open_office()]
    offices[0].tickets(30)
    dispatch(offices[0].house)
    for uuid in offices[0].dials():
        together(*[partial(dial, office.house, uuid) for office in offices])
    assert set(offices[0].phone.rings.values()) == {1}
    assert len(offices[0].phone.rings) == 30


def cut_all_connections(office: Office) -> None:
    """As a database that restarts does."""
    engine = create_engine(office.house.engine.url)
    with engine.connect() as connection:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'waihu'"
        connection.execute(text(others))
    engine.dispose()


def test_connections_cut_at_any_step_lose_nothing(open_office: Callable[..., Office]) -> None:
    office = open_office()
    household = Household(lambda: office.house)
    dials, dispatches = Errand("dial", dial, household), Errand("dispatch", dispatch, household)
    batch_id = office.ticket("13800000001")
    cut_all_connections(office)
    dispatches.run()
    [call] = office.calls(batch_id)

    def cut(uuid: str) -> str:
        cut_all_connections(office)
        return f"call-{uuid}"

    office.phone.answers = [cut]
    cut_all_connections(office)
    dials.run(call.uuid)
    assert (office.call(call.uuid).state, office.call(call.uuid).call_id) == ("ringing", f"call-{call.uuid}")
    assert office.phone.rings == {call.uuid: 1}


def test_a_stop_raced_with_dialling_is_never_followed_by_a_startcall(open_office: Callable[..., Office]) -> None:
    """Whoever comes first: a stop that was answered before the row was committed as dialing keeps the phone silent."""
    office, api = open_office(), open_office()
    batch_ids = office.tickets(60)
    dispatch(office.house)
    stopped_first: set[int] = set()
    uuids = {office.call(uuid).batch_id: uuid for uuid in office.dials()}

    def stop(batch_id: int) -> None:
        with api.house.write() as connection:
            mine = select(*store.task_columns()).where(tasks.c.batch_id == batch_id)
            before = store.task_of(connection.execute(mine.with_for_update()).one())
            store.save_task(connection, before, stopped(before, api.now), api.now)
        if before.state is TaskState.QUEUED:
            stopped_first.add(batch_id)
        stop_calls(api.house, [batch_id])

    for batch_id in batch_ids:
        together(partial(dial, office.house, uuids[batch_id]), partial(stop, batch_id))
    rung = {office.call(uuid).batch_id: office.call(uuid) for uuid in office.phone.rings}
    assert not stopped_first & set(rung)
    for batch_id in batch_ids:
        if batch_id in rung:
            assert rung[batch_id].call_id in office.phone.hung_up
            assert office.task(batch_id).state == "stopping"
        else:
            assert office.task(batch_id).state == "stopped"


def test_events_of_one_call_from_all_sides_end_it_once(open_office: Callable[..., Office]) -> None:
    offices = [open_office() for _ in range(3)]
    office = offices[0]
    office.tickets(20)
    dispatch(office.house)
    for uuid in office.dials():
        dial(office.house, uuid)
    for uuid in list(office.phone.rings):
        named = {"request_id": uuid, "call_id": f"call-{uuid}"}
        ids = [office.event("firstStart", **named), office.event("firstAnswer", **named)]
        ids.append(office.event("cdr", **named, pay_load=cdr(1, 2_000)))
        batch_id = office.call(uuid).batch_id
        office.set_task(batch_id, stop_requested_at=office.now)
        together(
            partial(apply_events, offices[0].house, ids),
            partial(apply_events, offices[1].house, ids[::-1]),
            partial(stop_calls, offices[2].house, [batch_id]),
        )
        for one in offices:
            apply_events(one.house, ids)
        task = office.task(batch_id)
        assert (task.state, task.connected, task.attempts) == ("stopped", True, 1)
    assert office.house.redis.zcard(LEASES_KEY) == 0


def test_sweeps_and_dispatchers_at_once_leave_nothing_behind(open_office: Callable[..., Office]) -> None:
    offices = [open_office() for _ in range(3)]
    office = offices[0]
    batch_ids = office.tickets(40)
    for _ in range(60):
        together(
            partial(dispatch, offices[0].house),
            partial(sweep, offices[1].house),
            partial(sweep, offices[2].house),
        )
        for one in offices:
            for uuid in one.dials():
                dial(one.house, uuid)
                rings(one, uuid)
        office.advance(5)
        office.media(1000)
        if all(office.task(batch_id).final_at for batch_id in batch_ids):
            break
    assert {office.task(batch_id).state for batch_id in batch_ids} == {"not_connected"}
    assert set(office.phone.rings.values()) == {1}
    assert len(office.phone.rings) == 40
    sweep(office.house)
    assert office.house.redis.zcard(LEASES_KEY) == 0


@pytest.mark.parametrize(
    ("what", "end"), [({"expires_at": START_MS}, "expired"), ({"stop_requested_at": START_MS}, "stopped")]
)
def test_a_task_in_other_hands_keeps_no_other_waiting(
    open_office: Callable[..., Office], what: dict[str, int], end: str
) -> None:
    """A lock that somebody holds is passed over, and does not stop the sweep."""
    office = open_office()
    held, free = (office.ticket(f"1380013800{index}", **what) for index in range(2))
    with writing(office.house.engine) as connection:
        connection.execute(select(tasks.c.batch_id).where(tasks.c.batch_id == held).with_for_update())
        sweep(office.house)
        assert (office.task(held).state, office.task(free).state) == ("pending", end)
    sweep(office.house)
    assert office.task(held).state == end


def test_a_dialogue_with_a_character_that_postgresql_refuses_is_stored(open_office: Callable[..., Office]) -> None:
    office = open_office()
    batch_id = office.ticket()
    dispatch(office.house)
    (uuid,) = office.dials()
    dial(office.house, uuid)
    stem = recordings.stem(uuid, office.calls(batch_id)[0].created_at, office.settings.timezone)
    path = recordings.part(office.settings.recordings_dir, stem, 1, "jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        recordings.Begin(at=office.now, call_id="c", part=1),
        recordings.Turn(role="user", content="好\0的", start=office.now, end=office.now),
        recordings.Tag(at=office.now, name="satisfaction", value="\0"),
        recordings.End(at=office.now, reason="hangup", initiator="callee"),
    ]
    path.write_bytes(b"".join(map(recordings.encode_line, lines)))
    finish_call(office.house, uuid)
    call = office.call(uuid)
    assert (call.dialogue[0]["content"], call.tags[0]["value"]) == ("好\ufffd的", "\ufffd")
