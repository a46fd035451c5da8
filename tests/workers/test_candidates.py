"""What the gates are told at dispatch, and again at the last moment before startcall."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Table, delete, insert

from shared import recordings
from shared.database import writing
from shared.errors import Refused, Unplaced
from shared.schema import caller_rests, do_not_call, pauses
from tests.workers.test_dial import queued
from tests.workers.twins import CALLER, START_MS, Office, cdr
from workers.candidates import UNHEARD_MS
from workers.dial import dial
from workers.dispatch import dispatch
from workers.events import apply_events
from workers.record import finish_call
from workers.room import LEASES_KEY, Turn
from workers.sweep import sweep

NUMBER = "13800138000"
HOUR_MS = 3_600_000


def put(office: Office, table: Table, **values: Any) -> None:
    with writing(office.house.engine) as connection:
        connection.execute(insert(table).values(**values | {"created_at": office.now}))


LISTED = (do_not_call, {"number": NUMBER, "line": f"+86{NUMBER}", "source": "person"})
PAUSED = (pauses, {"ticket_type": "回访"})
ALL_PAUSED = (pauses, {"ticket_type": ""})
RESTING = (caller_rests, {"caller": CALLER, "until": START_MS + HOUR_MS, "reason": "fell"})


@pytest.mark.parametrize(
    ("obstacle", "state"),
    [(LISTED, "stopped"), (PAUSED, "pending"), (ALL_PAUSED, "pending"), (RESTING, "pending")],
    ids=["do-not-call", "paused", "all paused", "caller rests"],
)
def test_what_stands_in_the_way_is_seen_at_dispatch(
    office: Office, obstacle: tuple[Table, dict[str, Any]], state: str
) -> None:
    batch_id = office.ticket(NUMBER)
    put(office, obstacle[0], **obstacle[1])
    dispatch(office.house)
    assert office.calls() == []
    assert office.dials() == []
    task = office.task(batch_id)
    assert (task.state, task.connected) == (state, False if state == "stopped" else None)
    assert office.house.redis.zcard(LEASES_KEY) == 0


@pytest.mark.parametrize(
    ("obstacle", "state"),
    [(LISTED, "stopped"), (PAUSED, "pending"), (ALL_PAUSED, "pending"), (RESTING, "pending")],
    ids=["do-not-call", "paused", "all paused", "caller rests"],
)
@pytest.mark.parametrize("moment", ["before", "while it waits for its turn"])
def test_what_comes_in_the_way_between_dispatch_and_startcall_is_seen_too(
    office: Office, obstacle: tuple[Table, dict[str, Any]], state: str, moment: str
) -> None:
    uuid = queued(office, NUMBER)
    batch_id = office.call(uuid).batch_id
    take_turn = office.house.room.pace

    def meanwhile(uuid: str, caller: str) -> Turn:
        put(office, obstacle[0], **obstacle[1])
        return take_turn(uuid, caller)

    if moment == "before":
        put(office, obstacle[0], **obstacle[1])
    else:
        office.house.room.pace = meanwhile  # type: ignore[method-assign]
    dial(office.house, uuid)
    assert office.phone.requests == []
    assert office.call(uuid).state == "unplaced"
    task = office.task(batch_id)
    assert (task.state, task.attempts) == (state, 0)
    assert task.connected is (False if state == "stopped" else None)
    assert (task.final_at is None) == (state == "pending")
    assert office.house.redis.zcard(LEASES_KEY) == 0


def test_a_pause_that_ends_lets_its_tasks_go_on_at_once(office: Office) -> None:
    put(office, pauses, ticket_type="回访")
    paused, other = office.ticket("13800000001"), office.ticket("13800000002", ticket_type="催收")
    dispatch(office.house)
    assert [call.batch_id for call in office.calls()] == [other]
    with writing(office.house.engine) as connection:
        connection.execute(delete(pauses))
    dispatch(office.house)
    assert {call.batch_id for call in office.calls()} == {other, paused}


def test_a_window_that_closed_while_the_call_waited_holds_its_task_until_it_opens(
    open_office: Callable[..., Office],
) -> None:
    office = open_office(call_window="12:00-12:04")  # it is 12:03:58
    office.media()
    uuid = queued(office, NUMBER)
    take_turn = office.house.room.pace

    def slow(uuid: str, caller: str) -> Turn:
        office.advance(3)
        return take_turn(uuid, caller)

    office.house.room.pace = slow  # type: ignore[method-assign]
    dial(office.house, uuid)
    assert office.phone.requests == []
    task = office.task(office.call(uuid).batch_id)
    assert (task.state, task.held_by) == ("pending", "window")
    assert task.due_at == START_MS - 238_953 + 24 * HOUR_MS  # tomorrow at 12:00


def test_a_broken_setting_dials_nothing_and_spends_nothing(open_office: Callable[..., Office]) -> None:
    office = open_office()
    office.media()
    uuid = queued(office, NUMBER)
    broken = open_office(frequency_cap="often", placer=office.phone)
    dial(broken.house, uuid)
    assert office.phone.requests == []
    assert (office.task(office.call(uuid).batch_id).state, office.call(uuid).state) == ("pending", "unplaced")


def call_once(office: Office, number: str = NUMBER, **task: Any) -> int:
    """One call that rings and is not answered; its task's id."""
    batch_id = office.ticket(number, **task)
    dispatch(office.house)
    [call] = office.calls(batch_id)
    dial(office.house, call.uuid)
    apply_events(office.house, [office.event("cdr", request_id=call.uuid, pay_load=cdr(None, 2_000))])
    return batch_id


def test_a_number_that_was_called_often_enough_waits_until_the_oldest_call_is_long_enough_ago(
    open_office: Callable[..., Office],
) -> None:
    office = open_office(frequency_cap="2/1d,5/7d")
    office.media()
    call_once(office)
    office.advance(60)
    office.media()
    sweep(office.house)
    call_once(office)
    capped, free = office.ticket(NUMBER), office.ticket("13900000001")
    dispatch(office.house)
    task = office.task(capped)
    assert (task.state, task.due_at, task.held_by) == ("pending", START_MS + 24 * HOUR_MS, "frequency")
    assert [call.batch_id for call in office.calls() if call.state == "queued"] == [free]
    office.advance(24 * 3600 - 60)
    office.media()
    sweep(office.house)
    dispatch(office.house)
    assert office.task(capped).state == "queued"


def test_the_cap_is_asked_again_at_the_last_moment_and_does_not_count_the_call_itself(
    open_office: Callable[..., Office],
) -> None:
    office = open_office()
    office.media()
    call_once(office)
    uuid = queued(office, NUMBER)
    strict = open_office(frequency_cap="1/1d", placer=office.phone)
    dial(strict.house, uuid)
    assert len(office.phone.rings) == 1
    task = office.task(office.call(uuid).batch_id)
    assert (task.state, task.due_at, task.held_by) == ("pending", START_MS + 24 * HOUR_MS, "frequency")
    other = queued(office, "13900000001")
    dial(strict.house, other)
    assert office.phone.rings[other] == 1


@pytest.mark.parametrize("error", [Refused(1, "no"), Unplaced("away")])
def test_calls_that_cannot_have_rung_do_not_count(open_office: Callable[..., Office], error: Exception) -> None:
    office = open_office(frequency_cap="1/1d")
    office.media()
    office.phone.answers = [error]
    dial(office.house, queued(office, NUMBER))
    office.advance(5)
    office.media()
    office.ticket(NUMBER)
    dispatch(office.house)
    [again] = [call.uuid for call in office.calls() if call.state == "queued"]
    dial(office.house, again)
    assert office.call(again).state == "ringing"


def test_a_customer_whose_last_talk_is_not_written_down_yet_is_not_called_again(office: Office) -> None:
    first = queued(office, NUMBER)
    dial(office.house, first)
    for name, payload in (("firstAnswer", ""), ("cdr", cdr(1_000, 2_000))):
        apply_events(office.house, [office.event(name, request_id=first, pay_load=payload)])
    second = queued(office, NUMBER)
    dial(office.house, second)
    assert office.phone.rings == {first: 1}
    assert office.task(office.call(second).batch_id).state == "pending"
    path = recordings.part(
        office.settings.recordings_dir,
        recordings.stem(first, office.call(first).created_at, office.settings.timezone),
        1,
        "jsonl",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    lines: list[recordings.Line] = [recordings.Begin(at=office.now, call_id=f"call-{first}", part=1)]
    lines.append(recordings.End(at=office.now, reason="hangup", initiator="callee"))
    path.write_bytes(b"".join(map(recordings.encode_line, lines)))
    finish_call(office.house, first)
    office.advance(5)
    dispatch(office.house)
    third = office.calls(office.call(second).batch_id)[-1].uuid
    dial(office.house, third)
    assert office.phone.rings == {first: 1, third: 1}


def test_a_record_that_is_never_written_holds_nobody_up_for_long(office: Office) -> None:
    first = queued(office, NUMBER)
    dial(office.house, first)
    for name, payload in (("firstAnswer", ""), ("cdr", cdr(1_000, 2_000))):
        apply_events(office.house, [office.event(name, request_id=first, pay_load=payload)])
    office.advance(UNHEARD_MS / 1000)
    office.media()
    sweep(office.house)
    second = queued(office, NUMBER)
    dial(office.house, second)
    assert office.phone.rings == {first: 1, second: 1}
