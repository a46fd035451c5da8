"""Tasks that a gate puts off: many in one statement, and looked at again when the settings change."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, delete, func, insert, select

from shared.database import reading, writing
from shared.numbers import CHINA, line
from shared.schema import do_not_call, pauses, tasks
from shared.window import parse_hours
from tests.workers.twins import START_MS, Office
from workers import holds
from workers.dispatch import dispatch
from workers.gates import Window
from workers.holds import AT_ONCE, PAUSE_MS, PIECES, ROLLOUT_MS, SETTINGS_KEY, hold_zone, release_resumed
from workers.room import LEASES_KEY
from workers.sweep import sweep

_ticket_numbers = itertools.count()
SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")  # it is 12:03:58 and 05:03:58


def at(text: str, zone: ZoneInfo = SHANGHAI) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def tickets(office: Office, count: int, **values: object) -> None:
    """Many due tasks at once."""
    row = {"username": "张三", "ticket_type": "回访", "ticket_content": "", "digest": b"0" * 16, "state": "pending"}
    times = {"state_at": office.now, "created_at": office.now, "due_at": office.now}
    first = next(_ticket_numbers) * 1_000_000
    rows = [
        row | times | {"ticket_no": f"M{first + index}", "phone": it, "number": it, "line": line(it, CHINA)} | values
        for index, it in ((index, f"{index:011}") for index in range(count))
    ]
    with writing(office.house.engine) as connection:
        connection.execute(insert(tasks), rows)


def due(office: Office) -> dict[tuple[int | None, str | None], int]:
    """How many tasks are due when, and held by which gate."""
    query = select(tasks.c.due_at, tasks.c.held_by, func.count()).group_by(tasks.c.due_at, tasks.c.held_by)
    with reading(office.house.engine) as connection:
        return {(row[0], row[1]): row[2] for row in connection.execute(query)}


def test_outside_the_window_all_that_is_due_waits_for_the_opening_and_is_written_once(
    open_office: Callable[..., Office],
) -> None:
    office = open_office(call_window="Mon-Fri 14:00-20:00; Sat 10:00-16:00")
    office.media()
    tickets(office, AT_ONCE + 500)
    dispatch(office.house)
    assert due(office) == {(at("2025-12-31T14:00"), "window"): AT_ONCE + 500}
    assert office.calls() == []
    assert office.house.redis.exists(LEASES_KEY) == 0
    office.advance(3600)
    office.media()
    dispatch(office.house)
    assert len(due(office)) == 1
    office.advance((at("2025-12-31T14:00") - office.now) / 1000)
    office.media()
    sweep(office.house)
    dispatch(office.house)
    assert len(office.calls()) == 30
    assert office.task(office.calls()[0].batch_id).held_by is None


def test_each_ticket_waits_for_its_own_zone(open_office: Callable[..., Office]) -> None:
    office = open_office(call_window="09:00-18:00", holidays="2026-01-01")
    office.media()
    here = office.ticket("13800000001")
    there = [office.ticket(f"1380000001{index}", zone="Europe/Berlin") for index in range(3)]
    nowhere = office.ticket("13800000003", zone="Mars/Olympus")
    dispatch(office.house)
    assert [call.batch_id for call in office.calls()] == [here]
    assert {office.task(batch_id).due_at for batch_id in there} == {at("2025-12-31T09:00", BERLIN)}
    assert office.task(nowhere).due_at == START_MS + 86_400_000
    office.advance(4 * 3600)
    office.media()
    sweep(office.house)
    late = office.ticket("13800000004", due_at=at("2025-12-31T19:00"))
    office.advance(3 * 3600)
    office.media()
    sweep(office.house)
    dispatch(office.house)
    assert {call.batch_id for call in office.calls()} == {here, *there}
    assert office.task(late).due_at == at("2026-01-02T09:00")


def test_other_tasks_are_found_behind_those_that_must_wait(open_office: Callable[..., Office]) -> None:
    office = open_office(call_window="09:00-18:00")
    office.media()
    tickets(office, 300, zone="Europe/Berlin", priority=5)
    here = office.ticket("13800000001")
    dispatch(office.house)
    assert [call.batch_id for call in office.calls()] == [here]


def test_a_task_that_is_not_due_keeps_its_time(open_office: Callable[..., Office]) -> None:
    office = open_office(call_window="14:00-20:00")
    office.media()
    later = office.ticket("13800000001", due_at=START_MS + 5)
    office.ticket("13800000002")
    dispatch(office.house)
    assert (office.task(later).due_at, office.task(later).held_by) == (START_MS + 5, None)


def test_what_other_settings_put_off_is_looked_at_again(open_office: Callable[..., Office]) -> None:
    night = open_office(call_window="20:00-21:00")
    night.media()
    sweep(night.house)
    held, own = night.ticket("13800000001"), night.ticket("13800000002", due_at=at("2025-12-31T20:00"))
    dispatch(night.house)
    assert night.task(held).due_at == at("2025-12-31T20:00")
    same = open_office(call_window="20:00-21:00")
    sweep(same.house)
    assert same.task(held).held_by == "window"
    day = open_office(call_window="09:00-21:00")
    sweep(day.house)
    assert (day.task(held).due_at, day.task(held).held_by) == (START_MS, None)
    assert day.task(own).due_at == at("2025-12-31T20:00")
    dispatch(day.house)
    assert [call.batch_id for call in day.calls()] == [held]


def test_what_a_process_with_the_old_settings_puts_off_meanwhile_is_looked_at_again_too(
    open_office: Callable[..., Office],
) -> None:
    night, day = open_office(call_window="20:00-21:00"), open_office(call_window="09:00-21:00")
    night.media()
    sweep(day.house)
    held = night.ticket()
    dispatch(night.house)
    sweep(day.house)
    assert day.task(held).held_by == "window"
    day.advance(ROLLOUT_MS / 1000)
    day.media()
    sweep(day.house)
    dispatch(day.house)
    assert [call.batch_id for call in day.calls()] == [held]
    assert day.house.holds_check_at is None


def test_a_wiped_redis_costs_one_more_look_in_a_process_that_begins(open_office: Callable[..., Office]) -> None:
    office = open_office(call_window="20:00-21:00")
    office.media()
    sweep(office.house)
    held = office.ticket()
    dispatch(office.house)
    office.house.redis.flushall()
    sweep(office.house)
    assert office.task(held).held_by == "window"
    again = open_office(call_window="20:00-21:00")
    sweep(again.house)
    dispatch(again.house)
    assert (again.task(held).held_by, again.task(held).due_at) == ("window", at("2025-12-31T20:00"))
    assert again.calls() == []


def beside(office: Office, monkeypatch: pytest.MonkeyPatch, work: Callable[[], object], *, most: int) -> None:
    """Has ``work`` done by others after each transaction of ``office``, which may have no more than ``most`` of them."""
    commit, left = office.house.commit, [most]

    def then_others(own: Callable[[Connection], object]) -> object:
        left[0] -= 1
        assert left[0] >= 0, "it goes on and on"
        done = commit(own)
        work()
        return done

    monkeypatch.setattr(office.house, "commit", then_others)


@pytest.mark.parametrize("known", [b"the settings before", None])
def test_tasks_whose_window_is_still_shut_are_not_made_due_and_put_off_in_turn(
    open_office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch, known: bytes | None
) -> None:
    monkeypatch.setattr(holds, "AT_ONCE", 10)
    office, other = open_office(call_window="20:00-21:00"), open_office(call_window="20:00-21:00")
    office.media()
    tickets(office, 100, due_at=at("2025-12-31T22:00"), held_by="window")
    if known:
        office.house.redis.set(SETTINGS_KEY, known)
    seen: list[dict[tuple[int | None, str | None], int]] = []

    def dispatch_beside() -> None:
        seen.append(due(office))
        dispatch(other.house)

    beside(office, monkeypatch, dispatch_beside, most=100)
    sweep(office.house)
    assert due(office) == {(at("2025-12-31T20:00"), "window"): 100}
    assert all(held_by == "window" for tasks_due in seen for _, held_by in tasks_due)
    written = len(seen)
    office.house.holds_check_at = 0
    office.house.redis.delete(SETTINGS_KEY)
    sweep(office.house)
    assert due(office) == {(at("2025-12-31T20:00"), "window"): 100}
    assert len(seen) - written < 10, "times that are right are not written again"


def test_each_task_that_was_put_off_is_looked_at_once_by_as_many_sweeps_as_it_takes(
    open_office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holds, "LOOKED_AT", 4)
    office = open_office(call_window="09:00-21:00")
    office.house.redis.set(SETTINGS_KEY, b"the settings before")
    tickets(office, 10, due_at=at("2026-01-01T09:00"), held_by="window")
    put_off_again = {}
    for released in (4, 8, 10):
        sweep(office.house)
        assert due(office).get((START_MS, None), 0) == released - len(put_off_again)
        first = min(call for call in range(1, 11) if call not in put_off_again)
        office.set_task(first, due_at=at("2026-01-01T09:00"), held_by="window")  # by a process with other settings
        put_off_again[first] = True
    assert office.house.redis.get(SETTINGS_KEY) == holds.fingerprint(office.settings)
    assert due(office)[at("2026-01-01T09:00"), "window"] == 3
    office.advance(ROLLOUT_MS / 1000)
    office.media()
    sweep(office.house)
    assert (at("2026-01-01T09:00"), "window") not in due(office)


def test_a_number_that_was_called_often_enough_is_asked_of_the_cap_of_now(open_office: Callable[..., Office]) -> None:
    office = open_office(frequency_cap="1/1d")
    office.media()
    sweep(office.house)
    first = office.ticket("13800000001")
    dispatch(office.house)
    again = office.ticket("13800000001")
    call = office.calls(first)[0]
    office.set_call(call.uuid, state="ended", dialing_at=START_MS, ended_at=START_MS, deadline_at=None, closed_at=1)
    office.set_task(first, state="not_connected", due_at=None)
    dispatch(office.house)
    assert (office.task(again).held_by, office.task(again).due_at) == ("frequency", START_MS + 86_400_000)
    shorter = open_office(frequency_cap="1/2h")
    sweep(shorter.house)
    assert (office.task(again).held_by, office.task(again).due_at) == ("frequency", START_MS + 7_200_000)
    without = open_office()
    sweep(without.house)
    assert (office.task(again).held_by, office.task(again).due_at) == (None, START_MS)


def test_one_claim_puts_off_so_many_tasks_and_no_more(
    open_office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holds, "AT_ONCE", 10)
    office = open_office(call_window="20:00-21:00")
    tickets(office, 10 * PIECES + 1)
    assert hold_zone(office.house, None, START_MS + 9, START_MS) == 10 * PIECES
    assert hold_zone(office.house, None, START_MS + 9, START_MS) == 1


def test_a_pause_that_begins_again_is_not_worked_against(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holds, "AT_ONCE", 10)
    tickets(office, 100, due_at=START_MS + PAUSE_MS, held_by="paused")
    beside(office, monkeypatch, lambda: pause(office, "回访"), most=PIECES)
    release_resumed(office.house)
    assert due(office) == {(START_MS, None): 10, (START_MS + PAUSE_MS, "paused"): 90}


def pause(office: Office, *ticket_types: str) -> None:
    with writing(office.house.engine) as connection:
        connection.execute(delete(pauses))
        if ticket_types:
            connection.execute(insert(pauses), [{"ticket_type": name, "created_at": 0} for name in ticket_types])


def test_paused_tasks_are_put_off_all_at_once_and_due_as_soon_as_their_own_pause_ends(office: Office) -> None:
    tickets(office, 250)
    tickets(office, 250, ticket_type="催收", state="retry_wait", zone="UTC")
    other = office.ticket("13900000000", ticket_type="通知")
    pause(office, "回访", "催收", "没有")
    dispatch(office.house)
    assert [call.batch_id for call in office.calls()] == [other]
    assert due(office) == {(START_MS + PAUSE_MS, "paused"): 500, (None, None): 1}
    pause(office, "回访")
    office.house.gates.window = Window(parse_hours("20:00-21:00"), SHANGHAI)  # so that what is due is not dialled
    dispatch(office.house)
    assert due(office)[START_MS + PAUSE_MS, "paused"] == 250
    assert due(office)[at("2025-12-31T20:00", ZoneInfo("UTC")), "window"] == 250


def test_while_all_are_paused_nothing_is_written(office: Office) -> None:
    tickets(office, 10)
    pause(office, "", "回访")
    dispatch(office.house)
    assert due(office) == {(START_MS, None): 10}
    pause(office)
    dispatch(office.house)
    assert len(office.calls()) == 10


def test_a_pause_that_nobody_ends_holds_its_tasks_for_ever(office: Office) -> None:
    tickets(office, 10)
    pause(office, "回访")
    dispatch(office.house)
    office.advance(PAUSE_MS / 1000)
    office.media()
    sweep(office.house)
    dispatch(office.house)
    assert due(office) == {(START_MS + 2 * PAUSE_MS, "paused"): 10}


def test_tasks_in_other_states_are_left_alone(office: Office) -> None:
    states = ("queued", "dialing", "in_call", "completed", "stopped")
    batch_ids = [office.ticket(f"1380000000{index}", state=state) for index, state in enumerate(states)]
    assert hold_zone(office.house, None, START_MS + 1_000, START_MS) == 0
    assert {office.task(batch_id).due_at for batch_id in batch_ids} == {START_MS}


@pytest.mark.parametrize("room", [1, 30])
def test_tasks_for_numbers_on_the_list_end_all_at_once(open_office: Callable[..., Office], room: int) -> None:
    office = open_office(max_calls=str(room))
    office.media()
    tickets(office, 400)
    wanted = office.ticket("13900000000")
    with writing(office.house.engine) as connection:
        numbers = [f"{index:011}" for index in range(400)]
        listed = [{"number": it, "line": line(it, CHINA), "source": "import", "created_at": 0} for it in numbers]
        connection.execute(insert(do_not_call), listed)
    dispatch(office.house)
    what = tasks.c.connected, tasks.c.held_by
    query = select(*what, func.count()).where(tasks.c.state == "stopped").group_by(*what)
    with reading(office.house.engine) as connection:
        assert connection.execute(query).all() == [(False, "do_not_call", 400)]
    dispatch(office.house)
    assert [call.batch_id for call in office.calls()] == [wanted]
