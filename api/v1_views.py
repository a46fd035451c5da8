"""``/api/v1``: what the house's own command line, demo and page need beyond the document; plain HTTP, problem JSON."""

from __future__ import annotations

from typing import Any

from flask import Response, abort
from sqlalchemy import RowMapping, or_, select

from api import house_documents
from api.envelope import answer
from api.house import House, house
from api.record_views import wav_url
from api.routes import Route
from shared.database import reading
from shared.moments import iso
from shared.rows import record_row, task_row
from shared.schema import calls, phone_events, tasks

LONGEST_TIMELINE = 1000
"""Events shown of one call: a documented call has three, a confused phone system's a few dozen."""


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
    record = record_row(call, at.settings.timezone, lambda name: wav_url(at, name))
    return answer(record | _call(call, at) | {"tags": call["tags"] or [], "timeline": _timeline(call, events, at)})


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
    return task_row(row) | {
        "state": row["state"],
        "stateAt": iso(row["state_at"], zone),
        "createdAt": iso(row["created_at"], zone),
        "dueAt": iso(row["due_at"], zone),
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
        "telephone": row["telephone"],
        "createdAt": iso(row["created_at"], zone),
        "answeredAt": iso(row["answered_at"], zone),
        "endedAt": iso(row["ended_at"], zone),
        "closedAt": iso(row["closed_at"], zone),
        "hangupCause": row["hangup_cause"],
        "timeLen": row["time_len"],
        "recordFile": row["record_file"],
        "wavFileUrl": wav_url(at, row["wav_file"]) if row["wav_file"] else "",
    }


_MILESTONES = {
    "created_at": "created",
    "dialing_at": "dialing",
    "answered_at": "answered",
    "hangup_requested_at": "hangupRequested",
    "ended_at": "ended",
    "media_ended_at": "mediaEnded",
    "cdr_at": "cdr",
    "closed_at": "closed",
}


def _timeline(call: RowMapping, events: Any, at: House) -> list[dict[str, Any]]:
    """Our own milestones and the phone system's events, in the order in which they became known here."""
    known = [(call[column], "waihu", name, None) for column, name in _MILESTONES.items() if call[column] is not None]
    known += [(row["received_at"], "phone", row["event_name"], row["body"].get("event_time")) for row in events]
    zone = at.settings.timezone
    return [
        {"at": iso(moment, zone), "source": source, "event": name, "eventTime": told}
        for moment, source, name, told in sorted(known, key=lambda entry: entry[0])
    ]


ROUTES = (
    Route("/api/v1/tasks/<int(max=9223372036854775807):batch_id>", "GET", show_task, house_documents.TASK),
    Route("/api/v1/calls/<string(maxlength=100):uuid>", "GET", show_call, house_documents.CALL),
    Route("/api/v1/stats", "GET", show_stats, house_documents.STATS),
)
