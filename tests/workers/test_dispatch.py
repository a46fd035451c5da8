"""Dispatch: from due tasks to queued calls."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import insert

from shared.database import writing
from shared.doorbell import DIAL, DISPATCH
from shared.schema import calls
from tests.workers.twins import CALLER, Office
from workers.dispatch import CLAIM, ROUNDS, dispatch
from workers.room import LEASES_KEY


def test_a_due_task_becomes_a_queued_call_and_rings_for_dial(office: Office) -> None:
    batch_id = office.ticket("13800138000", exten="8001", phone="13800138000-8001")
    dispatch(office.house)
    [call] = office.calls(batch_id)
    assert (call.state, call.caller, call.number, call.exten, call.telephone) == (
        "queued",
        CALLER,
        "13800138000",
        "8001",
        "13800138000-8001",
    )
    assert call.deadline_at > office.now
    task = office.task(batch_id)
    assert (task.state, task.due_at, task.caller) == ("queued", None, CALLER)
    assert office.bell.take(DIAL) == [None]
    assert office.dials() == [call.uuid]
    assert office.house.room.occupancy().uuids == {call.uuid}


def test_tasks_that_are_not_due_final_or_live_are_left_alone(office: Office) -> None:
    office.ticket("1380013801", due_at=office.now + 1)
    office.ticket("1380013802", state="completed", due_at=None)
    office.ticket("1380013803", state="dialing", due_at=None)
    dispatch(office.house)
    assert office.calls() == []
    assert office.house.redis.exists(LEASES_KEY) == 0


def test_priority_goes_first_then_who_has_waited_longest(open_office: Callable[..., Office]) -> None:
    office = open_office(max_calls="2")
    office.media()
    office.ticket("1380013801", due_at=office.now - 5)
    urgent = office.ticket("1380013802", priority=5)
    oldest = office.ticket("1380013803", due_at=office.now - 9)
    dispatch(office.house)
    assert {call.batch_id for call in office.calls()} == {urgent, oldest}


def test_one_number_has_one_call_at_a_time(office: Office) -> None:
    first, second = office.ticket("13800138000"), office.ticket("13800138000")
    dispatch(office.house)
    assert [call.batch_id for call in office.calls()] == [first]
    assert office.task(second).state == "pending"
    dispatch(office.house)
    assert len(office.calls()) == 1
    office.set_call(office.calls()[0].uuid, state="ended")
    office.set_task(first, state="completed")
    dispatch(office.house)
    assert [call.batch_id for call in office.calls()] == [first, second]


def test_a_number_in_the_hands_of_another_kind_of_call_may_be_dialled(office: Office) -> None:
    row = {"call_type": "01", "state": "answered", "caller": "", "number": "13800138000", "telephone": "13800138000"}
    row |= {"line": "+8613800138000"}
    with writing(office.house.engine) as connection:
        connection.execute(insert(calls).values(uuid="2" * 19, created_at=office.now, **row))
    batch_id = office.ticket("13800138000")
    dispatch(office.house)
    assert len(office.calls(batch_id)) == 1


@pytest.mark.parametrize(
    ("settings", "media", "expected"),
    [
        ({"max_calls": "3"}, 200, 3),
        ({"callers": f"{CALLER}:concurrency=4,cps=1000"}, 200, 4),
        ({"callers": f"{CALLER}:concurrency=30,cps=2"}, 200, 5),  # two seconds' worth ahead of their turn, and one
        ({}, 2, 2),
        ({}, 0, 0),
    ],
)
def test_no_more_calls_start_than_the_narrowest_limit_leaves(
    open_office: Callable[..., Office], settings: dict[str, str], media: int, expected: int
) -> None:
    office = open_office(**settings)
    office.media(media)
    office.tickets(8)
    dispatch(office.house)
    dispatch(office.house)
    assert len(office.calls()) == expected
    assert office.house.room.occupancy().uuids == {call.uuid for call in office.calls()}


def test_without_a_media_process_nobody_is_called(open_office: Callable[..., Office]) -> None:
    office = open_office()
    office.ticket()
    dispatch(office.house)
    assert office.calls() == []


def test_calls_spread_over_the_callers_and_stay_with_the_one_a_customer_knows(
    open_office: Callable[..., Office],
) -> None:
    office = open_office(callers="0571000001:concurrency=3,cps=1000;0571000002:concurrency=3,cps=1000")
    office.media()
    known = office.ticket("13900000009", caller="0571000002", state="retry_wait")
    office.tickets(4)
    dispatch(office.house)
    made = office.calls()
    assert [call.caller for call in made if call.batch_id == known] == ["0571000002"]
    assert sorted(call.caller for call in made) == ["0571000001"] * 3 + ["0571000002"] * 2


def test_a_customer_whose_caller_is_full_gets_another(open_office: Callable[..., Office]) -> None:
    office = open_office(callers="0571000001:concurrency=1,cps=1000;0571000002:concurrency=3,cps=1000")
    office.media()
    office.ticket("13900000001", caller="0571000001")
    second = office.ticket("13900000002", caller="0571000001")
    dispatch(office.house)
    assert [call.caller for call in office.calls(second)] == ["0571000002"]
    assert office.task(second).caller == "0571000002"


def test_expired_and_stopped_tasks_end_instead_of_ringing(office: Office) -> None:
    late = office.ticket("1380013801", expires_at=office.now)
    unwanted = office.ticket("1380013802", stop_requested_at=office.now - 5)
    wanted = office.ticket("1380013803", expires_at=office.now + 1)
    dispatch(office.house)
    assert office.task(late).state == "expired"
    assert (office.task(late).connected, office.task(late).final_at) == (False, office.now)
    assert office.task(unwanted).state == "stopped"
    assert [call.batch_id for call in office.calls()] == [wanted]
    assert len(office.house.room.occupancy().uuids) == 1


def test_a_closed_gate_claims_nothing(open_office: Callable[..., Office]) -> None:
    for settings in ({"call_window": "99:00-12:00"}, {"allow_standin": "0"}):
        office = open_office(**settings)
        office.media()
        office.ticket()
        dispatch(office.house)
        assert office.calls() == []


def test_a_large_backlog_is_claimed_in_rounds(open_office: Callable[..., Office]) -> None:
    office = open_office(max_calls="1000", callers=f"{CALLER}:concurrency=1000,cps=1000")
    office.media(1000)
    office.tickets(CLAIM * 2 + 50)
    dispatch(office.house)
    assert len(office.calls()) == CLAIM * 2 + 50
    assert len(set(office.dials())) == CLAIM * 2 + 50
    assert ROUNDS * CLAIM > CLAIM * 2 + 50
    assert office.bell.take(DISPATCH) == []


def test_two_dispatchers_at_once_claim_each_task_once(open_office: Callable[..., Office]) -> None:
    offices = [open_office(), open_office()]
    offices[0].media()
    batch_ids = offices[0].tickets(30)
    start = threading.Barrier(2)

    def run(office: Office) -> None:
        start.wait(10)
        dispatch(office.house)

    threads = [threading.Thread(target=run, args=(office,)) for office in offices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for office in offices:
        dispatch(office.house)
    made = offices[0].calls()
    assert sorted(call.batch_id for call in made) == sorted(batch_ids)
    rung = [uuid for office in offices for uuid in office.dials()]
    assert sorted(rung) == sorted(call.uuid for call in made)
    assert offices[0].house.room.occupancy().uuids == set(rung)
