"""Dial: at most one startcall a call row, whatever happens around it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec
import pytest
from sqlalchemy import insert, update

from shared import bus
from shared.database import writing
from shared.doorbell import DISPATCH
from shared.errors import OutcomeUnknown, Refused, Unplaced
from shared.schema import calls, do_not_call
from tests.workers.twins import CALLER, START_MS, Office, PhoneTwin, cdr
from workers.dial import call_off, dial, dial_waiting
from workers.dispatch import dispatch
from workers.events import apply_events, stop_calls
from workers.gates import Closed
from workers.leases import renew_room
from workers.room import LEASES_KEY, Lease, NoTurn, Turn
from workers.sweep import sweep


def queued(office: Office, number: str = "13800138000", **task: object) -> str:
    """A call that waits to be dialled."""
    batch_id = office.ticket(number, **task)
    dispatch(office.house)
    return str(office.calls(batch_id)[-1].uuid)


def test_a_call_is_dialled_once_and_rings(office: Office) -> None:
    uuid = queued(office, exten="8001")
    dial(office.house, uuid)
    assert office.phone.requests == [(CALLER, "13800138000", "8001", uuid)]
    call = office.call(uuid)
    assert (call.state, call.call_id, call.dialing_at) == ("ringing", f"call-{uuid}", office.now)
    assert call.deadline_at == office.now + 60_000
    assert office.task(call.batch_id).state == "dialing"


def test_media_finds_the_briefing_under_both_ids(office: Office) -> None:
    uuid = queued(office)
    dial(office.house, uuid)
    for identity in (uuid, f"call-{uuid}"):
        raw = office.house.redis.get(bus.briefing_key(identity))
        assert raw is not None
        briefing = msgspec.json.decode(raw, type=bus.Briefing)
        assert (briefing.uuid, briefing.call_id, briefing.number) == (uuid, f"call-{uuid}", "13800138000")
        assert (briefing.username, briefing.ticket_type, briefing.stop_asked) == ("张三", "回访", False)
        assert 0 < office.house.redis.ttl(bus.briefing_key(identity)) <= bus.BRIEFING_TTL_SECONDS


def test_the_row_is_committed_as_dialing_before_startcall_leaves(office: Office) -> None:
    uuid = queued(office)
    seen: list[tuple[str, str]] = []

    def answer(request_id: str) -> str:
        call = office.call(request_id)
        seen.append((call.state, office.task(call.batch_id).state))
        return "id"

    office.phone.answers = [answer]
    dial(office.house, uuid)
    assert seen == [("dialing", "dialing")]


@pytest.mark.parametrize("again", [1, 3])
def test_a_message_that_comes_again_rings_nobody(office: Office, again: int) -> None:
    uuid = queued(office)
    for _ in range(1 + again):
        dial(office.house, uuid)
    assert office.phone.rings == {uuid: 1}


def test_dialled_by_many_threads_at_once_it_rings_once(open_office: Callable[..., Office]) -> None:
    phone = PhoneTwin()
    offices = [open_office(placer=phone) for _ in range(3)]
    offices[0].media()
    uuid = queued(offices[0])
    start = threading.Barrier(6)

    def run(office: Office) -> None:
        start.wait(10)
        dial(office.house, uuid)

    threads = [threading.Thread(target=run, args=(office,)) for office in offices * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert phone.rings == {uuid: 1}


def test_refused_frees_the_room_and_fails_the_task(office: Office) -> None:
    uuid = queued(office)
    office.phone.answers = [Refused(503, "no line")]
    dial(office.house, uuid)
    call = office.call(uuid)
    assert (call.state, call.hangup_cause, call.time_len) == ("refused", "NORMAL_TEMPORARY_FAILURE:sip:503", 0)
    task = office.task(call.batch_id)
    assert (task.state, task.connected, task.attempts) == ("failed", False, 1)
    assert office.house.redis.zcard(LEASES_KEY) == 0
    assert office.bell.take(DISPATCH) == [None]


def test_refused_waits_for_its_retries_first(open_office: Callable[..., Office]) -> None:
    office = open_office(retry_refused="1m,5m")
    office.media()
    uuid = queued(office)
    office.phone.answers = [Refused(1, "no"), Refused(1, "no"), Refused(1, "no")]
    batch_id = office.call(uuid).batch_id
    for delay in (60, 300):
        dial(office.house, office.calls(batch_id)[-1].uuid)
        task = office.task(batch_id)
        assert (task.state, task.due_at) == ("retry_wait", office.now + delay * 1000)
        dispatch(office.house)
        assert office.task(batch_id).state == "retry_wait"
        office.advance(delay)
        office.media()
        renew_room(office.house)
        dispatch(office.house)
    dial(office.house, office.calls(batch_id)[-1].uuid)
    assert (office.task(batch_id).state, office.task(batch_id).attempts) == ("failed", 3)


def test_what_never_left_spends_no_attempt_and_makes_no_record(office: Office) -> None:
    uuid = queued(office)
    office.phone.answers = [Unplaced("connection refused")]
    dial(office.house, uuid)
    call = office.call(uuid)
    assert call.state == "unplaced"
    task = office.task(call.batch_id)
    assert (task.state, task.attempts, task.due_at) == ("pending", 0, office.now + 5_000)
    assert office.house.redis.zcard(LEASES_KEY) == 0


def test_what_may_have_left_is_unknown_and_never_sent_again(office: Office) -> None:
    uuid = queued(office)
    office.phone.answers = [OutcomeUnknown("time-out")]
    dial(office.house, uuid)
    dial(office.house, uuid)
    call = office.call(uuid)
    assert (call.state, call.call_id) == ("unknown", "")
    assert call.deadline_at == office.now + 90_000
    assert office.house.room.occupancy().uuids == {uuid}
    assert office.phone.rings == {uuid: 1}


def test_an_error_that_nobody_expected_leaves_the_row_to_its_deadline(office: Office) -> None:
    uuid = queued(office)
    office.phone.answers = [RuntimeError("a bug")]
    with pytest.raises(RuntimeError):
        dial(office.house, uuid)
    assert office.call(uuid).state == "dialing"
    dial(office.house, uuid)
    assert office.phone.rings == {uuid: 1}


def test_an_event_that_comes_before_the_answer_is_not_undone_by_it(office: Office) -> None:
    uuid = queued(office)

    def answer(request_id: str) -> str:
        apply_events(office.house, [office.event("firstAnswer", request_id=request_id, call_id="early")])
        return "early"

    office.phone.answers = [answer]
    dial(office.house, uuid)
    call = office.call(uuid)
    assert (call.state, call.call_id) == ("answered", "early")
    assert office.task(call.batch_id).state == "in_call"


def test_a_refusal_is_not_believed_once_the_phone_rang(office: Office) -> None:
    uuid = queued(office)

    def answer(request_id: str) -> str:
        apply_events(office.house, [office.event("firstStart", request_id=request_id, call_id="rings")])
        raise Refused(9, "no")

    office.phone.answers = [answer]
    dial(office.house, uuid)
    assert office.call(uuid).state == "ringing"


def test_one_id_given_to_two_calls_names_the_first_only(office: Office) -> None:
    first, second = queued(office, "13800000001"), queued(office, "13800000002")
    office.phone.answers = ["same", "same"]
    dial(office.house, first)
    dial(office.house, second)
    assert [office.call(uuid).call_id for uuid in (first, second)] == ["same", ""]
    assert [office.call(uuid).state for uuid in (first, second)] == ["ringing", "ringing"]


def test_a_stop_before_dialling_is_obeyed(office: Office) -> None:
    uuid = queued(office)
    batch_id = office.call(uuid).batch_id
    office.set_task(batch_id, stop_requested_at=office.now, state="stopping")
    dial(office.house, uuid)
    assert office.phone.rings == {}
    assert office.call(uuid).state == "unplaced"
    task = office.task(batch_id)
    assert (task.state, task.connected, task.attempts) == ("stopped", False, 0)


def test_a_stop_that_comes_while_the_call_waits_for_its_turn_is_obeyed(office: Office) -> None:
    uuid = queued(office)
    batch_id = office.call(uuid).batch_id
    take_turn = office.house.room.pace

    def stopped_meanwhile(uuid: str, caller: str) -> Turn:
        office.set_task(batch_id, stop_requested_at=office.now, state="stopping")
        return take_turn(uuid, caller)

    office.house.room.pace = stopped_meanwhile  # type: ignore[method-assign]
    dial(office.house, uuid)
    assert office.phone.rings == {}
    assert office.task(batch_id).state == "stopped"
    assert office.house.redis.zcard(LEASES_KEY) == 0


def test_a_stop_during_startcall_hangs_up_as_soon_as_the_id_is_known(office: Office) -> None:
    uuid = queued(office)
    batch_id = office.call(uuid).batch_id

    def answer(_request_id: str) -> str:
        office.set_task(batch_id, stop_requested_at=office.now)
        stop_calls(office.house, [batch_id])
        assert office.phone.hung_up == []
        return "late-id"

    office.phone.answers = [answer]
    dial(office.house, uuid)
    assert office.phone.hung_up == ["late-id"]
    assert office.task(batch_id).state == "stopping"


@pytest.mark.parametrize("unfit", ["recording", "speech"])
def test_nobody_is_called_whom_media_could_not_record_or_talk_with(office: Office, unfit: str) -> None:
    """Their disk became full, or speech fell away, after the call was made; no attempt is spent, and the task waits."""
    uuid = queued(office)
    office.media(**{unfit: False})
    dial(office.house, uuid)
    assert (office.phone.rings, office.call(uuid).state) == ({}, "unplaced")
    [task] = [office.task(call.batch_id) for call in office.calls()]
    assert (task.state, task.attempts) == ("pending", 0)
    office.advance(60)
    office.media(**{unfit: False})
    dispatch(office.house)
    assert len(office.calls()) == 1
    office.media()
    dispatch(office.house)
    assert [call.state for call in office.calls()] == ["unplaced", "queued"]


def test_a_gate_that_closed_meanwhile_sends_the_call_back(office: Office) -> None:
    uuid = queued(office, expires_at=START_MS + 10_000)
    office.advance(10)
    dial(office.house, uuid)
    assert office.phone.rings == {}
    assert office.call(uuid).state == "unplaced"
    assert office.task(office.call(uuid).batch_id).state == "expired"
    assert office.house.redis.zcard(LEASES_KEY) == 0


def test_outside_the_calling_window_a_queued_call_waits_with_its_task(open_office: Callable[..., Office]) -> None:
    office = open_office()
    office.media()
    uuid = queued(office)
    night = open_office(call_window="02:00-03:00", placer=office.phone)
    dial(night.house, uuid)
    assert office.phone.rings == {}
    assert office.task(office.call(uuid).batch_id).state == "pending"


def test_a_task_that_is_not_queued_any_more_is_not_dialled(office: Office) -> None:
    uuid = queued(office)
    office.set_task(office.call(uuid).batch_id, state="completed", due_at=None)
    dial(office.house, uuid)
    assert office.phone.rings == {}
    assert office.call(uuid).state == "unplaced"
    assert office.task(office.call(uuid).batch_id).state == "completed"


def test_unknown_uuids_are_passed_over(office: Office) -> None:
    dial(office.house, "9" * 19)
    assert office.phone.rings == {}


def test_calls_of_one_number_leave_at_its_pace(open_office: Callable[..., Office]) -> None:
    office = open_office(callers=f"{CALLER}:concurrency=30,cps=10")
    office.media()
    office.tickets(4)
    dispatch(office.house)
    for call in office.calls():
        dial(office.house, call.uuid)
    assert office.pauses == pytest.approx([0.1, 0.2, 0.3])
    assert len(office.phone.rings) == 4


def test_a_call_that_would_wait_too_long_for_its_turn_goes_back(open_office: Callable[..., Office]) -> None:
    office = open_office(callers=f"{CALLER}:concurrency=30,cps=0.1")
    office.media()
    first = queued(office, "13800000001")
    dial(office.house, first)
    slow = open_office(placer=office.phone)  # it does not know the slow pace, and grants another call at once
    slow.house.redis.delete(f"waihu:room:pace:{CALLER}")
    second = queued(slow, "13800000002")
    office.house.redis.set(f"waihu:room:pace:{CALLER}", office.now + 10_000)
    dial(office.house, second)
    assert office.phone.rings == {first: 1}
    assert (office.call(second).state, office.task(office.call(second).batch_id).state) == ("unplaced", "pending")


def test_a_lease_that_expired_is_taken_anew_if_there_is_room(office: Office) -> None:
    uuid = queued(office)
    office.house.room.release([Lease(uuid, CALLER)])
    dial(office.house, uuid)
    assert office.phone.rings == {uuid: 1}
    assert office.house.room.occupancy().uuids == {uuid}


def test_without_a_lease_and_without_room_it_goes_back(open_office: Callable[..., Office]) -> None:
    office = open_office(max_calls="1")
    office.media()
    uuid = queued(office)
    office.house.room.release([Lease(uuid, CALLER)])
    other = queued(office, "13900000000")
    dial(office.house, uuid)
    assert office.phone.rings == {}
    assert office.call(uuid).state == "unplaced"
    assert office.house.room.occupancy().uuids == {other}


def test_a_wiped_redis_keeps_the_call_queued_until_the_room_is_rebuilt(office: Office) -> None:
    uuid = queued(office)
    office.house.redis.flushall()
    dial(office.house, uuid)
    assert office.phone.rings == {}
    assert office.call(uuid).state == "queued"
    renew_room(office.house)
    office.media()
    dial(office.house, uuid)
    assert office.phone.rings == {uuid: 1}


def test_a_slow_phone_system_holds_half_of_the_threads_and_the_rest_waits_its_turn(office: Office) -> None:
    uuids = [queued(office, f"1380000{index:04d}") for index in range(12)]
    hold, inside = threading.Event(), threading.Semaphore(0)

    def slow(request_id: str) -> str:
        inside.release()
        assert hold.wait(30)
        return f"id-{request_id}"

    office.phone.answers = [slow] * 8
    free = threading.Semaphore(0)

    def run() -> None:
        dial_waiting(office.house)
        free.release()

    threads = [threading.Thread(target=run) for _ in uuids]
    for thread in threads:
        thread.start()
    for _ in range(8):
        assert inside.acquire(timeout=30)
    for _ in range(4):  # the others left their calls behind
        assert free.acquire(timeout=30)
    assert sum(office.phone.rings.values()) == 8
    hold.set()
    for thread in threads:
        thread.join(30)
    assert office.phone.rings == dict.fromkeys(uuids, 1)
    assert {call.state for call in office.calls()} == {"ringing"}


class SlowToConnect(PhoneTwin):
    """Looking its name up and connecting takes as long as ``meanwhile`` does; nothing has left by then."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    def startcall(
        self, caller: str, callee: str, exten: str, request_id: str, *, leaving: Callable[[], None] = lambda: None
    ) -> str:
        self._meanwhile()
        return super().startcall(caller, callee, exten, request_id, leaving=leaving)


def test_no_startcall_leaves_after_a_stop_that_came_while_it_connected(open_office: Callable[..., Office]) -> None:
    office = open_office(placer=SlowToConnect(lambda: stop(office)))
    office.media()
    batch_id = office.ticket()
    dispatch(office.house)

    def stop(office: Office) -> None:
        office.set_task(batch_id, stop_requested_at=office.now, state="stopping")
        stop_calls(office.house, [batch_id])

    dial(office.house, office.calls(batch_id)[-1].uuid)
    assert office.phone.requests == []
    assert office.task(batch_id).state == "stopped"


def test_a_call_that_another_dials_already_is_not_taken_back_for_want_of_room(
    open_office: Callable[..., Office],
) -> None:
    """Its second message finds it queued; then the first goes on, and startcall is under way when this finds no turn."""
    office = open_office()
    office.media()
    uuid = queued(office)
    other = open_office(placer=office.phone, clock=office.clock)

    def no_turn(uuid: str, caller: str) -> Turn:
        seen: list[str] = []

        def answer(request_id: str) -> str:
            other.house.room.pace = late  # type: ignore[method-assign]
            dial(other.house, request_id)
            seen.append(office.call(request_id).state)
            return "id"

        def late(uuid: str, caller: str) -> Turn:
            raise NoTurn("others stand before it")

        office.phone.answers = [answer]
        dial(office.house, uuid)
        assert seen == ["dialing"]
        raise NoTurn("others stand before it")

    other.house.room.pace = no_turn  # type: ignore[method-assign]
    dial(other.house, uuid)
    assert office.phone.rings == {uuid: 1}
    assert (office.call(uuid).state, office.call(uuid).call_id) == ("ringing", "id")


def test_a_task_that_the_list_stops_right_before_its_call_says_so(office: Office) -> None:
    uuid = queued(office)
    listed = {"number": "13800138000", "line": "+8613800138000", "source": "import", "created_at": 0}
    with writing(office.house.engine) as connection:
        connection.execute(insert(do_not_call), [listed])
    dial(office.house, uuid)
    task = office.task(office.call(uuid).batch_id)
    assert (task.state, task.held_by, office.phone.requests) == ("stopped", "do_not_call", [])


# --- who answers late, and who looks late --------------------------------------------------------------------------


def called_again(office: Office) -> tuple[str, str]:
    """A customer who did not answer, and the call that is to be their second; uuids of both."""
    first = queued(office)
    dial(office.house, first)
    ids = {"request_id": first, "call_id": f"call-{first}"}
    apply_events(office.house, [office.event("firstStart", **ids)])
    apply_events(office.house, [office.event("cdr", pay_load=cdr(None, 5_000), **ids)])
    for _ in range(13):
        office.advance(10)
        office.media()
        sweep(office.house)
    dispatch(office.house)
    return first, office.calls(office.call(first).batch_id)[-1].uuid


def answers_after_all(office: Office, first: str) -> None:
    apply_events(office.house, [office.event("firstAnswer", request_id=first, call_id=f"call-{first}")])


def test_who_turns_out_to_have_answered_while_the_second_call_waits_is_not_rung_again(
    open_office: Callable[..., Office],
) -> None:
    """The word that they had was delayed, and comes between dial's look and its commit."""
    office = open_office(retry_no_answer="2m")
    office.media()
    first, second = called_again(office)
    assert first != second
    take_turn = office.house.room.pace

    def answered_meanwhile(uuid: str, caller: str) -> Turn:
        answers_after_all(office, first)
        return take_turn(uuid, caller)

    office.house.room.pace = answered_meanwhile  # type: ignore[method-assign]
    dial(office.house, second)
    assert office.phone.rings == {first: 1}
    task = office.task(office.call(first).batch_id)
    assert (task.state, task.connected) == ("completed", True)


def test_a_refusal_does_not_write_over_an_answer_that_came_meanwhile(open_office: Callable[..., Office]) -> None:
    office = open_office(retry_no_answer="2m", retry_refused="")
    office.media()
    first, second = called_again(office)

    def refused(_request_id: str) -> str:
        answers_after_all(office, first)
        raise Refused(7, "no line")

    office.phone.answers = [refused]
    dial(office.house, second)
    task = office.task(office.call(first).batch_id)
    assert (task.state, task.connected) == ("completed", True)


def test_a_gate_that_is_seen_closed_late_does_not_take_back_a_call_that_is_leaving(office: Office) -> None:
    """Another worker read the row while it was queued, and means to call it off when the phone rings already."""
    uuid = queued(office)

    def meanwhile(_request_id: str) -> str:
        call_off(office.house, uuid, Closed("breaker", "the phone system is left alone for a while"))
        return "theirs"

    office.phone.answers = [meanwhile]
    dial(office.house, uuid)
    assert office.call(uuid).state == "ringing"
    office.advance(6)
    office.media()
    dispatch(office.house)
    assert office.phone.rings == {uuid: 1}
    assert len(office.calls()) == 1


def test_a_customer_whose_last_words_are_still_being_recognised_is_not_called_for_another_ticket(
    office: Office,
) -> None:
    """Who says "never again" hangs up with it: the record is written at the cdr, and media's last line comes later."""
    uuid = queued(office)
    dial(office.house, uuid)
    ids = {"request_id": uuid, "call_id": f"call-{uuid}"}
    apply_events(office.house, [office.event("firstAnswer", **ids)])
    office.advance(4)
    apply_events(office.house, [office.event("cdr", pay_load=cdr(1_000, 5_000), **ids)])
    with writing(office.house.engine) as connection:
        connection.execute(update(calls).where(calls.c.uuid == uuid).values(dialogue=[], media_ended_at=None))
    office.advance(1)
    second = queued(office)
    dial(office.house, second)
    assert (office.call(second).state, office.phone.rings) == ("unplaced", {uuid: 1})
    with writing(office.house.engine) as connection:
        connection.execute(update(calls).where(calls.c.uuid == uuid).values(media_ended_at=office.now))
    for _ in range(7):
        office.advance(10)
        office.media()
        sweep(office.house)
    dispatch(office.house)
    third = office.calls(office.call(second).batch_id)[-1].uuid
    dial(office.house, third)
    assert office.phone.rings == {uuid: 1, third: 1}
