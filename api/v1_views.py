"""``/api/v1``: what the house's own command line, demo and page need beyond the document; plain HTTP, problem JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Response, abort, request
from sqlalchemy import ColumnElement, Connection, RowMapping, or_, select

from api import call_stats, house_documents, task_search
from api.envelope import answer
from api.fields import Fields
from api.house import House, house
from api.masking import shown_file, shown_number, shown_rows
from api.record_views import wav_url
from api.routes import Route
from api.task_list import LAST_PAGE, LONGEST_PAGE
from shared import audit
from shared.database import reading
from shared.gate_config import DO_NOT_CALL
from shared.lifecycle import WAITING_TASKS
from shared.moments import iso
from shared.rows import record_row, task_row
from shared.schema import audit as audit_trail
from shared.schema import calls, phone_events, tasks

LONGEST_TIMELINE = 1000
"""Events shown of one call: a documented call has three, a confused phone system's a few dozen."""
DEFAULT_SIZE = 50


def show_task(batch_id: int) -> Response:
    """A task with all its calls, the latest first."""
    at = house()
    with reading(at.engine) as connection:
        task = connection.execute(select(tasks).where(tasks.c.batch_id == batch_id)).mappings().one_or_none()
        if task is None:
            abort(404, f"no task {batch_id}")
        query = (
            select(calls).where(calls.c.batch_id == batch_id).order_by(calls.c.created_at.desc(), calls.c.uuid.desc())
        )
        rows = connection.execute(query).mappings().all()
    return answer(_task(task, at) | {"calls": [_call(row, at) for row in rows]})


def find_tasks() -> Response:
    """One page of tasks by ticket number, telephone number and state."""
    at = house()
    query = task_search.read_query(Fields(request.args, at.settings.timezone))
    with reading(at.engine) as connection:
        total, rows = task_search.find(connection, query)
    return answer({"total": total, "rows": [_task(row, at) for row in rows]})


def show_call(uuid: str) -> Response:
    """A call by our uuid or the phone system's call_id, with dialogue, tags and everything that was heard of it."""
    at = house()
    if "\0" in uuid:
        abort(404, "no such call")
    with reading(at.engine) as connection:
        query = select(calls, tasks.c.ticket_no, tasks.c.username).outerjoin(
            tasks, tasks.c.batch_id == calls.c.batch_id
        )
        theirs = (calls.c.call_id == uuid) & (calls.c.call_id != "")
        call = connection.execute(query.where(or_(calls.c.uuid == uuid, theirs))).mappings().first()
        if call is None:
            abort(404, f"no call {uuid[:100]}")
        of_call = phone_events.c.call_uuid == call["uuid"]
        chosen = select(phone_events).where(of_call).order_by(phone_events.c.id).limit(LONGEST_TIMELINE)
        events = connection.execute(chosen).mappings().all()
        history = _history(connection, call)
    record = record_row(call, at.settings.timezone, lambda name: wav_url(at, name))
    record = shown_rows([record])[0]
    return answer(
        record | _call(call, at) | {"tags": call["tags"] or [], "timeline": _timeline(call, events, history, at)}
    )


def _history(connection: Connection, call: RowMapping) -> list[tuple[int, str, str, Any]]:
    """What happened around the call: to its task, and what people did with either (``shared.audit``)."""
    noted = audit_trail.c
    about = noted.subject == audit.of_call(call["uuid"])
    known: list[tuple[int, str, str, Any]] = []
    if call["batch_id"] is not None:
        about |= noted.id.in_(audit.about_task(connection, call["batch_id"]))
        task = connection.execute(select(tasks).where(tasks.c.batch_id == call["batch_id"])).mappings().one()
        known = [
            (task[column], "task", name or task["state"], None)
            for column, name in _TASK_MILESTONES.items()
            if task[column] is not None
        ]
    query = select(noted.at, noted.action, noted.actor).where(about).order_by(noted.id)
    rows = connection.execute(query.limit(LONGEST_TIMELINE))
    return known + [(row.at, "audit", row.action, row.actor) for row in rows]


def show_stats() -> Response:
    """How many tasks and calls are in each state, and how many events wait."""
    at = house()
    count = at.census.take()
    document = {
        "at": iso(count.at, at.settings.timezone),
        "tasks": {state: group.count for state, group in count.tasks.items()},
        "calls": {state: group.count for state, group in count.calls.items()},
        "unappliedEvents": count.waiting_events.count,
    }
    return answer(document)


def _task(row: RowMapping, at: House) -> dict[str, Any]:
    """As calltask/list shows it, and what it leaves out."""
    zone = at.settings.timezone
    return shown_rows([task_row(row)])[0] | {
        "state": row["state"],
        "stateAt": iso(row["state_at"], zone),
        "createdAt": iso(row["created_at"], zone),
        "dueAt": iso(row["due_at"], zone),
        "priority": row["priority"],
        "expiresAt": iso(row["expires_at"], zone),
        "timezone": row["zone"],
        "heldBy": row["held_by"] if row["state"] in WAITING_TASKS or row["held_by"] == DO_NOT_CALL else None,
        "stopRequestedAt": iso(row["stop_requested_at"], zone),
        "finalAt": iso(row["final_at"], zone),
        "attempts": row["attempts"],
        "caller": row["caller"],
    }


def _call(row: RowMapping, at: House) -> dict[str, Any]:
    zone = at.settings.timezone
    return {
        "uuid": row["uuid"],
        "batchId": row["batch_id"],
        "callType": row["call_type"],
        "state": row["state"],
        "callId": row["call_id"],
        "caller": row["caller"],
        "telephone": shown_number(row["telephone"]),
        "createdAt": iso(row["created_at"], zone),
        "answeredAt": iso(row["answered_at"], zone),
        "endedAt": iso(row["ended_at"], zone),
        "closedAt": iso(row["closed_at"], zone),
        "hangupCause": row["hangup_cause"],
        "timeLen": row["time_len"],
        "recordFile": shown_file(row["record_file"]),
        "wavFileUrl": wav_url(at, row["wav_file"]) if row["wav_file"] else "",
    }


_MILESTONES = {
    "created_at": "queued",
    "dialing_at": "dialing",
    "rang_at": "ringing",
    "answered_at": "answered",
    "hangup_requested_at": "hangupRequested",
    "ended_at": "",
    "media_ended_at": "mediaEnded",
    "cdr_at": "cdr",
    "closed_at": "closed",
}
"""Of a call; "": its state, since none follows."""
_TASK_MILESTONES = {"created_at": "created", "stop_requested_at": "stopRequested", "state_at": ""}


def _timeline(
    call: RowMapping, events: Sequence[RowMapping], history: list[tuple[int, str, str, Any]], at: House
) -> list[dict[str, Any]]:
    """States of call and task, the phone system's events and people's acts, as they became known here."""
    known = history + [
        (call[column], "call", name or call["state"], None)
        for column, name in _MILESTONES.items()
        if call[column] is not None
    ]
    known += [(row["received_at"], "phone", row["event_name"], _told(row["body"])) for row in events]
    zone = at.settings.timezone
    return [
        {
            "at": iso(moment, zone),
            "source": source,
            "event": name,
            "eventTime": extra if source == "phone" else None,
            "actor": extra if source == "audit" else None,
        }
        for moment, source, name, extra in sorted(known, key=lambda entry: (entry[0], _ORDER.index(entry[1])))
    ]


_ORDER = ("task", "call", "phone", "audit")
"""Of what became known in the same millisecond."""


def _told(body: Any) -> Any:
    """The phone system's own time of an event; an event that was erased says nothing."""
    return body.get("event_time") if isinstance(body, dict) else None


def _about(connection: Connection, subject: str) -> ColumnElement[bool]:
    batch_id = subject.removeprefix("task:")
    if batch_id != subject and batch_id.isascii() and batch_id.isdigit() and int(batch_id) < 2**63:
        return audit_trail.c.id.in_(audit.about_task(connection, int(batch_id)))
    return audit_trail.c.subject == subject


def show_call_stats() -> Response:
    """Answer-seizure ratio and the like over a time range."""
    at = house()
    query = call_stats.read_query(Fields(request.args, at.settings.timezone))
    with reading(at.engine) as connection:
        return answer(call_stats.count(connection, query, at.settings.timezone))


def list_audit() -> Response:
    """One page of the audit trail, newest first."""
    at = house()
    fields = Fields(request.args, at.settings.timezone)
    page = fields.integer("pageNum", low=1, high=LAST_PAGE) or 1
    size = fields.integer("pageSize", low=1, high=LONGEST_PAGE) or DEFAULT_SIZE
    since, until = fields.moments("from", "to")
    noted = audit_trail.c
    chosen = [
        column == value
        for column, name in ((noted.action, "action"), (noted.actor, "actor"))
        if (value := fields.text(name)) is not None
    ]
    action, subject = fields.text("action"), fields.text("subject")
    if action is not None and action not in audit.ACTIONS:
        fields.problem("action", f"应为 {'、'.join(audit.ACTIONS)} 之一")
    fields.done()
    chosen += [noted.at >= since] if since is not None else []
    chosen += [noted.at <= until] if until is not None else []
    with reading(at.engine) as connection:
        if subject is not None:
            chosen.append(_about(connection, subject))
        query = select(audit_trail).where(*chosen).order_by(noted.at.desc(), noted.id.desc())
        rows = connection.execute(query.limit(size).offset((page - 1) * size)).mappings().all()
    return answer({"rows": [dict(row) | {"at": iso(row["at"], at.settings.timezone)} for row in rows]})


ROUTES = (
    Route("/api/v1/tasks", "GET", find_tasks, house_documents.TASKS),
    Route("/api/v1/tasks/<int(max=9223372036854775807):batch_id>", "GET", show_task, house_documents.TASK),
    Route("/api/v1/calls/<string(maxlength=100):uuid>", "GET", show_call, house_documents.CALL),
    Route("/api/v1/stats", "GET", show_stats, house_documents.STATS),
    Route("/api/v1/stats/calls", "GET", show_call_stats, house_documents.CALL_STATS),
    Route("/api/v1/audit", "GET", list_audit, house_documents.AUDIT),
)
