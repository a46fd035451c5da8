"""``/api/v1``: tickets with a schedule, dialling again on purpose, and pausing."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from flask import Response, abort, request
from sqlalchemy import Connection, delete, insert, select, update

from api import dialling_documents as documents
from api import idempotency, intake, schedules
from api.body import decode_object, read_json
from api.envelope import answer, encode
from api.fields import Fields
from api.house import house
from api.keys import principal
from api.redialing import NoSuchTask, NotRedialable, redial
from api.routes import Route
from api.tickets import LONGEST_TEXT
from api.transactions import write
from shared import audit
from shared.database import reading
from shared.doorbell import DISPATCH
from shared.moments import iso
from shared.schema import pauses

LONGEST_REASON = 500
"""The width of the column."""
ALL = ""
"""The ticket type that means every one."""

log = logging.getLogger(__name__)


def submit_tasks() -> Response:
    """As createTasks, with priority, notBefore, expiresAt and timezone of each ticket."""
    at = house()
    body, now = read_json(request), at.clock.now_ms()
    # A key used for createTasks means another request here, and its answer has another form.
    whole = b"/api/v1/tasks\n" + body
    key = idempotency.read_key(request.headers.get(idempotency.HEADER), whole, principal().identity)
    receipt = intake.take_in(
        at.engine,
        schedules.read(body, at.settings.batch_limit, at.settings.timezone, now),
        now=now,
        repeat_after_ms=int(at.settings.ticket_repeat_after * 1000),
        actor=principal().name,
        response_of=lambda made, created: encode({"created": created, "tasks": made}),
        key=key,
    )
    if receipt.created:
        log.info("tasks created", extra={"count": receipt.created})
        at.ringer.ring(DISPATCH)
    response = answer(receipt.response, 201 if msgspec.json.decode(receipt.response)["created"] else 200)
    if receipt.replayed:
        response.headers[idempotency.REPLAYED] = "true"
    return response


def redial_task(batch_id: int) -> Response:
    """Dials a task again that did not reach anybody, because a person says so."""
    at = house()
    fields = Fields(decode_object(read_json(request)), at.settings.timezone)
    reason = fields.text("reason", required=True, longest=LONGEST_REASON)
    fields.done()
    try:
        who = principal().name
        redial(at.engine, batch_id, reason or "", at.clock.now_ms(), who)
    except NoSuchTask as error:
        abort(404, str(error))
    except NotRedialable as error:
        abort(409, str(error))
    log.info("a task is dialled again by a person", extra={"batch_id": batch_id})
    at.ringer.ring(DISPATCH)
    return answer({"batchId": batch_id, "state": "pending"}, 202)


def list_pauses() -> Response:
    """What is paused."""
    at = house()
    with reading(at.engine) as connection:
        return answer({"rows": _pauses(connection)})


def pause() -> Response:
    """Dials nothing of a ticket type, or of any, until it is resumed; what lives goes on."""
    at = house()
    fields = Fields(decode_object(read_json(request)), at.settings.timezone)
    ticket_type = fields.text("ticketType", longest=LONGEST_TEXT) or ALL
    reason = fields.text("reason", longest=LONGEST_REASON) or ""
    fields.done()
    now, who = at.clock.now_ms(), principal().name

    def work(connection: Connection) -> list[dict[str, Any]]:
        mine = pauses.c.ticket_type == ticket_type
        if not connection.execute(update(pauses).where(mine).values(reason=reason)).rowcount:
            row = {"ticket_type": ticket_type, "reason": reason, "created_at": now}
            connection.execute(insert(pauses).values(row))
        audit.note(connection, who, "pause", now, ticketType=ticket_type, reason=reason)
        return _pauses(connection)

    rows = write(at.engine, work, races=True)
    log.info("dialling was paused", extra={"all": ticket_type == ALL})
    return answer({"rows": rows})


def resume() -> Response:
    """Ends a pause; without ticketType the one of all, and no other."""
    at = house()
    fields = Fields(decode_object(read_json(request)), at.settings.timezone)
    ticket_type = fields.text("ticketType", longest=LONGEST_TEXT) or ALL
    fields.done()
    now, who = at.clock.now_ms(), principal().name

    def work(connection: Connection) -> list[dict[str, Any]]:
        ended = connection.execute(delete(pauses).where(pauses.c.ticket_type == ticket_type)).rowcount
        if ended:
            audit.note(connection, who, "resume", now, ticketType=ticket_type)
        return _pauses(connection)

    rows = write(at.engine, work)
    at.ringer.ring(DISPATCH)
    return answer({"rows": rows})


def _pauses(connection: Connection) -> list[dict[str, Any]]:
    zone = house().settings.timezone
    rows = connection.execute(select(pauses).order_by(pauses.c.ticket_type))
    return [
        {"ticketType": row.ticket_type or None, "reason": row.reason, "since": iso(row.created_at, zone)}
        for row in rows
    ]


ROUTES = (
    Route("/api/v1/tasks", "POST", submit_tasks, documents.SUBMIT),
    Route("/api/v1/tasks/<int(max=9223372036854775807):batch_id>/redial", "POST", redial_task, documents.REDIAL),
    Route("/api/v1/pauses", "GET", list_pauses, documents.PAUSES),
    Route("/api/v1/pause", "POST", pause, documents.PAUSE),
    Route("/api/v1/resume", "POST", resume, documents.RESUME),
)
