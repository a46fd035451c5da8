"""A country code that changed between two runs: lines follow, and nobody is called before all of them have."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared import lines
from shared.schema import do_not_call
from tests.shared.old_numbers import require_lines
from tests.workers.test_candidates import put
from tests.workers.test_dial import queued
from tests.workers.twins import Office
from workers import relining
from workers.dial import dial
from workers.dispatch import dispatch
from workers.relining import compute_lines
from workers.sweep import sweep

NATIONAL = "4155550100"


def test_a_worker_with_another_country_computes_all_lines_anew(open_office: Callable[..., Office]) -> None:
    open_office().ticket(NATIONAL)
    office = open_office(country_code="1")
    sweep(office.house)
    with office.house.read() as connection:
        assert lines.country(connection) == "1"
        require_lines(connection, "1")
    sweep(open_office().house)  # whoever was started last is right
    with office.house.read() as connection:
        require_lines(connection, "86")
    sweep(office.house)  # and whoever runs already does not ask again
    with office.house.read() as connection:
        require_lines(connection, "86")


def test_no_call_is_placed_until_the_last_line_is_right(
    open_office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    office = open_office()
    office.media()
    late = queued(office, "4155550199")
    waiting = office.ticket(NATIONAL)
    monkeypatch.setattr(relining, "PIECES", 1)
    american = open_office(country_code="1", placer=office.phone)
    for _ in range(3):  # the list, tasks, calls
        compute_lines(american.house)
        with office.house.read() as connection:
            if not lines.moving(connection):
                break
        dispatch(office.house)
        assert len(office.calls()) == 1
        dial(office.house, late)
        assert office.phone.requests == []
    assert office.call(late).state == "unplaced"
    with office.house.read() as connection:
        require_lines(connection, "1")
    office.advance(60)
    office.media()
    dispatch(office.house)
    assert {call.line for call in office.calls()} == {"+14155550199", "+14155550100"}
    assert office.task(waiting).state == "queued"


def test_the_list_holds_for_tasks_of_before_under_the_new_country(open_office: Callable[..., Office]) -> None:
    office = open_office()
    office.media()
    batch_id = office.ticket(NATIONAL)
    put(office, do_not_call, number="+14155550100", line="+14155550100", source="person")
    sweep(open_office(country_code="1").house)
    dispatch(office.house)
    assert office.task(batch_id).state == "stopped"


def test_a_talk_that_goes_on_is_let_be_and_its_line_stays_busy(open_office: Callable[..., Office]) -> None:
    office = open_office()
    office.media()
    uuid = queued(office, NATIONAL)
    dial(office.house, uuid)
    sweep(open_office(country_code="1").house)
    call = office.call(uuid)
    assert (call.state, call.line, call.beside) == ("ringing", "+14155550100", uuid)
    other = office.ticket("+14155550100", line="+14155550100")
    dispatch(office.house)
    assert office.task(other).state == "pending"
