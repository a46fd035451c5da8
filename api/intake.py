"""createTasks: a whole batch in one transaction, or nothing of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from api import idempotency, repeats
from api.envelope import encode
from api.insertion import insert_tasks
from api.tickets import CheckedTicket
from api.transactions import write

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
    code: int,
    key: idempotency.Key | None = None,
) -> Receipt:
    """Stores the tickets as tasks, once, however often and by however many they are sent at the same time.

    Raises ParameterError if a ticketNo or the key belongs to something else, and then nothing is stored; DBAPIError.
    """

    def work(connection: Connection) -> Receipt:
        if key and (earlier := idempotency.replay(connection, key, now)) is not None:
            return Receipt(earlier, 0, replayed=True)
        plan = repeats.plan(tickets, repeats.find(connection, tickets), now - repeat_after_ms)
        ids = plan.batch_ids(insert_tasks(connection, plan.fresh, now))
        response = _response(ids, tickets, code)
        if key:
            idempotency.keep(connection, key, response, now)
        return Receipt(response, len(plan.fresh))

    return write(engine, work, races=True)


def _response(ids: Sequence[int], tickets: Sequence[CheckedTicket], code: int) -> bytes:
    data = [
        {"batchId": batch_id, "ticketNo": ticket.ticket.ticket_no}
        for batch_id, ticket in zip(ids, tickets, strict=True)
    ]
    return encode({"code": code, "msg": DONE, "data": data})
