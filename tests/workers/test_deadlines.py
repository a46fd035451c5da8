"""Deadlines: what was told and written down is heard before it is believed that there was nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared import bus, recordings
from shared.errors import OutcomeUnknown
from shared.lifecycle import Call
from tests.workers.test_events import dialled, tell
from tests.workers.test_record import stem, talk, write_lines
from tests.workers.test_sweep import rest
from tests.workers.twins import Office, cdr
from workers import deadlines as under_test
from workers import events, hearing
from workers.deadlines import deadlines
from workers.dispatch import dispatch
from workers.hearing import held_by_media
from workers.record import finish_call
from workers.sweep import sweep

UNREADABLE = Path("/proc/self/mem")
"""Linux opens it, and answers the first read with EIO."""


def told_of_a_talk(office: Office, uuid: str) -> list[int]:
    """The events of an answered call, in the inbox; nobody was rung for them."""
    call_id = f"call-{uuid}"
    return [
        office.event("firstStart", request_id=uuid, call_id=call_id, at=office.now + 1_000),
        office.event("firstAnswer", request_id=uuid, call_id=call_id, at=office.now + 5_000),
        office.event("cdr", request_id=uuid, call_id=call_id, at=office.now + 30_000, pay_load=cdr(5_000, 30_000)),
    ]


@pytest.mark.parametrize("unknown", [False, True])
def test_what_waits_in_the_inbox_is_heard_before_the_deadline(
    open_office: Callable[..., Office], unknown: bool
) -> None:
    office = open_office(retry_no_answer="30m", redial_unknown="1")
    office.media()
    uuid = dialled(office, answer=OutcomeUnknown("broken") if unknown else None)
    ids = told_of_a_talk(office, uuid)
    answered_at = office.now + 5_000
    office.advance(120)  # no worker lived, or no bell rang
    deadlines(office.house)
    call = office.call(uuid)
    assert (call.state, call.answered_at, call.time_len) == ("ended", answered_at, 25)
    assert (call.hangup_cause, office.phone.hung_up) == ("NORMAL_CLEARING:sip:200", [])
    assert office.task(call.batch_id).state == "completed"
    assert {office.stored_event(one).call_uuid for one in ids} == {uuid}


def test_more_calls_than_one_round_takes_on_hear_their_events_all_the_same(open_office: Callable[..., Office]) -> None:
    office = open_office(max_calls="300", callers="057128167421:concurrency=300,cps=9000", retry_no_answer="30m")
    office.media(300)
    uuids = [dialled(office, f"138{index:08d}") for index in range(under_test.MOST + 20)]
    for uuid in uuids:
        told_of_a_talk(office, uuid)
    office.advance(90)
    for _ in range(2):
        deadlines(office.house)
    assert {office.task(office.call(uuid).batch_id).state for uuid in uuids} == {"completed"}


def test_an_event_that_cannot_be_applied_does_not_hold_the_deadline_up(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = dialled(office)
    bad, good = office.event("firstAnswer", request_id=uuid), office.event("firstStart", request_id=uuid)
    fact_of = events.fact_of

    def failing(event: Any, received_at: int) -> Any:
        if event.event_name == "firstAnswer":
            raise ValueError("a bug")
        return fact_of(event, received_at)

    monkeypatch.setattr(events, "fact_of", failing)
    office.advance(60)
    deadlines(office.house)
    assert office.phone.hung_up == [f"call-{uuid}"]
    assert (office.stored_event(bad).applied_at, office.stored_event(good).call_uuid) == (None, uuid)


def test_an_event_in_other_hands_is_waited_for(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    uuid = dialled(office)
    told_of_a_talk(office, uuid)
    monkeypatch.setattr(under_test, "try_event", lambda house, event_id: True)  # as of a row that another worker locked
    office.advance(90)
    deadlines(office.house)
    assert (office.call(uuid).state, office.phone.hung_up) == ("ringing", [])
    monkeypatch.undo()
    deadlines(office.house)
    assert office.call(uuid).answered_at is not None


def test_a_talk_that_media_wrote_down_to_its_end_is_the_calls_record(open_office: Callable[..., Office]) -> None:
    """All that was told of it is lost, by the phone system, and by media as Redis was wiped."""
    office = open_office(retry_no_answer="30m")
    office.media()
    uuid = dialled(office)
    began = office.now + 5_000
    write_lines(office, uuid, talk(began))
    rest(office, 60)
    call = office.call(uuid)
    assert (call.state, call.answered_at, call.ended_at) == ("ended", began, began + 2_600)
    assert (len(call.dialogue), call.tags[0]["name"]) == (3, "do_not_call")
    assert office.task(call.batch_id).state == "completed"
    assert office.phone.hung_up == []
    office.advance(3_600)
    dispatch(office.house)
    assert len(office.calls(call.batch_id)) == 1, "nobody is called who was talked with"


def test_a_talk_whose_writer_died_was_answered_when_it_began_and_is_hung_up(office: Office) -> None:
    uuid = dialled(office)
    began = office.now + 5_000
    path = write_lines(office, uuid, talk(began)[:1])
    os.utime(path, (began / 1000, began / 1000))
    rest(office, 60)
    call = office.call(uuid)
    assert (call.state, call.answered_at) == ("answered", began)
    rest(office, 40)
    assert office.phone.hung_up == [f"call-{uuid}"] * 2
    assert (office.call(uuid).state, office.task(call.batch_id).state) == ("ended", "completed")


def test_a_call_that_is_talked_on_began_with_its_first_sound(office: Office) -> None:
    uuid = dialled(office)
    began = office.now + 5_000
    write_lines(office, uuid, talk(began)[:1])
    office.advance(60)
    office.house.redis.set(bus.owner_key(uuid), b"{}")
    sweep(office.house)
    assert (office.call(uuid).state, office.call(uuid).answered_at) == ("answered", began)
    assert office.phone.hung_up == []


def test_media_whose_clock_is_behind_answers_no_call_before_it_was_made(office: Office) -> None:
    uuid = dialled(office)
    write_lines(office, uuid, talk(office.now - 3_600_000)[:1])
    office.advance(60)
    deadlines(office.house)
    assert office.call(uuid).answered_at == office.call(uuid).created_at


@pytest.mark.skipif(not UNREADABLE.exists(), reason="needs Linux")
def test_a_recording_that_cannot_be_read_holds_up_no_call(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    sick, well = dialled(office, "13800000001"), dialled(office, "13800000002")
    transcript = recordings.part(office.settings.recordings_dir, stem(office, sick), 1, "jsonl")
    transcript.parent.mkdir(parents=True)
    transcript.symlink_to(UNREADABLE)
    rest(office, 60)
    assert sorted(office.phone.hung_up) == sorted([f"call-{sick}", f"call-{well}"])
    rest(office, 15)
    assert {office.task(office.call(uuid).batch_id).state for uuid in (sick, well)} == {"unknown"}
    assert "what media wrote cannot be read" in caplog.messages


@pytest.mark.skipif(not UNREADABLE.exists(), reason="needs Linux")
def test_a_session_that_says_that_it_lives_is_believed_whatever_the_disk_says(office: Office) -> None:
    uuid = dialled(office)
    transcript = recordings.part(office.settings.recordings_dir, stem(office, uuid), 1, "jsonl")
    transcript.parent.mkdir(parents=True)
    transcript.symlink_to(UNREADABLE)
    office.house.redis.set(bus.owner_key(uuid), b"{}")
    office.advance(60)
    deadlines(office.house)
    assert office.call(uuid).state == "answered"


def test_a_bug_that_strikes_one_call_is_loud_and_stops_no_other(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sick, well = dialled(office, "13800000001"), dialled(office, "13800000002")

    def failing(house: Any, call: Call) -> bool:
        if call.uuid == sick:
            raise ValueError("a bug")
        return held_by_media(house, call)

    monkeypatch.setattr(hearing, "held_by_media", failing)
    office.advance(60)
    with pytest.raises(ValueError, match="a bug"):
        sweep(office.house)
    assert office.phone.hung_up == [f"call-{well}"]
    failed = next(record for record in caplog.records if record.message.startswith("this one is left"))
    assert vars(failed)["uuid"] == sick


def test_a_record_that_waits_for_its_second_end_takes_it_from_the_inbox(office: Office) -> None:
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    write_lines(office, uuid, talk(office.now))
    finish_call(office.house, uuid)
    assert office.call(uuid).closed_at is None
    told_at = office.now + 3_000
    office.event("cdr", request_id=uuid, pay_load=cdr(1_000, 4_000, record_file="theirs.wav"), at=told_at)
    office.advance(30)
    deadlines(office.house)
    call = office.call(uuid)
    assert (call.closed_at, call.record_file, call.time_len) == (told_at, "theirs.wav", 3)
