"""createTasks: a whole batch in one transaction, or nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from api import idempotency, repeats, schedules
from api.envelope import encode
from api.insertion import insert_tasks
from api.tickets import CheckedTicket
from api.transactions import LostRaceError, write
from shared import audit

DONE = "任务创建成功"


@dataclass(frozen=True)
class Receipt:
    """``response`` is the body to answer with; ``created`` counts new tasks; ``replayed``: it is an earlier answer."""

    response: bytes
    created: int
    replayed: bool = False


def take_in(
    engine: Engine,
    tickets: Sequence[CheckedTicket],
    *,
    now: int,
    repeat_after_ms: int,
    actor: str,
    response_of: Callable[[list[dict[str, Any]], int], bytes],
    key: idempotency.Key | None = None,
) -> Receipt:
    """Stores the tickets as tasks, once, however often and by however many they are sent at the same time.

    ``response_of`` makes the answer of ``{"batchId", "ticketNo"}`` for each ticket and the number of new tasks.
    Raises ParameterError if a ticketNo or the key belongs to something else, or a new ticket's time is over, and then
    nothing is stored; DBAPIError.
    """

    def work(connection: Connection) -> Receipt:
        if key and (earlier := idempotency.replay(connection, key, now)) is not None:
            return Receipt(earlier, 0, replayed=True)
        known = repeats.find(connection, tickets)
        plan = repeats.plan(tickets, known, now - repeat_after_ms)
        schedules.require_ahead(plan, now)
        ids = plan.batch_ids(insert_tasks(connection, plan.fresh, now))
        if plan.fresh and repeats.count(connection, tickets) != len(known) + len(plan.fresh):
            # The same tickets were sent again, and their tasks made and already ended, while this request stood still:
            # the index keeps apart live tasks only.
            raise LostRaceError
        pairs = zip(ids, tickets, strict=True)
        made = [{"batchId": batch_id, "ticketNo": ticket.ticket.ticket_no} for batch_id, ticket in pairs]
        response = response_of(made, len(plan.fresh))
        if plan.fresh:
            _note(connection, actor, ids, len(plan.fresh), now)
        if key:
            idempotency.keep(connection, key, response, now)
        return Receipt(response, len(plan.fresh))

    return write(engine, work, races=True)


def envelope(code: int) -> Callable[[list[dict[str, Any]], int], bytes]:
    """The answer of createTasks."""
    return lambda made, _created: encode({"code": code, "msg": DONE, "data": made})


def _note(connection: Connection, actor: str, ids: Sequence[int], created: int, now: int) -> None:
    subject = audit.of_task(ids[0]) if len(ids) == 1 else ""
    audit.note(connection, actor, "submit", now, subject=subject, created=created, first=min(ids), last=max(ids))
