"""The inbox of phone events: stored before anything else happens with them (design, section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, insert

from api.transactions import write
from shared.phone.wire import Event
from shared.schema import phone_events
from shared.unicode import storable, storable_document

_columns = phone_events.c


def store(engine: Engine, events: Sequence[tuple[Event, dict[str, Any]]], now: int) -> list[int]:
    """Stores events with the objects they came from, all or none; returns their ids. Raises DBAPIError."""
    if not events:
        return []
    rows = [_row(event, body, now) for event, body in events]

    def work(connection: Connection) -> list[int]:
        statement = insert(phone_events).returning(_columns.id, sort_by_parameter_order=True)
        return list(connection.execute(statement, rows).scalars())

    return write(engine, work)


def _row(event: Event, body: dict[str, Any], now: int) -> dict[str, Any]:
    """Ids that are longer than their columns match no call of ours, so nothing is lost by cutting them."""
    return {
        "received_at": now,
        "event_name": _kept(event.event_name, 64),
        "request_id": _kept(event.request_id, 100),
        "call_id": _kept(event.call_id, 100),
        "body": storable_document(body),
    }


def _kept(text: str, longest: int) -> str:
    return storable(text)[:longest]
