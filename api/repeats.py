"""What happens to a ticket that was sent before (reading.md, "Sent twice"). The rule is pure; the lookup is one query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Connection, text

from api.envelope import FieldProblem, ParameterError
from api.tickets import CheckedTicket
from shared.database import is_postgresql
from shared.lifecycle import FINAL_TASKS

# The array is an expression, so PostgreSQL always takes the index on ticket_no, however its statistics stand.
POSTGRESQL_LOOKUP = (
    "SELECT ticket_no, batch_id, digest, state, created_at FROM tasks"
    " WHERE ticket_no = ANY (ARRAY(SELECT json_array_elements_text(CAST(:numbers AS json)))::varchar[])"
)
SQLITE_LOOKUP = (
    "SELECT ticket_no, batch_id, digest, state, created_at FROM tasks"
    " WHERE ticket_no IN (SELECT value FROM json_each(:numbers))"
)


class Known(msgspec.Struct, frozen=True):
    """A task that a ticket may be a repetition of."""

    ticket_no: str
    batch_id: int
    digest: bytes
    live: bool
    created_at: int


@dataclass
class Plan:
    """What to do with a batch: ``places`` says for each ticket which existing task it is, or which of ``fresh``."""

    places: list[tuple[int | None, int]] = field(default_factory=list)
    fresh: list[CheckedTicket] = field(default_factory=list)

    def batch_ids(self, fresh_ids: Sequence[int]) -> list[int]:
        """The batchId of each ticket, in the order of the tickets."""
        return [fresh_ids[index] if existing is None else existing for existing, index in self.places]


def find(connection: Connection, tickets: Sequence[CheckedTicket]) -> list[Known]:
    """Every task that has the ticketNo of one of ``tickets``."""
    rows = connection.execute(text(_lookup(connection)), {"numbers": _numbers(tickets)})
    return [Known(row[0], row[1], bytes(row[2]), row[3] not in FINAL_TASKS, row[4]) for row in rows]


def count(connection: Connection, tickets: Sequence[CheckedTicket]) -> int:
    """How many tasks ``find`` would find."""
    counting = f"SELECT count(*) FROM ({_lookup(connection)}) AS found"
    return int(connection.execute(text(counting), {"numbers": _numbers(tickets)}).scalar_one())


def _lookup(connection: Connection) -> str:
    return POSTGRESQL_LOOKUP if is_postgresql(connection) else SQLITE_LOOKUP


def _numbers(tickets: Sequence[CheckedTicket]) -> str:
    return msgspec.json.encode([ticket.ticket.ticket_no for ticket in tickets]).decode()


def plan(tickets: Sequence[CheckedTicket], known: Sequence[Known], since: int) -> Plan:
    """Settles a batch, ticket by ticket in order.

    A ticket with the same body as a task that is live, or was created after ``since``, is that task; one whose
    ticketNo belongs to a live task with another body, or stood earlier in the batch with another body, is an error.
    Raises ParameterError that names every such ticket.
    """
    if not known and len({ticket.ticket.ticket_no for ticket in tickets}) == len(tickets):
        return Plan([(None, index) for index in range(len(tickets))], list(tickets))
    same, live = _existing(known, since)
    earlier: dict[str, int] = {}
    made, problems = Plan(), []
    fresh_of: dict[tuple[str, bytes], int] = {}
    for index, ticket in enumerate(tickets):
        ticket_no = ticket.ticket.ticket_no
        key = (ticket_no, ticket.digest)
        if key in same:
            made.places.append((same[key], 0))
        elif key in fresh_of:
            made.places.append((None, fresh_of[key]))
        elif ticket_no in live:
            problems.append(_conflict(index, f"任务 {live[ticket_no]} 尚未结束"))
        elif ticket_no in earlier:
            problems.append(_conflict(index, f"本次提交的第 {earlier[ticket_no] + 1} 条"))
        else:
            earlier[ticket_no], fresh_of[key] = index, len(made.fresh)
            made.places.append((None, len(made.fresh)))
            made.fresh.append(ticket)
    if problems:
        raise ParameterError(problems)
    return made


def _existing(known: Sequence[Known], since: int) -> tuple[dict[tuple[str, bytes], int], dict[str, int]]:
    """The task that each ticketNo and digest repeats, the live one or else the newest; and the live task of each ticketNo."""
    same: dict[tuple[str, bytes], int] = {}
    live: dict[str, int] = {}
    for task in sorted(known, key=lambda task: (task.live, task.created_at)):
        if task.live or task.created_at > since:
            same[task.ticket_no, task.digest] = task.batch_id
        if task.live:
            live[task.ticket_no] = task.batch_id
    return same, live


def _conflict(index: int, holder: str) -> FieldProblem:
    return FieldProblem(index, "ticketNo", f"工单编号已被占用（{holder}），且内容不同")
