"""The inbox beside deadlines on a real PostgreSQL, where two workers hold rows at once."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import insert, select, text

from shared.database import reading, writing
from shared.doorbell import APPLY_EVENTS
from shared.schema import phone_events
from tests.integration.test_workers_postgresql import open_office, redis_server
from tests.workers.test_events import dialled
from tests.workers.twins import Office, cdr
from workers.deadlines import deadlines
from workers.events import apply_events
from workers.hearing import _OF_CALL
from workers.inbox import MOST, lost_events

__all__ = ["open_office", "redis_server"]


def test_a_deadline_waits_for_an_event_that_another_worker_has_in_hand(open_office: Callable[..., Office]) -> None:
    """It has locked the event's row and not yet the call's: told now, the deadline would make the answer too late."""
    office = open_office(retry_no_answer="30m")
    uuid = dialled(office)
    answered = office.event("firstAnswer", request_id=uuid)
    ended = office.event("cdr", request_id=uuid, pay_load=cdr(1_000, 9_000))
    office.advance(120)
    with writing(office.house.engine) as elsewhere:
        in_hand = select(phone_events).where(phone_events.c.id.in_([answered, ended]))
        elsewhere.execute(in_hand.with_for_update()).all()
        deadlines(office.house)
        assert (office.call(uuid).state, office.phone.hung_up) == ("ringing", [])
    deadlines(office.house)
    assert (office.call(uuid).state, office.task(office.call(uuid).batch_id).state) == ("ended", "completed")


def test_a_cdr_that_names_no_answer_waits_for_an_event_that_another_worker_has_in_hand(
    open_office: Callable[..., Office],
) -> None:
    office = open_office(retry_no_answer="30m")
    uuid = dialled(office)
    answered = office.event("firstAnswer", request_id=uuid)
    ended = office.event("cdr", request_id=uuid, pay_load=cdr(None, 9_000))
    with writing(office.house.engine) as elsewhere:
        elsewhere.execute(select(phone_events).where(phone_events.c.id == answered).with_for_update()).all()
        apply_events(office.house, [ended])
        assert (office.call(uuid).state, office.stored_event(ended).applied_at) == ("ringing", None)
    apply_events(office.house, [ended])
    assert (office.call(uuid).state, office.task(office.call(uuid).batch_id).state) == ("ended", "completed")


def test_strangers_hold_up_neither_a_lost_event_nor_the_look_for_a_calls_own(
    open_office: Callable[..., Office],
) -> None:
    office = open_office()
    uuid = dialled(office)
    row = {"received_at": office.now, "event_name": "firstStart", "request_id": "x", "body": {}}
    with writing(office.house.engine) as connection:
        strangers = [row | {"call_id": f"other-{index}"} for index in range(2 * MOST)]
        connection.execute(insert(phone_events), strangers)
    event_id = office.event("firstAnswer", call_id=f"call-{uuid}")
    office.advance(5)
    lost_events(office.house)
    assert office.bell.take(APPLY_EVENTS) == [[event_id]]
    with reading(office.house.engine) as connection:
        connection.execute(text("ANALYZE phone_events"))
        compiled = _OF_CALL.compile(dialect=connection.dialect)
        names = compiled.construct_params({"uuid": uuid, "call_id": f"call-{uuid}", "most": 1})
        plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {compiled}", names).scalars())
    assert "ix_phone_events_waiting_request" in plan
    assert "ix_phone_events_call_id" in plan
