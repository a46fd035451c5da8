"""Short ways to webhook endpoints and deliveries in an office's database, and to tasks that end."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select, update

from shared.database import reading, writing
from shared.doorbell import WEBHOOKS
from shared.schema import calls, webhook_deliveries, webhook_endpoints
from tests.workers.twins import CALLER, Office
from workers import store
from workers.webhooks.delivery import send_webhooks

SECRET = "whsec_0123456789abcdef"


def register(office: Office, url: str, secret: str = SECRET) -> int:
    values = {"url": url, "secret": secret, "created_at": office.now}
    with writing(office.house.engine) as connection:
        statement = insert(webhook_endpoints).values(values).returning(webhook_endpoints.c.id)
        return int(connection.execute(statement).scalar_one())


def remove(office: Office, endpoint_id: int) -> None:
    with writing(office.house.engine) as connection:
        one = update(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id)
        connection.execute(one.values(disabled_at=office.now, secret=""))


def finish(office: Office, batch_id: int, state: str = "not_connected", connected: bool | None = False) -> None:
    """The task becomes final, the way the workers do it."""
    with writing(office.house.engine) as connection:
        statement = select(*store.task_columns()).where(store.tasks.c.batch_id == batch_id)
        before = store.task_of(connection.execute(statement).one())
        changes = {"state": store.TaskState(state), "connected": connected, "final_at": office.now, "due_at": None}
        store.save_task(connection, before, type(before)(**vars(before) | changes), office.now)


def finished(office: Office, count: int = 1) -> list[int]:
    """So many tasks that have just become final, without calls."""
    batch_ids = office.tickets(count)
    for batch_id in batch_ids:
        finish(office, batch_id)
    return batch_ids


def add_call(office: Office, batch_id: int, number: int = 1, **values: Any) -> str:
    row = {
        "uuid": f"251231120358{number:07d}",
        "batch_id": batch_id,
        "call_type": "02",
        "state": "ended",
        "caller": CALLER,
        "number": "13800138000",
        "line": "+8613800138000",
        "telephone": "13800138000",
        "created_at": office.now,
        "ended_at": office.now,
        "closed_at": office.now,
        "hangup_cause": "NO_ANSWER:sip:480",
        **values,
    }
    with writing(office.house.engine) as connection:
        connection.execute(insert(calls).values(row))
    return str(row["uuid"])


def deliveries(office: Office) -> list[Any]:
    with reading(office.house.engine) as connection:
        return list(connection.execute(select(webhook_deliveries).order_by(webhook_deliveries.c.batch_id)).all())


def delivery(office: Office, delivery_id: str) -> Any:
    return next(row for row in deliveries(office) if row.id == delivery_id)


def post_round(office: Office) -> None:
    """One ring, and all couriers back."""
    office.bell.take(WEBHOOKS)
    send_webhooks(office.house)
    assert office.house.couriers.wait_idle(60)
