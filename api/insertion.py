"""New rows of ``tasks``: ids first, then all rows in one stream (benchmarks/api.py measures this path beside others).

PostgreSQL: ids drawn from the sequence in one query, rows by COPY in text form. SQLite: the transaction holds the only
write lock, so ids are counted on from the last, and the rows go in with one prepared statement.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import psycopg2
from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import DBAPIError

from api.tickets import CheckedTicket
from shared.database import is_postgresql
from shared.lifecycle import TaskState
from shared.schema import tasks

COPY_BUFFER_BYTES = 1 << 20
"""How much COPY sends at a time: fewer calls than psycopg2's 8 KiB."""

_COPY = """COPY tasks (batch_id, ticket_no, phone, number, exten, username, ticket_type, ticket_content, digest,
    state, state_at, created_at, due_at) FROM STDIN"""
_DRAW = text("SELECT array_agg(nextval(pg_get_serial_sequence('tasks', 'batch_id'))) FROM generate_series(1, :count)")
_LAST = text("SELECT seq FROM sqlite_sequence WHERE name = 'tasks'")
_find_special = re.compile(r"[\\\t\n\r]").search
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def insert_tasks(connection: Connection, tickets: Sequence[CheckedTicket], now: int) -> list[int]:
    """Inserts a pending task for each ticket, due at once; returns their batchIds in the order of the tickets.

    Raises DBAPIError: IntegrityError if another live task has one of the ticket numbers.
    """
    if not tickets:
        return []
    if is_postgresql(connection):
        ids = sorted(connection.execute(_DRAW, {"count": len(tickets)}).scalar_one())
        _copy(connection, ids, tickets, now)
    else:
        last = connection.execute(_LAST).scalar() or 0
        ids = list(range(last + 1, last + 1 + len(tickets)))
        connection.execute(
            insert(tasks), [_row(batch_id, ticket, now) for batch_id, ticket in zip(ids, tickets, strict=True)]
        )
    return ids


def _row(batch_id: int, checked: CheckedTicket, now: int) -> dict[str, object]:
    ticket = checked.ticket
    return {
        "batch_id": batch_id,
        "ticket_no": ticket.ticket_no,
        "phone": ticket.phone,
        "number": checked.number,
        "exten": checked.exten,
        "username": ticket.username,
        "ticket_type": ticket.ticket_type,
        "ticket_content": ticket.ticket_content,
        "digest": checked.digest,
        "state": str(TaskState.PENDING),
        "state_at": now,
        "created_at": now,
        "due_at": now,
    }


def _copy(connection: Connection, ids: Sequence[int], tickets: Sequence[CheckedTicket], now: int) -> None:
    """Streams the rows in order of their ticket numbers: two batches that overlap then wait for each other, never in a ring."""
    rows = sorted(zip(ids, tickets, strict=True), key=lambda row: row[1].ticket.ticket_no)
    data = "".join([copy_line(batch_id, ticket, now) for batch_id, ticket in rows]).encode()
    driver_connection = connection.connection
    cursor = driver_connection.cursor()
    try:
        cursor.copy_expert(_COPY, io.BytesIO(data), COPY_BUFFER_BYTES)
    except psycopg2.Error as error:
        gone = driver_connection.closed != 0
        if gone:
            connection.invalidate()
        raise DBAPIError.instance(
            "COPY tasks", None, error, psycopg2.Error, hide_parameters=True, connection_invalidated=gone
        ) from error
    finally:
        cursor.close()


def copy_line(batch_id: int, checked: CheckedTicket, now: int) -> str:
    """One row as COPY's text format wants it. The tickets hold no NUL, which PostgreSQL could not store."""
    ticket = checked.ticket
    given = f"{ticket.ticket_no}{ticket.phone}{ticket.username}{ticket.ticket_type}{ticket.ticket_content}"
    fields = (ticket.ticket_no, ticket.phone, ticket.username, ticket.ticket_type, ticket.ticket_content)
    if _find_special(given):
        fields = tuple(field.translate(_ESCAPES) for field in fields)  # type: ignore[assignment]
    ticket_no, phone, username, ticket_type, ticket_content = fields
    return (
        f"{batch_id}\t{ticket_no}\t{phone}\t{checked.number}\t{checked.exten}\t{username}\t{ticket_type}\t"
        f"{ticket_content}\t\\\\x{checked.digest.hex()}\tpending\t{now}\t{now}\t{now}\n"
    )
