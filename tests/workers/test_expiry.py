"""Tasks whose expiresAt has passed, a thousand at a time: what is said of one by the lifecycle is done to all of them."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select

from shared.database import reading, writing
from shared.lifecycle import FINAL_TASKS, TaskState, expired
from shared.outbox import TASK_FINISHED
from shared.schema import webhook_deliveries, webhook_endpoints
from tests.workers.twins import Office
from workers import store, sweep
from workers.expiry import expire_tasks


def expire(office: Office, most: int = 100) -> int:
    with writing(office.house.engine) as connection:
        return expire_tasks(connection, office.now, most)


def register(office: Office, receivers: int) -> None:
    rows = [
        {"url": f"https://crm{number}.example", "secret": "s" * 16, "created_at": office.now}
        for number in range(receivers)
    ]
    with writing(office.house.engine) as connection:
        connection.execute(insert(webhook_endpoints), rows)


@pytest.mark.parametrize("connected", [None, False, True])
@pytest.mark.parametrize("state", list(TaskState))
def test_a_task_of_every_state_becomes_what_the_lifecycle_says(
    office: Office, state: TaskState, connected: bool | None
) -> None:
    final_at = office.now - 5_000 if state in FINAL_TASKS else None
    before = {"state": str(state), "state_at": office.now - 5_000, "connected": connected, "final_at": final_at}
    batch_id = office.ticket(expires_at=office.now, held_by="window", **before)
    stood = office.task(batch_id)
    meant = expired(store.task_of(stood), office.now)
    expire(office)
    stands = office.task(batch_id)
    assert store.task_of(stands) == meant
    assert stands.state_at == (stood.state_at if meant.state == stood.state else office.now)
    others = set(stood._mapping) - set(vars(meant)) - {"state_at"}
    assert {name: getattr(stands, name) for name in others} == {name: getattr(stood, name) for name in others}


def test_those_that_were_over_first_come_first_and_the_others_next(office: Office) -> None:
    second, first, third = (office.ticket(f"1380013800{age}", expires_at=office.now - age) for age in (5, 9, 0))
    waits = office.ticket("13800138009", expires_at=office.now + 1)
    endless = office.ticket("13800138010")

    def states() -> list[str]:
        return [office.task(batch_id).state for batch_id in (first, second, third, waits, endless)]

    assert expire(office, 2) == 2
    assert states() == ["expired", "expired", "pending", "pending", "pending"]
    assert (expire(office, 2), expire(office, 2)) == (1, 0)
    assert states() == ["expired", "expired", "expired", "pending", "pending"]


def test_receivers_are_told_of_each_of_them_once(office: Office) -> None:
    register(office, 1)
    batch_ids = [office.ticket(f"1380013800{index}", expires_at=office.now) for index in range(3)]
    expire(office)
    expire(office)
    with reading(office.house.engine) as connection:
        told = connection.execute(select(webhook_deliveries.c.batch_id, webhook_deliveries.c.event)).all()
    assert sorted(told) == [(batch_id, TASK_FINISHED) for batch_id in batch_ids]


def test_a_sweep_ends_many_and_leaves_the_rest_to_the_next(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "EXPIRED_ROWS", 3)
    monkeypatch.setattr(sweep, "EXPIRY_ROUNDS", 2)
    batch_ids = [office.ticket(f"138001380{index:02}", expires_at=office.now) for index in range(8)]

    def expired_so_far() -> int:
        return sum(office.task(batch_id).state == "expired" for batch_id in batch_ids)

    sweep.expired_tasks(office.house)
    assert expired_so_far() == 6
    sweep.expired_tasks(office.house)
    assert expired_so_far() == 8


@pytest.mark.parametrize(("receivers", "expected"), [(1, 6), (2, 4), (5, 2)])
def test_the_more_receivers_are_told_the_fewer_end_in_one_transaction(
    office: Office, monkeypatch: pytest.MonkeyPatch, receivers: int, expected: int
) -> None:
    monkeypatch.setattr(sweep, "EXPIRED_ROWS", 6)
    monkeypatch.setattr(sweep, "EXPIRY_ROUNDS", 2)
    register(office, receivers)
    batch_ids = [office.ticket(f"138001380{index:02}", expires_at=office.now) for index in range(8)]
    sweep.expired_tasks(office.house)
    assert sum(office.task(batch_id).state == "expired" for batch_id in batch_ids) == expected
