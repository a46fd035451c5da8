"""Whatever says that nobody answered is believed after all else that there is to hear; and it can be set right later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared import bus
from shared.database import reading
from shared.doorbell import FINISH_CALL
from shared.lifecycle import Call
from tests.workers.test_events import dialled, tell
from tests.workers.test_record import talk, write_lines
from tests.workers.twins import Office, cdr
from workers import events
from workers.dial import dial
from workers.dispatch import dispatch
from workers.events import apply_events
from workers.hearing import _OF_CALL, MOST_OF_ONE, events_of
from workers.record import finish_call
from workers.sweep import sweep


def test_the_events_of_a_call_are_those_that_name_it_by_either_id(office: Office) -> None:
    mine, other = dialled(office, "13800000001"), dialled(office, "13800000002")
    late = office.event("cdr", call_id=f"call-{mine}")
    early = office.event("firstAnswer", request_id=mine, call_id=f"call-{mine}")
    office.event("firstAnswer", request_id=other, call_id=f"call-{other}")
    apply_events(office.house, [office.event("firstStart", request_id=mine)])

    def of(call: Call) -> list[int]:
        with reading(office.house.engine) as connection:
            return events_of(connection, call)

    assert of(Call(mine, 0, call_id=f"call-{mine}")) == [late, early]
    assert of(Call(mine, 0)) == [early], "an event without a call_id is no event of a call without one"


def test_no_more_events_of_one_call_are_looked_at_than_any_call_has(office: Office) -> None:
    uuid = dialled(office)
    ids = [office.event("firstStart", request_id=uuid) for _ in range(MOST_OF_ONE + 1)]
    with reading(office.house.engine) as connection:
        assert events_of(connection, Call(uuid, 0)) == ids[:MOST_OF_ONE]


def test_a_deadline_finds_its_calls_events_by_indexes(office: Office) -> None:
    """However many strangers' events wait: it is asked for each of hundreds of calls."""
    names = {"uuid": "1", "call_id": "call-1", "most": 1}
    with reading(office.house.engine) as connection:
        compiled = _OF_CALL.compile(dialect=connection.dialect)
        values = tuple(compiled.construct_params(names)[name] for name in compiled.positiontup or ())
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values).all()
    searches = [str(row[-1]) for row in plan if "phone_events" in str(row[-1])]
    assert len(searches) == 2
    assert all(search.startswith("SEARCH") for search in searches)


# --- a cdr without the time of an answer -------------------------------------------------------------------------------


def rested(office: Office, uuid: str) -> tuple[str, bool | None, str, int]:
    """What the task, and the record of this call, came to, long after; and how often the customer was rung for."""
    for _ in range(45):
        office.advance(50)
        office.media()
        sweep(office.house)
        dispatch(office.house)
        for waiting in office.dials():
            dial(office.house, waiting)
    call = office.call(uuid)
    task = office.task(call.batch_id)
    return task.state, task.connected, call.hangup_cause, len(office.phone.requests)


TALKED_ONCE = ("completed", True, "NORMAL_CLEARING:sip:200", 1)


@pytest.fixture
def patient(open_office: Callable[..., Office]) -> Office:
    """Who does not answer is rung again half an hour later."""
    opened = open_office(retry_no_answer="30m")
    opened.media()
    return opened


@pytest.mark.parametrize("payload", [None, 0, "", "missing"])
def test_an_answer_that_waits_in_the_inbox_is_heard_before_it(patient: Office, payload: Any) -> None:
    uuid = dialled(patient)
    first = patient.event("firstAnswer", request_id=uuid)
    answered_at = patient.now
    patient.advance(20)
    entry: dict[str, Any] = {"end_time": 21_000, "answer_time": payload}
    tell(patient, uuid, "cdr", pay_load=[{} if payload == "missing" else entry])
    call = patient.call(uuid)
    assert (call.answered_at, call.time_len, call.hangup_cause) == (answered_at, 20, "NORMAL_CLEARING:sip:200")
    assert patient.stored_event(first).call_uuid == uuid
    assert rested(patient, uuid) == TALKED_ONCE


@pytest.mark.parametrize("ended", [True, False])
def test_what_media_wrote_down_is_heard_before_it(patient: Office, ended: bool) -> None:
    uuid = dialled(patient)
    lines = talk(patient.now + 1_000)
    write_lines(patient, uuid, lines if ended else lines[:-1])
    patient.advance(20)
    tell(patient, uuid, "cdr", pay_load=cdr(None, patient.now))
    finish_call(patient.house, uuid)
    call = patient.call(uuid)
    assert (call.answered_at, call.time_len) == (patient.now - 19_000, 3 if ended else 19)
    assert [turn["content"] for turn in call.dialogue] == ["您好", "你好", "再见，祝您"]
    assert rested(patient, uuid) == TALKED_ONCE


def test_a_session_that_holds_the_call_is_heard_before_it(patient: Office) -> None:
    uuid = dialled(patient)
    patient.house.redis.set(bus.owner_key(uuid), b"{}")
    tell(patient, uuid, "cdr", pay_load=cdr(None, patient.now))
    assert patient.task(patient.call(uuid).batch_id).state == "completed"


@pytest.mark.parametrize("late", ["firstAnswer", "cdr", "media"])
def test_a_proof_that_comes_later_completes_the_task_that_waits_for_its_retry(patient: Office, late: str) -> None:
    uuid = dialled(patient)
    patient.advance(20)
    tell(patient, uuid, "cdr", pay_load=cdr(None, patient.now))
    assert patient.task(patient.call(uuid).batch_id).state == "retry_wait"
    if late == "media":
        write_lines(patient, uuid, talk(patient.now - 15_000)[:-1])
        finish_call(patient.house, uuid)
    else:
        tell(patient, uuid, late, pay_load=cdr(1_000, 9_000) if late == "cdr" else "")
    assert patient.task(patient.call(uuid).batch_id).state == "completed"
    assert patient.bell.take(FINISH_CALL) == ([] if late == "media" else [uuid])
    assert rested(patient, uuid) == TALKED_ONCE


def test_a_proof_that_comes_when_the_task_is_rung_for_again_lets_that_call_be_its_last(patient: Office) -> None:
    uuid = dialled(patient)
    tell(patient, uuid, "cdr", pay_load=cdr(None, patient.now))
    patient.advance(1_800)
    patient.media()
    sweep(patient.house)
    dispatch(patient.house)
    again = patient.dials()[-1]
    dial(patient.house, again)
    tell(patient, uuid, "firstAnswer")
    assert (patient.call(again).state, patient.task(patient.call(uuid).batch_id).state) == ("ringing", "dialing")
    tell(patient, again, "firstStart")
    tell(patient, again, "cdr", pay_load=cdr(None, patient.now))
    assert patient.call(again).hangup_cause == "NO_ANSWER:sip:480"
    assert rested(patient, uuid) == ("completed", True, "NORMAL_CLEARING:sip:200", 2)


def test_a_retry_that_waits_for_its_dial_when_the_proof_comes_is_called_off(patient: Office) -> None:
    uuid = dialled(patient)
    tell(patient, uuid, "cdr", pay_load=cdr(None, patient.now))
    patient.advance(1_800)
    patient.media()
    sweep(patient.house)
    dispatch(patient.house)
    tell(patient, uuid, "firstAnswer")
    assert rested(patient, uuid) == TALKED_ONCE


def test_a_final_task_stays_as_it_was_told(office: Office) -> None:
    uuid = dialled(office)
    tell(office, uuid, "cdr", pay_load=cdr(None, office.now))
    before = office.task(office.call(uuid).batch_id)
    tell(office, uuid, "firstAnswer")
    assert office.call(uuid).hangup_cause == "NORMAL_CLEARING:sip:200"
    assert (before.state, office.task(before.batch_id)) == ("not_connected", before)


def test_a_cdr_waits_for_an_answer_that_is_in_another_workers_hands(
    patient: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = dialled(patient)
    first = patient.event("firstAnswer", request_id=uuid)
    with monkeypatch.context() as patch:
        patch.setattr(events, "try_event", lambda _house, _event_id: True)  # the row is locked: nothing is done
        last = patient.event("cdr", request_id=uuid, pay_load=cdr(None, patient.now))
        events.apply_event(patient.house, last)
    assert (patient.call(uuid).state, patient.stored_event(last).applied_at) == ("ringing", None)
    apply_events(patient.house, [first, last])
    assert patient.task(patient.call(uuid).batch_id).state == "completed"


def test_an_answer_that_cannot_be_applied_does_not_hold_the_cdr_up(
    patient: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = dialled(patient)
    patient.event("firstAnswer", request_id=uuid)
    monkeypatch.setattr(events, "try_event", lambda _house, _event_id: False)
    events.apply_event(patient.house, patient.event("cdr", request_id=uuid, pay_load=cdr(None, patient.now)))
    assert patient.task(patient.call(uuid).batch_id).state == "retry_wait"
