"""Events of the phone system, media's word, and stopTasks: each applied once, in any order."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from shared import bus
from shared.database import reading, writing
from shared.doorbell import DISPATCH, FINISH_CALL
from shared.erasure import erase
from shared.errors import OutcomeUnknown, Refused
from shared.schema import phone_events
from tests.workers.twins import Office, cdr, wait_for
from workers import events
from workers.dial import dial
from workers.dispatch import dispatch
from workers.events import apply_events, audio_started, brief, stop_calls
from workers.room import LEASES_KEY
from workers.sweep import sweep


def dialled(office: Office, number: str = "13800138000", answer: Any = None) -> str:
    batch_id = office.ticket(number)
    dispatch(office.house)
    uuid = str(office.calls(batch_id)[-1].uuid)
    if answer is not None:
        office.phone.answers.append(answer)
    dial(office.house, uuid)
    return uuid


def listening(office: Office, *channels: str) -> Any:
    """A subscriber whom Redis has heard of."""
    listener = office.house.redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    listener.subscribe(*channels)
    wait_for(lambda: len(office.house.redis.pubsub_channels()) == len(channels))
    return listener


def tell(office: Office, uuid: str, name: str, **event: Any) -> int:
    event_id = office.event(name, request_id=uuid, call_id=f"call-{uuid}", **event)
    apply_events(office.house, [event_id])
    return event_id


def test_answered_and_ended_completes_the_task(office: Office) -> None:
    uuid = dialled(office)
    tell(office, uuid, "firstStart")
    office.advance(4)
    tell(office, uuid, "firstAnswer")
    call = office.call(uuid)
    assert (call.state, call.answered_at) == ("answered", office.now)
    assert office.task(call.batch_id).state == "in_call"
    office.advance(31)
    tell(office, uuid, "cdr", pay_load=cdr(1_000, 31_500))
    call = office.call(uuid)
    assert (call.state, call.hangup_cause, call.time_len) == ("ended", "NORMAL_CLEARING:sip:200", 31)
    assert (call.record_file, call.ended_at, call.closed_at) == ("vendor.wav", office.now, None)
    task = office.task(call.batch_id)
    assert (task.state, task.connected, task.attempts, task.final_at) == ("completed", True, 1, office.now)
    assert office.house.redis.zcard(LEASES_KEY) == 0
    assert office.bell.take(FINISH_CALL) == [uuid]
    assert office.bell.take(DISPATCH) == [None]


def test_the_table_of_outcomes(open_office: Callable[..., Office]) -> None:
    """reading.md, "taskType ... status": every row, as the task's state, connected, and the record's cause."""
    office = open_office()
    office.media()

    def outcome(uuid: str) -> tuple[str, bool | None, str]:
        call = office.call(uuid)
        task = office.task(call.batch_id)
        return task.state, task.connected, call.hangup_cause

    answered = dialled(office, "13800000001")
    tell(office, answered, "firstAnswer")
    tell(office, answered, "cdr", pay_load=cdr(1, 2_000))
    assert outcome(answered) == ("completed", True, "NORMAL_CLEARING:sip:200")

    unanswered = dialled(office, "13800000002")
    tell(office, unanswered, "cdr", pay_load=cdr(None, 2_000))
    assert outcome(unanswered) == ("not_connected", False, "NO_ANSWER:sip:480")

    refused = dialled(office, "13800000003", Refused(7, "no"))
    assert outcome(refused) == ("failed", False, "NORMAL_TEMPORARY_FAILURE:sip:503")

    stopped = dialled(office, "13800000004")
    stop(office, stopped)
    tell(office, stopped, "cdr", pay_load=cdr(None, 2_000))
    assert outcome(stopped) == ("stopped", False, "ORIGINATOR_CANCEL:sip:487")

    cut_short = dialled(office, "13800000005")
    tell(office, cut_short, "firstAnswer")
    stop(office, cut_short)
    tell(office, cut_short, "cdr", pay_load=cdr(1, 2_000))
    assert outcome(cut_short) == ("stopped", True, "NORMAL_CLEARING:sip:200")

    lost = dialled(office, "13800000006", OutcomeUnknown("time-out"))
    office.advance(91)
    sweep(office.house)
    assert outcome(lost) == ("unknown", None, "LOST:sip:0")

    late = office.ticket("13800000007", expires_at=office.now)
    sweep(office.house)
    assert (office.task(late).state, office.task(late).connected, office.calls(late)) == ("expired", False, [])


def stop(office: Office, uuid: str) -> None:
    """stopTasks as the api carries it out."""
    batch_id = office.call(uuid).batch_id
    office.set_task(batch_id, stop_requested_at=office.now, state="stopping")
    stop_calls(office.house, [batch_id])


EVENTS = ("firstStart", "firstAnswer", "cdr")


@pytest.mark.parametrize("order", list(itertools.permutations(EVENTS)))
def test_events_in_any_order_and_twice_come_to_the_same(office: Office, order: tuple[str, ...]) -> None:
    uuid = dialled(office)
    ids = {}
    for name in (*order, *reversed(order)):
        payload = cdr(1_000, 9_000) if name == "cdr" else ""
        ids[name] = office.event(name, request_id=uuid, call_id=f"call-{uuid}", pay_load=payload)
        apply_events(office.house, [ids[name]])
        apply_events(office.house, [ids[name]])
    call = office.call(uuid)
    assert (call.state, call.hangup_cause, call.time_len) == ("ended", "NORMAL_CLEARING:sip:200", 8)
    task = office.task(call.batch_id)
    assert (task.state, task.connected, task.attempts) == ("completed", True, 1)


def test_an_event_is_marked_with_its_call_in_the_same_transaction(office: Office) -> None:
    uuid = dialled(office)
    event_id = tell(office, uuid, "firstAnswer")
    event = office.stored_event(event_id)
    assert (event.call_uuid, event.applied_at) == (uuid, office.now)


def test_an_event_without_a_request_id_is_matched_by_the_call_id(office: Office) -> None:
    uuid = dialled(office)
    apply_events(office.house, [office.event("firstAnswer", call_id=f"call-{uuid}")])
    assert office.call(uuid).state == "answered"


def test_a_call_whose_outcome_was_unknown_is_found_by_its_request_id(office: Office) -> None:
    uuid = dialled(office, answer=OutcomeUnknown("time-out"))
    apply_events(office.house, [office.event("firstStart", request_id=uuid, call_id="found")])
    call = office.call(uuid)
    assert (call.state, call.call_id) == ("ringing", "found")
    assert office.house.redis.exists(bus.briefing_key("found"))


def test_an_event_that_matches_nothing_stays_and_is_put_aside_after_its_grace(office: Office) -> None:
    event_id = office.event("firstStart", request_id="not-ours", call_id="stranger")
    apply_events(office.house, [event_id])
    assert office.stored_event(event_id).applied_at is None
    office.advance(30)
    sweep(office.house)
    assert office.stored_event(event_id).applied_at is None
    office.advance(31)
    sweep(office.house)
    event = office.stored_event(event_id)
    assert (event.applied_at, event.call_uuid) == (office.now, None)


def test_an_event_of_a_customer_who_was_erased_brings_nothing_back(office: Office) -> None:
    uuid = dialled(office)
    office.advance(60)
    sweep(office.house)
    office.advance(16)
    sweep(office.house)
    assert office.call(uuid).state == "lost"
    with writing(office.house.engine) as connection:
        where = office.settings.recordings_dir, office.settings.timezone, office.now
        erase(connection, "13800138000", *where, reason="asked", actor="test")
    late = office.event("cdr", request_id=uuid, call_id="id", pay_load=cdr(None, 6_000, record_file="13800138000.wav"))
    apply_events(office.house, [late])
    assert (office.call(uuid).record_file, office.call(uuid).call_id) == ("", "")
    with reading(office.house.engine) as connection:
        assert connection.execute(select(phone_events.c.id)).all() == []


def test_an_event_of_a_kind_that_the_document_does_not_know_is_kept_with_its_call(office: Office) -> None:
    uuid = dialled(office)
    before = office.call(uuid)
    event = office.stored_event(tell(office, uuid, "somethingNew"))
    assert event.call_uuid == uuid
    assert office.call(uuid) == before


@pytest.mark.parametrize("payload", ["", None, [], {}, "not json", [{"answer_time": "x"}], [{"end_time": 0}], 7])
def test_a_cdr_that_says_nothing_readable_still_ends_the_call(office: Office, payload: Any) -> None:
    uuid = dialled(office)
    tell(office, uuid, "cdr", pay_load=payload)
    call = office.call(uuid)
    assert (call.state, call.hangup_cause, call.time_len) == ("ended", "NO_ANSWER:sip:480", 0)


def test_absurd_times_and_names_do_no_harm(office: Office) -> None:
    uuid = dialled(office)
    tell(office, uuid, "cdr", pay_load=cdr(1, 1 << 52, record_file="x" * 999))
    call = office.call(uuid)
    assert (call.state, call.hangup_cause, len(call.record_file)) == ("ended", "NORMAL_CLEARING:sip:200", 300)
    assert call.time_len < 86_400
    other = dialled(office, "13900000000", OutcomeUnknown("?"))
    apply_events(office.house, [office.event("firstAnswer", request_id=other, call_id="y" * 101)])
    assert (office.call(other).state, office.call(other).call_id) == ("answered", "")


def test_an_event_that_fails_does_not_hold_up_the_others(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = dialled(office, "13800000001"), dialled(office, "13800000002")
    ids = [office.event("firstAnswer", request_id=uuid) for uuid in (first, second)]
    fact_of = events.fact_of
    seen: list[int] = []

    def failing_once(event: Any, received_at: int) -> Any:
        seen.append(1)
        if len(seen) == 1:
            raise ValueError("a bug")
        return fact_of(event, received_at)

    monkeypatch.setattr(events, "fact_of", failing_once)
    apply_events(office.house, ids)
    assert [office.call(uuid).state for uuid in (first, second)] == ["ringing", "answered"]
    assert office.stored_event(ids[0]).applied_at is None
    assert "an event could not be applied; the sweep tries again" in caplog.messages
    apply_events(office.house, ids)
    assert office.call(first).state == "answered"


def test_what_is_no_event_is_put_aside_and_the_others_are_applied(office: Office) -> None:
    uuid = dialled(office)
    broken, good = office.event(""), office.event("firstAnswer", request_id=uuid)
    apply_events(office.house, [broken, 999_999, good])
    assert office.stored_event(broken).applied_at == office.now
    assert office.call(uuid).state == "answered"


def test_an_id_that_another_call_has_is_not_taken_over(office: Office) -> None:
    first, second = dialled(office, "13800000001"), dialled(office, "13800000002", OutcomeUnknown("?"))
    apply_events(office.house, [office.event("firstAnswer", request_id=second, call_id=f"call-{first}")])
    assert (office.call(second).state, office.call(second).call_id) == ("answered", "")
    assert office.call(first).call_id == f"call-{first}"


def test_two_workers_apply_one_event_once(open_office: Callable[..., Office]) -> None:
    offices = [open_office(), open_office()]
    offices[0].media()
    uuid = dialled(offices[0])
    tell(offices[0], uuid, "firstAnswer")
    event_id = offices[0].event("cdr", request_id=uuid, pay_load=cdr(1, 3_000))
    start = threading.Barrier(2)

    def run(office: Office) -> None:
        start.wait(10)
        apply_events(office.house, [event_id])

    threads = [threading.Thread(target=run, args=(office,)) for office in offices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(len(office.bell.take(FINISH_CALL)) for office in offices) == 1
    assert offices[0].task(offices[0].call(uuid).batch_id).attempts == 1


def test_audio_proves_the_answer_by_either_id(office: Office) -> None:
    for number, identity in (("13800000001", "{uuid}"), ("13800000002", "call-{uuid}")):
        uuid = dialled(office, number)
        audio_started(office.house, identity.format(uuid=uuid))
        assert office.call(uuid).state == "answered"
    audio_started(office.house, "unknown")


def test_media_gets_its_briefing_back_after_redis_was_wiped(office: Office) -> None:
    uuid = dialled(office)
    office.house.redis.flushall()
    listener = listening(office, bus.call_channel(uuid), bus.call_channel(f"call-{uuid}"))
    brief(office.house, f"call-{uuid}")
    assert office.house.redis.exists(bus.briefing_key(uuid), bus.briefing_key(f"call-{uuid}")) == 2
    heard = {message["channel"].decode() for _ in range(2) if (message := wait_for(listener.get_message))}
    assert heard == {bus.call_channel(uuid), bus.call_channel(f"call-{uuid}")}
    listener.close()


def test_of_unknown_and_ended_calls_nothing_is_told(office: Office) -> None:
    brief(office.house, "unknown")
    brief(office.house, "")
    uuid = dialled(office, answer=Refused(1, "no"))
    brief(office.house, uuid)
    assert office.house.redis.keys("waihu:briefing:*") == []


def test_a_stop_hangs_up_tells_media_and_is_safe_to_repeat(office: Office) -> None:
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    listener = listening(office, bus.call_channel(uuid))
    for _ in range(2):
        stop(office, uuid)
    assert office.phone.hung_up == [f"call-{uuid}"]
    raw = office.house.redis.get(bus.briefing_key(uuid))
    assert msgspec.json.decode(raw or b"", type=bus.Briefing).stop_asked
    message = wait_for(listener.get_message)
    assert msgspec.json.decode(message["data"], type=bus.Hint) == bus.Hint(type="stopped")
    assert office.task(office.call(uuid).batch_id).state == "stopping"
    listener.close()


def test_calls_whose_task_nobody_stopped_are_left_alone(office: Office) -> None:
    uuid = dialled(office)
    stop_calls(office.house, [office.call(uuid).batch_id])
    assert office.phone.hung_up == []
    assert office.call(uuid).stop_asked is False


def test_a_hangup_that_fails_is_repeated_by_the_deadline_and_the_call_ends(office: Office) -> None:
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    office.phone.hangup_errors = [OutcomeUnknown("time-out")]
    stop(office, uuid)
    assert office.call(uuid).state == "answered"
    office.advance(15)
    sweep(office.house)
    assert office.phone.hung_up == [f"call-{uuid}"] * 2
    task = office.task(office.call(uuid).batch_id)
    assert (task.state, task.connected) == ("stopped", True)


def test_who_watches_hears_of_every_change_and_of_no_number(office: Office) -> None:
    listener = listening(office, bus.LIVE_CHANNEL)
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    tell(office, uuid, "cdr", pay_load=cdr(1, 2_000))
    events = [wait_for(listener.get_message)["data"] for _ in range(3)]
    listener.close()
    told = [msgspec.json.decode(raw, type=bus.LiveEvent) for raw in events]
    assert [event.data["state"] for event in told] == ["ringing", "answered", "ended"]
    assert {event.uuid for event in told} == {uuid}
    assert b"13800138000" not in b"".join(events)
