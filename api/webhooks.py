"""Webhook endpoints and their deliveries in SQL: registered, removed, listed, tried and sent again."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, RowMapping, Select, func, insert, select, text, update

from api.fields import MAX_LONG, Fields
from api.task_list import LAST_PAGE, LONGEST_PAGE
from shared import audit, outbox
from shared.errors import WaihuError
from shared.moments import iso
from shared.schema import webhook_deliveries, webhook_endpoints
from shared.targets import LONGEST_URL

SHORTEST_SECRET, LONGEST_SECRET = 16, 100
SECRET_BYTES = 32
"""Of a secret that we make: as many as the signature has."""
DEFAULT_PAGE, DEFAULT_SIZE = 1, 50

_SECRET = re.compile(r"[!-~]+")
_endpoints, _deliveries = webhook_endpoints.c, webhook_deliveries.c
_IN_STATE = {state: text(f"webhook_deliveries.state = '{state}'") for state in outbox.STATES}
"""Written out as the partial indexes write it: with a bound parameter no database would see that it may use them."""


class WebhookConflict(WaihuError):
    """What was asked for cannot be, as things stand; the message says why."""

    code = "webhook.conflict"


@dataclass(frozen=True)
class DeliveryQuery:
    """None means any."""

    page: int
    size: int
    state: str | None
    batch_id: int | None


def read_endpoint(fields: Fields) -> tuple[str, str]:
    """URL and secret of a request; a secret is made where none was given. Raises ParameterError."""
    url = fields.text("url", required=True, longest=LONGEST_URL)
    secret = fields.text("secret", longest=LONGEST_SECRET)
    if secret is not None and not (_SECRET.fullmatch(secret) and len(secret) >= SHORTEST_SECRET):
        fields.problem("secret", f"应为 {SHORTEST_SECRET} 到 {LONGEST_SECRET} 个可见的 ASCII 字符，不含空格")
    fields.done()
    return url or "", secret or f"whsec_{secrets.token_urlsafe(SECRET_BYTES)}"


def read_query(fields: Fields) -> DeliveryQuery:
    """The query in a request. Raises ParameterError that names every field that is wrong."""
    page = fields.integer("pageNum", low=1, high=LAST_PAGE)
    size = fields.integer("pageSize", low=1, high=LONGEST_PAGE)
    state = fields.text("state")
    if state is not None and state not in outbox.STATES:
        fields.problem("state", f"应为 {'、'.join(outbox.STATES)} 之一")
    batch_id = fields.integer("batchId", low=0, high=MAX_LONG)
    fields.done()
    return DeliveryQuery(page or DEFAULT_PAGE, size or DEFAULT_SIZE, state, batch_id)


def add_endpoint(connection: Connection, url: str, secret: str, now: int, *, actor: str) -> RowMapping:
    """Registers an endpoint, and notes who did. Raises WebhookConflict if the URL is registered already, or there are too many."""
    active = _endpoints.disabled_at.is_(None)
    urls = connection.execute(select(_endpoints.url).where(active)).scalars().all()
    if url in urls:
        raise WebhookConflict("this URL is registered already; remove it first to give it another secret")
    if len(urls) >= outbox.MOST_ENDPOINTS:
        raise WebhookConflict(f"there are {len(urls)} webhooks, and {outbox.MOST_ENDPOINTS} at most; remove one first")
    values = {"url": url, "secret": secret, "created_at": now}
    row = connection.execute(insert(webhook_endpoints).values(values).returning(*_endpoints)).mappings().one()
    audit.note(connection, actor, "webhook_add", now, subject=audit.of_webhook(row["id"]))
    return row


def remove_endpoint(connection: Connection, endpoint_id: int, now: int, *, actor: str) -> bool:
    """Whether there was such an endpoint. Its secret is forgotten; what waits for it the workers put aside."""
    there = update(webhook_endpoints).where(_endpoints.id == endpoint_id, _endpoints.disabled_at.is_(None))
    if not connection.execute(there.values(disabled_at=now, secret="")).rowcount:
        return False
    audit.note(connection, actor, "webhook_remove", now, subject=audit.of_webhook(endpoint_id))
    return True


def endpoints(connection: Connection) -> list[RowMapping]:
    """All that are registered, with how many deliveries of each wait and are dead."""
    columns = [
        select(func.count())
        .select_from(webhook_deliveries)
        .where(_deliveries.endpoint_id == _endpoints.id, _IN_STATE[state])
        .scalar_subquery()
        .label(state)
        for state in (outbox.WAITING, outbox.DEAD)
    ]
    query = select(webhook_endpoints, *columns).where(_endpoints.disabled_at.is_(None)).order_by(_endpoints.id)
    return list(connection.execute(query).mappings())


def deliveries(connection: Connection, query: DeliveryQuery) -> list[RowMapping]:
    """One page, newest first."""
    return list(connection.execute(page_of(query)).mappings())


def page_of(query: DeliveryQuery) -> Select[Any]:
    """The statement for one page, along an index of its own for each way to ask."""
    statement = select(webhook_deliveries).order_by(_deliveries.created_at.desc(), _deliveries.id.desc())
    if query.state is not None:
        statement = statement.where(_IN_STATE[query.state])
    if query.batch_id is not None:
        statement = statement.where(_deliveries.batch_id == query.batch_id)
    return statement.limit(query.size).offset((query.page - 1) * query.size)


def find_delivery(connection: Connection, delivery_id: str) -> RowMapping | None:
    if "\0" in delivery_id:  # PostgreSQL takes no such text, not even to look for
        return None
    query = select(webhook_deliveries).where(_deliveries.id == delivery_id)
    return connection.execute(query).mappings().one_or_none()


def replay(connection: Connection, delivery_id: str, now: int, *, actor: str) -> RowMapping | None:
    """Puts a delivery back in the queue, with all its attempts; None if there is no such delivery.

    Raises WebhookConflict if its endpoint was removed.
    """
    found = find_delivery(connection, delivery_id)
    if found is None:
        return None
    if not _is_active(connection, found["endpoint_id"]):
        raise WebhookConflict("its endpoint was removed")
    again = {"state": outbox.WAITING, "attempts": 0, "due_at": now, "delivered_at": None, "last_error": ""}
    statement = update(webhook_deliveries).where(_deliveries.id == delivery_id).values(again)
    subject, endpoint_id = audit.of_delivery(delivery_id), found["endpoint_id"]
    audit.note(connection, actor, "webhook_replay", now, subject=subject, webhookId=endpoint_id)
    return connection.execute(statement.returning(*_deliveries)).mappings().one()


def add_test(connection: Connection, endpoint_id: int, now: int) -> RowMapping | None:
    """Puts a delivery that is about no task in the queue; None if there is no such endpoint."""
    if not _is_active(connection, endpoint_id):
        return None
    row = outbox.row(endpoint_id, outbox.NO_TASK, outbox.TEST, now)
    found = find_delivery(connection, row["id"])
    if found is not None:
        return found
    return connection.execute(insert(webhook_deliveries).values(row).returning(*_deliveries)).mappings().one()


def shown_endpoint(row: RowMapping, zone: ZoneInfo) -> dict[str, Any]:
    """Without its secret, which is shown once, when it is registered."""
    return {"id": row["id"], "url": row["url"], "createdAt": iso(row["created_at"], zone)}


def shown_delivery(row: RowMapping, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "id": row["id"],
        "webhookId": row["endpoint_id"],
        "event": row["event"],
        "batchId": row["batch_id"] if row["batch_id"] != outbox.NO_TASK else None,
        "state": row["state"],
        "attempts": row["attempts"],
        "dueAt": iso(row["due_at"], zone),
        "createdAt": iso(row["created_at"], zone),
        "deliveredAt": iso(row["delivered_at"], zone),
        "lastError": row["last_error"],
    }


def _is_active(connection: Connection, endpoint_id: int) -> bool:
    there = select(_endpoints.id).where(_endpoints.id == endpoint_id, _endpoints.disabled_at.is_(None))
    return connection.execute(there).first() is not None
