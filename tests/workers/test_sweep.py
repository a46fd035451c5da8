"""Sweep: whatever was lost, something happens."""

from __future__ import annotations

import threading
import wave
from collections.abc import Callable
from typing import TypeVar

import pytest
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import DBAPIError

from shared import bus, recordings
from shared.database import reading, writing
from shared.doorbell import APPLY_EVENTS, DISPATCH, FINISH_CALL
from shared.errors import OutcomeUnknown
from shared.schema import calls, idempotency_keys
from tests.workers.test_events import dialled, tell
from tests.workers.twins import Office, cdr
from workers.dial import dial
from workers.dispatch import dispatch
from workers.house import House
from workers.record import finish_call
from workers.room import LEASES_KEY, RoomShut
from workers.sweep import KEY_AGE_MS, lost_records, sweep, unstopped_tasks

T = TypeVar("T")


def rest(office: Office, seconds: float, step: float = 5.0) -> None:
    """Time passes, with a sweep every five seconds, as beat rings them."""
    passed = 0.0
    while passed < seconds:
        office.advance(min(step, seconds - passed))
        passed += step
        sweep(office.house)


def test_a_queued_call_whose_message_was_lost_is_rung_for_again_and_goes_back_in_the_end(office: Office) -> None:
    batch_id = office.ticket()
    dispatch(office.house)
    uuid = office.calls(batch_id)[0].uuid
    assert office.dials() == [uuid]
    sweep(office.house)
    assert office.dials() == []
    rest(office, 5)
    assert office.dials() == [uuid]
    rest(office, 55)
    assert office.call(uuid).state == "unplaced"
    assert (office.task(batch_id).state, office.task(batch_id).attempts) == ("pending", 0)


def test_a_call_left_dialing_by_a_killed_worker_becomes_unknown_then_lost(office: Office) -> None:
    batch_id = office.ticket()
    dispatch(office.house)
    uuid = office.calls(batch_id)[0].uuid
    office.phone.answers = [_killed]
    with pytest.raises(SystemExit):
        dial(office.house, uuid)
    assert office.call(uuid).state == "dialing"
    rest(office, 25)
    assert office.call(uuid).state == "unknown"
    rest(office, 90)
    assert (office.call(uuid).state, office.task(batch_id).state) == ("lost", "unknown")
    assert office.phone.rings == {uuid: 1}
    assert office.house.redis.zcard(LEASES_KEY) == 0


def _killed(_request_id: str) -> str:
    raise SystemExit


def test_an_unanswered_call_is_hung_up_at_its_deadline_and_ended_when_nothing_comes_of_it(office: Office) -> None:
    uuid = dialled(office)
    tell(office, uuid, "firstStart")
    rest(office, 60)
    assert office.phone.hung_up == [f"call-{uuid}"]
    assert office.call(uuid).state == "ringing"
    rest(office, 15)
    assert office.call(uuid).state == "ended"
    assert office.task(office.call(uuid).batch_id).state == "not_connected"


def test_a_call_of_which_nothing_is_ever_told_is_hung_up_and_not_dialled_again(office: Office) -> None:
    uuid = dialled(office)
    rest(office, 60)
    assert office.phone.hung_up == [f"call-{uuid}"]
    rest(office, 15)
    batch_id = office.call(uuid).batch_id
    assert (office.call(uuid).state, office.task(batch_id).state) == ("lost", "unknown")
    office.advance(86_400)
    rest(office, 15)
    assert office.phone.rings == {uuid: 1}


def test_the_owner_in_redis_proves_that_audio_flows(office: Office) -> None:
    uuid = dialled(office)
    office.advance(60)
    office.house.redis.set(bus.owner_key(uuid), b"{}")
    sweep(office.house)
    assert office.call(uuid).state == "answered"


def test_the_longest_conversation_is_hung_up(office: Office) -> None:
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    office.house.redis.set(bus.owner_key(uuid), b"{}")
    rest(office, 630)
    assert office.phone.hung_up == [f"call-{uuid}"]
    rest(office, 15)
    assert office.call(uuid).state == "ended"
    assert office.task(office.call(uuid).batch_id).state == "completed"


def test_a_record_closes_without_its_second_end_signal(office: Office) -> None:
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    tell(office, uuid, "cdr", pay_load=cdr(1, 2_000))
    office.bell.take(FINISH_CALL)
    rest(office, 30)
    call = office.call(uuid)
    assert (call.closed_at, call.deadline_at) == (office.now, None)
    assert office.bell.take(FINISH_CALL)[0] == uuid


def test_an_answered_call_that_no_media_session_holds_is_hung_up(office: Office) -> None:
    uuid = dialled(office)
    sweep(office.house)
    rest(office, 20)
    tell(office, uuid, "firstAnswer")
    rest(office, 15)
    assert office.phone.hung_up == []
    rest(office, 5)
    assert office.phone.hung_up == [f"call-{uuid}"]


def test_a_session_that_came_back_in_time_saves_its_call(office: Office) -> None:
    uuid = dialled(office)
    rest(office, 20)
    tell(office, uuid, "firstAnswer")
    rest(office, 10)
    office.house.redis.set(bus.owner_key(uuid), b"{}")
    rest(office, 10)
    office.house.redis.delete(bus.owner_key(uuid))
    rest(office, 10)
    assert office.phone.hung_up == []


def test_a_redis_that_was_just_wiped_is_not_believed(office: Office) -> None:
    uuid = dialled(office)
    rest(office, 20)
    tell(office, uuid, "firstAnswer")
    rest(office, 10)
    office.house.redis.flushall()
    rest(office, 15)
    assert office.phone.hung_up == []
    office.house.redis.set(bus.owner_key(uuid), b"{}")
    rest(office, 40)
    assert office.phone.hung_up == []


def test_stored_events_that_nobody_applied_are_rung_for(office: Office) -> None:
    uuid = dialled(office)
    event_id = office.event("firstAnswer", request_id=uuid)
    sweep(office.house)
    assert office.bell.take(APPLY_EVENTS) == []
    rest(office, 5)
    assert office.bell.take(APPLY_EVENTS) == [[event_id]]


def test_a_stop_whose_message_was_lost_is_carried_out(office: Office) -> None:
    uuid = dialled(office)
    batch_id = office.call(uuid).batch_id
    office.set_task(batch_id, stop_requested_at=office.now, state="stopping")
    sweep(office.house)
    assert office.phone.hung_up == [f"call-{uuid}"]
    tell(office, uuid, "cdr", pay_load=cdr(None, 1))
    assert office.task(batch_id).state == "stopped"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"state": "ended", "answered_at": 5}, ("completed", True)),
        ({"state": "ended"}, ("not_connected", False)),
        ({"state": "refused"}, ("failed", False)),
        ({"state": "lost"}, ("unknown", None)),
        ({"state": "unplaced"}, ("pending", None)),
    ],
)
@pytest.mark.parametrize("state", ["queued", "dialing", "in_call", "stopping"])
def test_a_task_that_lost_its_call_is_settled_by_what_the_call_came_to(
    office: Office, state: str, call: dict[str, object], expected: tuple[str, bool | None]
) -> None:
    uuid = dialled(office)
    batch_id = office.call(uuid).batch_id
    office.set_call(uuid, closed_at=1, ended_at=1, deadline_at=None, **call)
    office.set_task(batch_id, state=state)
    sweep(office.house)
    assert office.task(batch_id).state == state  # it may be in somebody's hands at this moment
    rest(office, 5)
    task = office.task(batch_id)
    assert (task.state, task.connected) == expected


def test_a_task_without_any_call_is_due_again(office: Office) -> None:
    batch_id = office.ticket(state="queued", due_at=None)
    rest(office, 5)
    assert (office.task(batch_id).state, office.task(batch_id).due_at) == ("pending", office.now + 5_000)


def test_a_record_that_nobody_finished_is_rung_for_but_not_all_the_time(office: Office) -> None:
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    tell(office, uuid, "cdr", pay_load=cdr(1, 2_000))
    rest(office, 30)
    office.bell.take(FINISH_CALL)
    rest(office, 30)
    assert office.bell.take(FINISH_CALL) == []
    office.house.redis.delete(f"waihu:rung:finish:{uuid}")
    rest(office, 5)
    assert office.bell.take(FINISH_CALL) == [uuid]


def test_a_record_without_a_recording_is_looked_at_once_more(office: Office) -> None:
    """The end of a short call was read before its sound was written, and media's last word was lost."""
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    lines: list[recordings.Line] = [recordings.Begin(at=office.now, call_id=f"call-{uuid}", part=1)]
    lines.append(recordings.End(at=office.now, reason="hangup", initiator="callee"))
    root = office.settings.recordings_dir
    stem = recordings.stem(uuid, office.call(uuid).created_at, office.settings.timezone)
    path = recordings.part(root, stem, 1, "jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(map(recordings.encode_line, lines)))
    finish_call(office.house, uuid)
    tell(office, uuid, "cdr", pay_load=cdr(1, 2_000))
    assert (office.call(uuid).wav_file, office.call(uuid).closed_at) == ("", office.now)
    with wave.open(str(recordings.part(root, stem, 1, "wav")), "wb") as sound:
        sound.setparams((2, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(4 * 800))
    office.bell.take(FINISH_CALL)
    rest(office, 30)
    assert office.bell.take(FINISH_CALL) == [uuid]
    finish_call(office.house, uuid)
    assert office.call(uuid).wav_file == f"{stem}.wav"
    rest(office, 120)
    assert office.bell.take(FINISH_CALL) == []


def test_waiting_tasks_expire_and_stop_whether_or_not_there_is_room(open_office: Callable[..., Office]) -> None:
    office = open_office()
    late = office.ticket("1380013801", expires_at=office.now, due_at=office.now + 60_000, state="retry_wait")
    unwanted = office.ticket("1380013802", stop_requested_at=1)
    later = office.ticket("1380013803", expires_at=office.now + 60_000)
    sweep(office.house)
    assert [office.task(batch_id).state for batch_id in (late, unwanted, later)] == ["expired", "stopped", "pending"]


def test_a_task_that_cannot_be_stopped_lets_others_expire(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("workers.sweep.stop_tasks", failing)
    office.ticket("1380013801", stop_requested_at=1)
    late = office.ticket("1380013802", expires_at=office.now)
    with pytest.raises(ValueError, match="a bug"):
        sweep(office.house)
    assert office.task(late).state == "expired"


def test_a_task_that_is_wanted_again_is_not_stopped(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the lock a person may dial it again."""
    batch_id = office.ticket(stop_requested_at=1)
    commit = office.house.commit

    def overtaken(work: Callable[[Connection], T]) -> T:
        office.set_task(batch_id, stop_requested_at=None)
        return commit(work)

    monkeypatch.setattr(office.house, "commit", overtaken)
    unstopped_tasks(office.house)
    assert office.task(batch_id).state == "pending"


def test_leases_live_as_long_as_their_calls_and_no_longer(office: Office) -> None:
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    office.house.redis.set(bus.owner_key(uuid), b"{}")
    rest(office, 120)
    assert office.house.room.occupancy().uuids == {uuid}
    office.set_call(uuid, state="ended", closed_at=office.now, deadline_at=None)
    rest(office, 5)
    assert office.house.room.occupancy().uuids == set()


def test_leases_that_nobody_renewed_shut_the_room(office: Office) -> None:
    uuid = dialled(office)
    office.advance(31)
    with pytest.raises(RoomShut):
        office.house.room.occupancy()
    sweep(office.house)
    assert office.house.room.occupancy().uuids == {uuid}


def test_after_a_wipe_live_calls_still_count(open_office: Callable[..., Office]) -> None:
    office = open_office(max_calls="2")
    office.media()
    uuids = {dialled(office, "13800000001"), dialled(office, "13800000002")}
    office.ticket("13800000003")
    office.house.redis.flushall()
    office.media()
    dispatch(office.house)
    assert {call.uuid for call in office.calls()} == uuids
    assert office.house.room.occupancy().uuids == uuids


def test_old_idempotency_keys_go(office: Office) -> None:
    rows = [
        {"key": key, "digest": b"", "response": b"", "created_at": at}
        for key, at in (("old", office.now - KEY_AGE_MS - 1), ("young", office.now - KEY_AGE_MS))
    ]
    with writing(office.house.engine) as connection:
        connection.execute(insert(idempotency_keys), rows)
    sweep(office.house)
    with reading(office.house.engine) as connection:
        assert list(connection.execute(select(idempotency_keys.c.key)).scalars()) == ["young"]


def test_work_that_is_due_is_rung_for(office: Office) -> None:
    sweep(office.house)
    assert office.bell.take(DISPATCH) == []
    office.ticket()
    sweep(office.house)
    assert office.bell.take(DISPATCH) == [None]


def test_without_redis_the_deadlines_still_hold(open_office: Callable[..., Office]) -> None:
    office = open_office()
    office.media()
    uuid = dialled(office, answer=OutcomeUnknown("?"))
    deaf = open_office(placer=office.phone, clock=office.clock, redis_url="unix:///nonexistent/redis.sock")
    office.advance(90)
    sweep(deaf.house)
    assert office.call(uuid).state == "lost"
    assert deaf.bell.take(DISPATCH) == [None]


def test_two_sweeps_at_once_do_everything_once(open_office: Callable[..., Office]) -> None:
    offices = [open_office()]
    offices.append(open_office(placer=offices[0].phone, clock=offices[0].clock))
    offices[0].media()
    uuids = [dialled(offices[0], f"1380000000{index}") for index in range(5)]
    offices[0].advance(60)
    start = threading.Barrier(2)

    def run(office: Office) -> None:
        start.wait(10)
        sweep(office.house)

    threads = [threading.Thread(target=run, args=(office,)) for office in offices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(offices[0].phone.hung_up) == sorted(f"call-{uuid}" for uuid in uuids)


def test_without_tables_a_sweep_tries_no_further(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def lacking(house: House) -> None:
        with house.read() as connection:
            connection.exec_driver_sql("SELECT 1 FROM tables_of_tomorrow")

    def unreached(_house: House) -> None:
        raise AssertionError("the other steps would fare no better")

    monkeypatch.setattr("workers.sweep.renew_room", lacking)
    monkeypatch.setattr("workers.sweep.lost_events", unreached)
    with pytest.raises(DBAPIError, match="tables_of_tomorrow"):
        sweep(office.house)
    assert not caplog.records


def test_a_stop_that_fails_for_one_call_reaches_the_others(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    sick, well = dialled(office, "13800000001"), dialled(office, "13800000002")
    for uuid in (sick, well):
        office.set_task(office.call(uuid).batch_id, stop_requested_at=office.now, state="stopping")
    ask = office.house.hangups.ask

    def failing(call_id: str) -> None:
        if call_id == f"call-{sick}":
            raise ValueError("a bug")
        ask(call_id)

    monkeypatch.setattr(office.house.hangups, "ask", failing)
    with pytest.raises(ValueError, match="a bug"):
        sweep(office.house)
    assert office.phone.hung_up == [f"call-{well}"]


@pytest.mark.parametrize("place", [0, 4])
def test_records_whose_media_died_do_not_hide_one_that_nobody_has_written(
    office: Office, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """They match for ten minutes whatever is done about them."""
    monkeypatch.setattr("workers.sweep.MOST", 2)
    uuids = []
    for number in range(5):
        uuids.append(uuid := dialled(office, f"1380013800{number}"))
        tell(office, uuid, "firstAnswer")
        tell(office, uuid, "cdr", pay_load=cdr(1, 2_000))
    lost = uuids.pop(place)
    with writing(office.house.engine) as connection:
        connection.execute(update(calls).where(calls.c.uuid.in_(uuids)).values(dialogue=[]))
    office.bell.take(FINISH_CALL)
    office.advance(30)
    lost_records(office.house)
    rung = office.bell.take(FINISH_CALL)
    assert len(rung) == 2
    assert lost in rung
