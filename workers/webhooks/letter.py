"""What a delivery says, built from SQL at the moment it is sent, and how it is signed (docs/webhooks.md)."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, select

from shared.api_keys import link_secret
from shared.audit import of_webhook
from shared.links import recording_url
from shared.moments import iso
from shared.outbox import NO_TASK
from shared.rows import record_row, task_row
from shared.schema import calls, tasks
from shared.settings import Settings
from workers.store import LISTED

SIGNATURE_VERSION = "v1"


def body_of(
    connection: Connection, settings: Settings, endpoint_id: int, delivery_id: str, event: str, batch_id: int, now: int
) -> bytes | None:
    """The JSON body as things stand now; None if the task is gone."""
    receiver = of_webhook(endpoint_id)
    task = _task(connection, batch_id, settings) if batch_id != NO_TASK else None
    if task is None and batch_id != NO_TASK:
        return None
    document = {
        "deliveryId": delivery_id,
        "event": event,
        "task": task,
        "record": None if task is None else _last_record(connection, batch_id, settings, receiver, now),
    }
    return msgspec.json.encode(document)


def headers_of(delivery_id: str, secret: str, body: bytes, now: int) -> list[tuple[bytes, bytes]]:
    """The headers of one attempt at ``now`` (ms); the timestamp is in whole seconds."""
    timestamp = str(now // 1000)
    return [
        (b"Content-Type", b"application/json"),
        (b"User-Agent", b"Waihu-Webhooks/1"),
        (b"Waihu-Delivery", delivery_id.encode()),
        (b"Waihu-Timestamp", timestamp.encode()),
        (b"Waihu-Signature", f"{SIGNATURE_VERSION}={sign(secret, timestamp, body)}".encode()),
    ]


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 of ``timestamp.body`` in hexadecimal."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _task(connection: Connection, batch_id: int, settings: Settings) -> dict[str, Any] | None:
    """As calltask/list shows it, with what ``/api/v1/tasks`` adds for programs."""
    row = connection.execute(select(tasks).where(tasks.c.batch_id == batch_id)).mappings().one_or_none()
    if row is None:
        return None
    return task_row(row) | {
        "state": row["state"],
        "finalAt": iso(row["final_at"], settings.timezone),
        "attempts": row["attempts"],
    }


def _last_record(
    connection: Connection, batch_id: int, settings: Settings, receiver: str, now: int
) -> dict[str, Any] | None:
    """As records/list shows it, with the tags and a link given to ``receiver``; None if the task was never dialled."""
    query = (
        select(calls, tasks.c.ticket_no, tasks.c.username)
        .join_from(calls, tasks, tasks.c.batch_id == calls.c.batch_id)
        .where(calls.c.batch_id == batch_id, LISTED)
        .order_by(calls.c.created_at.desc(), calls.c.uuid.desc())
        .limit(1)
    )
    row: RowMapping | None = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    secret = link_secret(connection, settings.api_keys)

    def url_of(name: str) -> str:
        return recording_url(settings.public_url, name, secret, now, given_to=receiver)

    shown = record_row(row, settings.timezone, url_of)
    return shown | {"tags": row["tags"] or []}
