"""The numbers we call from: calls a day, and rest for a number whose answer rate fell."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, select, update

from shared.database import reading, writing
from shared.errors import Unplaced
from shared.schema import caller_rests, calls
from tests.workers.twins import START_MS, Office
from workers import callers
from workers.callers import JUDGED_KEY, day_began, rest_slumped_callers
from workers.dial import dial
from workers.dispatch import dispatch
from workers.room import Lease

A, B = "0571000001", "0571000002"
SHANGHAI = ZoneInfo("Asia/Shanghai")
MIDNIGHT = round(datetime(2025, 12, 31, tzinfo=SHANGHAI).timestamp() * 1000)
_uuids = (f"9{index:018d}" for index in itertools.count())


def made(office: Office, caller: str, count: int, **values: object) -> None:
    """Calls of this number that are over."""
    row = {"call_type": "02", "state": "ended", "telephone": "", "hangup_cause": "NO_ANSWER:sip:480"}
    times = {"created_at": START_MS, "closed_at": START_MS}
    uuids = [next(_uuids) for _ in range(count)]
    rows = [row | times | {"uuid": uuid, "number": uuid, "line": uuid, "caller": caller} | values for uuid in uuids]
    with writing(office.house.engine) as connection:
        connection.execute(insert(calls), rows)


def by_caller(office: Office) -> Counter[str]:
    return Counter(call.caller for call in office.calls() if call.batch_id is not None)


# --- calls a day -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "moment", "midnight"),
    [
        ("Asia/Shanghai", "2025-12-31T00:00:00+08:00", "2025-12-31T00:00:00+08:00"),
        ("Asia/Shanghai", "2025-12-30T23:59:59.999+08:00", "2025-12-30T00:00:00+08:00"),
        ("America/New_York", "2026-11-01T20:00:00-05:00", "2026-11-01T00:00:00-04:00"),
        ("Asia/Beirut", "2026-03-29T12:00:00+03:00", "2026-03-29T01:00:00+03:00"),  # there is no midnight
    ],
)
def test_a_day_begins_at_midnight_in_its_zone(zone: str, moment: str, midnight: str) -> None:
    now, began = (round(datetime.fromisoformat(text).timestamp() * 1000) for text in (moment, midnight))
    assert day_began(now, ZoneInfo(zone)) == began


def test_a_number_makes_no_more_calls_a_day_than_it_may(open_office: Callable[..., Office]) -> None:
    office = open_office(callers=f"{A}:cps=1000,daily=5;{B}:cps=1000,daily=2")
    office.media()
    made(office, A, 2, created_at=MIDNIGHT)
    made(office, A, 9, created_at=MIDNIGHT - 1)
    made(office, A, 9, state="unplaced")
    made(office, A, 9, call_type="01")
    made(office, B, 1, state="refused")
    office.tickets(9)
    dispatch(office.house)
    dispatch(office.house)
    assert by_caller(office) == {A: 3, B: 1}
    assert len(office.house.room.occupancy().uuids) == 4


def test_the_count_outlives_redis(open_office: Callable[..., Office]) -> None:
    office = open_office(callers=f"{A}:cps=1000,daily=3")
    office.media()
    office.tickets(9)
    dispatch(office.house)
    office.house.redis.flushall()
    office.media()
    dispatch(office.house)
    assert by_caller(office) == {A: 3}


def test_the_next_day_begins_anew(open_office: Callable[..., Office]) -> None:
    office = open_office(callers=f"{A}:cps=1000,daily=3")
    office.media()
    office.tickets(9)
    dispatch(office.house)
    office.advance((MIDNIGHT + 86_400_000 - office.now) / 1000)
    office.media()
    dispatch(office.house)
    assert by_caller(office) == {A: 6}


def test_a_call_that_never_left_is_given_back_to_the_day(open_office: Callable[..., Office]) -> None:
    office = open_office(callers=f"{A}:cps=1000,daily=1", breaker="")
    office.media()
    office.tickets(1)
    office.phone.answers = [Unplaced("away")]
    for _ in range(2):
        dispatch(office.house)
        dial(office.house, office.calls()[-1].uuid)
        office.advance(5)
    assert [call.state for call in office.calls()] == ["unplaced", "ringing"]


def test_leases_that_another_dispatcher_was_faster_to_use_are_given_back(open_office: Callable[..., Office]) -> None:
    office = open_office(callers=f"{A}:cps=1000,daily=3")
    office.media()
    settings = office.settings
    leases = [Lease(str(index), A) for index in range(3)] + [Lease("9", B)]
    made(office, A, 2)
    with writing(office.house.engine) as connection:
        kept = callers.within_daily(connection, settings.callers, leases, settings.timezone, office.now)
    assert kept == [leases[0], leases[3]]


# --- answer rate -----------------------------------------------------------------------------------------------------


def judge(office: Office) -> None:
    """As a sweep does it that comes half a minute after the last."""
    office.house.redis.delete(JUDGED_KEY)
    rest_slumped_callers(office.house)


def rests(office: Office) -> dict[str, int]:
    with reading(office.house.engine) as connection:
        return {row.caller: row.until for row in connection.execute(select(caller_rests))}


@pytest.fixture
def slumped(open_office: Callable[..., Office]) -> Office:
    """A was answered 40 times of 100, and then once of 20; B goes on as ever. An hour has passed."""
    office = open_office(callers=f"{A}:cps=1000;{B}:cps=1000", caller_health="calls=20,drop=0.5,rest=30m")
    for caller, latest in ((A, 1), (B, 8)):
        made(office, caller, 40, created_at=START_MS - 9_000, answered_at=START_MS)
        made(office, caller, 60, created_at=START_MS - 9_000)
        made(office, caller, latest, answered_at=START_MS)
        made(office, caller, 20 - latest)
    office.advance(3600)
    office.media()
    return office


def test_a_number_that_is_answered_far_less_than_before_rests_and_says_so(
    slumped: Office, caplog: pytest.LogCaptureFixture
) -> None:
    judge(slumped)
    assert rests(slumped) == {A: slumped.now + 30 * 60_000}
    [record] = [record for record in caplog.records if record.name == "workers.callers"]
    assert (record.levelno, record.__dict__["caller"]) == (logging.WARNING, "05****0001")
    assert record.__dict__["reason"] == "answered 5% of its latest 20 calls, 40% before"
    slumped.ticket("13900000001", caller=A, state="retry_wait")
    slumped.tickets(3)
    dispatch(slumped.house)
    assert by_caller(slumped) == {B: 4}


def test_a_queued_call_of_a_number_that_rests_goes_back_to_its_task(slumped: Office) -> None:
    batch_id = slumped.ticket(caller=A)
    dispatch(slumped.house)
    [call] = slumped.calls(batch_id)
    assert call.caller == A
    judge(slumped)
    dial(slumped.house, call.uuid)
    assert slumped.phone.rings == {}
    assert slumped.task(batch_id).state == "pending"
    slumped.advance(5)
    dispatch(slumped.house)
    assert slumped.calls(batch_id)[-1].caller == B


def test_it_comes_back_by_itself_and_is_judged_by_new_calls_alone(slumped: Office) -> None:
    judge(slumped)
    slumped.advance(30 * 60)
    slumped.media()
    judge(slumped)
    assert rests(slumped)[A] == slumped.now
    slumped.ticket(caller=A)
    dispatch(slumped.house)
    assert by_caller(slumped) == {A: 1}
    made(slumped, A, 20, created_at=slumped.now)
    slumped.advance(3600)
    judge(slumped)
    assert rests(slumped)[A] == slumped.now + 30 * 60_000


def test_if_all_of_them_rest_tasks_wait(slumped: Office) -> None:
    with writing(slumped.house.engine) as connection:
        connection.execute(
            update(calls).where(calls.c.caller == B, calls.c.created_at == START_MS).values(answered_at=None)
        )
    judge(slumped)
    assert set(rests(slumped)) == {A, B}
    batch_id = slumped.ticket()
    dispatch(slumped.house)
    assert slumped.calls(batch_id) == []
    assert slumped.task(batch_id).state == "pending"


def test_calls_whose_outcome_is_not_known_refused_or_stopped_say_nothing_of_a_number(slumped: Office) -> None:
    with writing(slumped.house.engine) as connection:
        latest = update(calls).where(calls.c.caller == A, calls.c.created_at == START_MS)
        connection.execute(latest.values(answered_at=START_MS))
    made(slumped, A, 20, created_at=slumped.now - 1_000, state="ringing", hangup_cause="")
    made(slumped, A, 20, state="refused", hangup_cause="NORMAL_TEMPORARY_FAILURE:sip:503")
    made(slumped, A, 20, hangup_cause="ORIGINATOR_CANCEL:sip:487")
    made(slumped, A, 20, state="lost", hangup_cause="LOST:sip:0")
    judge(slumped)
    assert rests(slumped) == {}


def test_two_sweeps_at_once_write_one_rest(slumped: Office) -> None:
    judge(slumped)
    first = rests(slumped)
    slumped.advance(60)
    judge(slumped)
    assert rests(slumped) == first


def test_a_number_is_not_looked_at_with_every_sweep(slumped: Office) -> None:
    slumped.house.redis.set(JUDGED_KEY, 1)
    rest_slumped_callers(slumped.house)
    assert rests(slumped) == {}


def test_without_the_setting_no_number_ever_rests(open_office: Callable[..., Office]) -> None:
    office = open_office(callers=A, caller_health="")
    made(office, A, 500, created_at=START_MS - 9_000, answered_at=START_MS)
    made(office, A, 500)
    office.advance(3600)
    judge(office)
    assert rests(office) == {}
