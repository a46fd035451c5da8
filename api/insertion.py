"""New rows of ``tasks``: ids first, then all rows in one stream (benchmarks/api.py measures this path beside others).

PostgreSQL: ids drawn from the sequence in one query, rows by COPY in text form. SQLite: the transaction holds the only
write lock, so ids are counted on from the last, and the rows go in with one prepared statement.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg2
from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import DBAPIError

from api.tickets import CheckedTicket, Schedule, Ticket
from shared.database import is_postgresql
from shared.lifecycle import TaskState
from shared.lines import hold_country
from shared.numbers import line
from shared.schema import tasks

COPY_BUFFER_BYTES = 1 << 20
"""How much COPY takes at a time: fewer calls than psycopg2's 8 KiB."""
ROWS_AT_ONCE = 500
"""Rows written before they are sent: enough to be quick about it, few enough for the server to begin soon."""

_COPY = """COPY tasks (batch_id, ticket_no, phone, number, exten, username, ticket_type, ticket_content, digest,
    state, state_at, created_at, due_at, line, priority, expires_at, zone) FROM STDIN"""
_DRAW = text("""SELECT array_agg(nextval('tasks_batch_id_seq')) AS ids,
    (SELECT country FROM line_country FOR SHARE) AS country FROM generate_series(1, :count)""")
"""And what ``shared.lines.hold_country`` says, without a round trip of its own."""
_AT_ONCE = Schedule()
_LAST = text("SELECT seq FROM sqlite_sequence WHERE name = 'tasks'")
_TABS = 16
"""In a row of seventeen columns that needs no escapes."""
_UNSCHEDULED = "0\t\\N\t\\N"
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def insert_tasks(connection: Connection, tickets: Sequence[CheckedTicket], now: int) -> list[int]:
    """Inserts a pending task for each ticket, due at once unless it has a schedule; returns their batchIds in the order of the tickets.

    Raises DBAPIError: IntegrityError if another live task has one of the ticket numbers.
    """
    if not tickets:
        return []
    if is_postgresql(connection):
        drawn = connection.execute(_DRAW, {"count": len(tickets)}).one()
        ids = sorted(drawn.ids)
        _copy(connection, ids, tickets, drawn.country, now)
    else:
        last = connection.execute(_LAST).scalar() or 0
        ids, country = list(range(last + 1, last + 1 + len(tickets))), hold_country(connection)
        connection.execute(
            insert(tasks), [_row(batch_id, ticket, country, now) for batch_id, ticket in zip(ids, tickets, strict=True)]
        )
    return ids


def _row(batch_id: int, checked: CheckedTicket, country: str, now: int) -> dict[str, object]:
    ticket, schedule = checked.ticket, checked.schedule or _AT_ONCE
    return {
        "batch_id": batch_id,
        "ticket_no": ticket.ticket_no,
        "phone": ticket.phone,
        "number": checked.number,
        "line": line(checked.number, country),
        "exten": checked.exten,
        "username": ticket.username,
        "ticket_type": ticket.ticket_type,
        "ticket_content": ticket.ticket_content,
        "digest": checked.digest,
        "state": str(TaskState.PENDING),
        "state_at": now,
        "created_at": now,
        "due_at": _due(schedule, now),
        "priority": schedule.priority,
        "expires_at": schedule.expires_at,
        "zone": schedule.zone,
    }


def _copy(connection: Connection, ids: Sequence[int], tickets: Sequence[CheckedTicket], country: str, now: int) -> None:
    """Streams the rows in order of their ticket numbers: two batches that overlap then wait for each other, never in a ring."""
    rows = sorted(zip(ids, tickets, strict=True), key=lambda row: row[1].ticket.ticket_no)
    driver_connection = connection.connection
    cursor = driver_connection.cursor()
    try:
        cursor.copy_expert(_COPY, _File(rows, country, now), COPY_BUFFER_BYTES)
    except psycopg2.Error as error:
        gone = driver_connection.closed != 0
        if gone:
            connection.invalidate()
        raise DBAPIError.instance(
            "COPY tasks", None, error, psycopg2.Error, hide_parameters=True, connection_invalidated=gone
        ) from error
    finally:
        cursor.close()


class _File:
    """The file that COPY reads: rows are written a chunk at a time, while the server works on those before."""

    def __init__(self, rows: Sequence[tuple[int, CheckedTicket]], country: str, now: int) -> None:
        starts = range(0, len(rows), ROWS_AT_ONCE)
        self._chunks = (copy_data(rows[start : start + ROWS_AT_ONCE], country, now).encode() for start in starts)
        self._rest = b""

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; none at the end."""
        if not self._rest:
            self._rest = next(self._chunks, b"")
        part, self._rest = self._rest[:size], self._rest[size:]
        return part


def copy_data(rows: Sequence[tuple[int, CheckedTicket]], country: str, now: int) -> str:
    """Rows as COPY's text format wants them. The tickets hold no NUL, which PostgreSQL could not store.

    Few tickets need escapes, so the rows are written without first; a character with a meaning of its own would show
    as one tab, line end or backslash too many, and then all are written again with escapes. Tickets only ever add to
    what the rows themselves hold, so no ticket can make up for another.
    """
    count = len(rows)
    backslashes = sum(_backslashes(checked.schedule) for _, checked in rows)
    data = "".join([_written(batch_id, checked, checked.ticket, country, now) for batch_id, checked in rows])
    plain = "\r" not in data and data.count("\n") == count
    if plain and data.count("\t") == count * _TABS and data.count("\\") == backslashes:
        return data
    return "".join([_written(batch_id, checked, _escaped(checked.ticket), country, now) for batch_id, checked in rows])


def _written(batch_id: int, checked: CheckedTicket, ticket: Ticket, country: str, now: int) -> str:
    schedule = checked.schedule
    due, when = (now, _UNSCHEDULED) if schedule is None else _scheduled(schedule, now)
    return (
        f"{batch_id}\t{ticket.ticket_no}\t{ticket.phone}\t{checked.number}\t{checked.exten}\t{ticket.username}\t"
        f"{ticket.ticket_type}\t{ticket.ticket_content}\t\\\\x{checked.digest.hex()}\tpending\t{now}\t{now}\t{due}\t"
        f"{line(checked.number, country)}\t{when}\n"
    )


def _scheduled(schedule: Schedule, now: int) -> tuple[int, str]:
    """due_at, and the last three columns; a zone's name needs no escapes."""
    expires = "\\N" if schedule.expires_at is None else str(schedule.expires_at)
    zone = schedule.zone or "\\N"
    return _due(schedule, now), f"{schedule.priority}\t{expires}\t{zone}"


def _due(schedule: Schedule, now: int) -> int:
    """A notBefore that is over means now: it must not overtake who waits since before."""
    return now if schedule.not_before is None else max(now, schedule.not_before)


def _backslashes(schedule: Schedule | None) -> int:
    """How many a row holds by itself: the digest's two, and one for each column without a value."""
    if schedule is None:
        return 4
    return 2 + (schedule.expires_at is None) + (schedule.zone is None)


def _escaped(ticket: Ticket) -> Ticket:
    return Ticket(
        ticket_no=ticket.ticket_no.translate(_ESCAPES),
        phone=ticket.phone.translate(_ESCAPES),
        username=ticket.username.translate(_ESCAPES),
        ticket_type=ticket.ticket_type.translate(_ESCAPES),
        ticket_content=ticket.ticket_content.translate(_ESCAPES),
    )
