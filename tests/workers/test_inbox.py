"""Events whose message was lost: rung for again whatever else came in, and put aside when nothing can come of them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, select

from shared.database import reading, writing
from shared.doorbell import APPLY_EVENTS
from shared.schema import phone_events
from tests.workers.test_events import dialled
from tests.workers.twins import Office, cdr
from workers import events
from workers.events import apply_events
from workers.inbox import GRACE_MS, MOST, PATIENCE_MS, QUIET_MS, lost_events


def strangers(office: Office, count: int) -> None:
    """Events of calls that are not ours."""
    row = {"received_at": office.now, "event_name": "firstStart", "request_id": "x", "body": {}}
    with writing(office.house.engine) as connection:
        connection.execute(insert(phone_events), [row | {"call_id": f"other-{index}"} for index in range(count)])


def waiting(office: Office) -> int:
    with reading(office.house.engine) as connection:
        ids = connection.execute(select(phone_events.c.id).where(phone_events.c.applied_at.is_(None)))
        return len(ids.scalars().all())


def pass_ms(office: Office, milliseconds: int) -> None:
    office.advance(milliseconds / 1000)


def fail(_event: Any, _received_at: int) -> Any:
    raise ValueError("a bug")


def test_an_event_of_ours_is_rung_for_behind_any_number_of_strangers(office: Office) -> None:
    uuid = dialled(office)
    strangers(office, MOST + 1)
    by_uuid = office.event("firstAnswer", request_id=uuid)
    by_call_id = office.event("firstAnswer", call_id=f"call-{uuid}")
    lost_events(office.house)
    assert office.bell.take(APPLY_EVENTS) == [], "its own message is on its way"
    pass_ms(office, QUIET_MS)
    lost_events(office.house)
    assert office.bell.take(APPLY_EVENTS) == [[by_uuid, by_call_id]]


def test_strangers_are_put_aside_after_their_grace_as_fast_as_they_come(office: Office) -> None:
    strangers(office, MOST + 1)
    pass_ms(office, GRACE_MS - 1)
    lost_events(office.house)
    assert waiting(office) == MOST + 1
    pass_ms(office, 1)
    lost_events(office.house)
    assert waiting(office) == 1
    lost_events(office.house)
    assert waiting(office) == 0


def test_an_event_that_nobody_tried_for_hours_is_applied(office: Office) -> None:
    uuid = dialled(office)
    answered = office.event("firstAnswer", request_id=uuid)
    ended = office.event("cdr", request_id=uuid, pay_load=cdr(5_000, 30_000))
    pass_ms(office, 3 * PATIENCE_MS)
    lost_events(office.house)
    assert [office.stored_event(one).call_uuid for one in (answered, ended)] == [uuid, uuid]
    assert office.task(office.call(uuid).batch_id).state == "completed"


def test_an_event_that_fails_each_time_is_put_aside_after_a_last_try(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    uuid = dialled(office)
    bad = office.event("firstAnswer", request_id=uuid)
    monkeypatch.setattr(events, "fact_of", fail)
    pass_ms(office, PATIENCE_MS - 1)
    lost_events(office.house)
    assert office.bell.take(APPLY_EVENTS) == [[bad]]
    apply_events(office.house, [bad])
    assert office.stored_event(bad).applied_at is None
    pass_ms(office, 1)
    lost_events(office.house)
    assert (office.stored_event(bad).applied_at, office.stored_event(bad).call_uuid) == (office.now, None)
    assert caplog.messages[-1] == "events were put aside unapplied"
    assert vars(caplog.records[-1])["event_ids"] == [bad]
