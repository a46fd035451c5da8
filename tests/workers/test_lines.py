"""A number with and without its country code is one customer: for live calls, the do-not-call list, the frequency cap and the last look."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import insert

from shared.database import writing
from shared.schema import do_not_call
from tests.workers.test_dial import queued
from tests.workers.twins import Office, cdr
from workers.dial import dial
from workers.dispatch import dispatch
from workers.events import apply_events

NUMBER = "13800138000"


def test_calls_to_every_spelling_of_a_number_count_towards_its_cap(open_office: Callable[..., Office]) -> None:
    office = open_office(frequency_cap="1/1d")
    office.media()
    first = queued(office, "+8613800138000")
    dial(office.house, first)
    batch_id = office.ticket("13800138000")
    dispatch(office.house)
    assert (office.task(batch_id).state, office.task(batch_id).held_by) == ("pending", None)  # its line is busy
    apply_events(office.house, [office.event("cdr", request_id=first, pay_load=cdr(None, 2_000))])
    dispatch(office.house)
    assert office.task(batch_id).held_by == "frequency"


def test_of_several_spellings_one_is_claimed_and_the_others_wait_for_its_end(office: Office) -> None:
    waiting = {office.ticket(spelling) for spelling in (NUMBER, f"86{NUMBER}", f"+86{NUMBER}")}
    for ended in range(3):
        dispatch(office.house)
        dispatch(office.house)
        [call] = [call for call in office.calls() if call.state == "queued"]
        assert len(office.calls()) == ended + 1
        assert (call.number, call.line) == (office.task(call.batch_id).number, f"+86{NUMBER}")
        waiting.remove(call.batch_id)
        dial(office.house, call.uuid)
        apply_events(office.house, [office.event("cdr", request_id=call.uuid, pay_load=cdr(None, 2_000))])
    assert waiting == set()


@pytest.mark.parametrize("spelling", ["+8613800138000", "8613800138000", "008613800138000"])
def test_whoever_is_on_the_list_under_another_spelling_is_not_called(office: Office, spelling: str) -> None:
    late = queued(office, NUMBER)
    with writing(office.house.engine) as connection:
        row = {"number": spelling, "line": f"+86{NUMBER}", "source": "person", "created_at": office.now}
        connection.execute(insert(do_not_call).values(row))
    dial(office.house, late)
    assert office.task(office.call(late).batch_id).state == "stopped"


def test_the_country_of_numbers_without_a_code_is_the_house_s(open_office: Callable[..., Office]) -> None:
    office = open_office(country_code="1")
    office.media()
    with writing(office.house.engine) as connection:
        row = {"number": "+14155550100", "line": "+14155550100", "source": "person", "created_at": office.now}
        connection.execute(insert(do_not_call).values(row))
    listed, other = office.ticket("4155550100"), office.ticket("13800138000")
    late = queued(office, "4155550199")
    with writing(office.house.engine) as connection:
        row = {"number": "+14155550199", "line": "+14155550199", "source": "person", "created_at": office.now}
        connection.execute(insert(do_not_call).values(row))
    dial(office.house, late)
    assert office.task(listed).state == "stopped"
    assert office.task(office.call(late).batch_id).state == "stopped"
    assert office.task(other).state == "queued"
