"""``/api/v1/do-not-call``: who must not be called."""

from __future__ import annotations

import logging
from typing import Any

from flask import Response, abort, request, stream_with_context
from sqlalchemy import Connection, func, select
from werkzeug.routing import BaseConverter

from api import suppression_documents as documents
from api import suppression_list
from api.body import decode_object, read_bounded, read_json
from api.envelope import answer, refuse
from api.fields import Fields
from api.house import house
from api.keys import principal
from api.masking import shown_rows
from api.routes import Route
from api.task_list import LAST_PAGE, LONGEST_PAGE
from api.transactions import write
from shared import audit, lines, numbers
from shared.database import reading
from shared.doorbell import STOP_CALLS
from shared.schema import do_not_call
from shared.suppression import PERSON, suppress

PATH = "/api/v1/do-not-call"
DEFAULT_SIZE = 50
CSV = "text/csv"
NUMBER = "listed_number"

log = logging.getLogger(__name__)


class ListedNumber(BaseConverter):
    """A number in a path, as it may be written. ``import`` and ``export`` beside it are none, and answer for themselves."""

    regex = r"(?!(?:import|export)(?:/|$))[^/]{1,60}"


def list_do_not_call() -> Response:
    """One page of the list, newest first; or one number, if it is on it."""
    at = house()
    fields = Fields(request.args, at.settings.timezone)
    page = fields.integer("pageNum", low=1, high=LAST_PAGE) or 1
    size = fields.integer("pageSize", low=1, high=LONGEST_PAGE) or DEFAULT_SIZE
    given = fields.text("number")
    fields.done()
    number = _number(given) if given else None
    with reading(at.engine) as connection:
        chosen = None if number is None else suppression_list.entry(connection, number)
        total, rows = suppression_list.page(connection, chosen, page, size)
    shown = [suppression_list.shown(row, at.settings.timezone) for row in rows]
    return answer({"total": total, "rows": shown_rows(shown)})


def add_to_list() -> Response:
    """Puts one number on the list; its waiting tasks are stopped, its ringing calls hung up."""
    at = house()
    fields = Fields(decode_object(read_json(request)), at.settings.timezone)
    given = fields.text("number", required=True)
    reason = fields.text("reason", longest=suppression_list.LONGEST_REASON) or ""
    fields.done()
    number, now, who = _number(given or ""), at.clock.now_ms(), principal().name

    def work(connection: Connection) -> tuple[list[int], list[dict[str, Any]]]:
        live = suppress(connection, [number], PERSON, now, reason=reason)
        line = lines.of(connection, number)
        audit.note(connection, who, "dnc_add", now, subject=audit.of_line(connection, line))
        return live, suppression_list.page(connection, suppression_list.entry(connection, number), 1, 1)[1]

    live, rows = write(at.engine, work)
    at.ringer.ring_ids(STOP_CALLS, live)
    return answer(shown_rows([suppression_list.shown(row, at.settings.timezone) for row in rows])[0], 201)


def remove_from_list(number: str) -> Response:
    """Takes a number off the list; tasks that were stopped stay stopped."""
    at = house()
    plain, now, who = _number(number), at.clock.now_ms(), principal().name

    def work(connection: Connection) -> bool:
        line = numbers.line(plain, lines.hold_country(connection))
        removed = suppression_list.remove(connection, plain)
        if removed:
            audit.note(connection, who, "dnc_remove", now, subject=audit.of_line(connection, line))
        return removed

    if not write(at.engine, work):
        abort(404, "this number is not on the list")
    return Response(status=204)


def import_do_not_call() -> Response:
    """Takes in a CSV file, all of it or nothing."""
    at = house()
    if request.mimetype != CSV:
        raise refuse(f"Content-Type 应为 {CSV}")
    found = suppression_list.read_csv(read_bounded(request))
    now, who = at.clock.now_ms(), principal().name

    def work(connection: Connection) -> tuple[list[int], int, int]:
        country = lines.hold_country(connection)
        count = len({numbers.line(number, country) for chosen in found.values() for number in chosen})
        before = connection.execute(_COUNT).scalar_one()
        live = suppression_list.import_numbers(connection, found, now)
        added = connection.execute(_COUNT).scalar_one() - before
        audit.note(connection, who, "dnc_import", now, numbers=count, added=added)
        return live, count, added

    live, count, added = write(at.engine, work)
    log.info("do-not-call list imported", extra={"numbers": count, "added": added})
    at.ringer.ring_ids(STOP_CALLS, live)
    return answer({"numbers": count, "added": added})


def export_do_not_call() -> Response:
    """The whole list as CSV."""
    at = house()
    who, now, masked = principal().name, at.clock.now_ms(), not principal().sees_numbers

    def work(connection: Connection) -> None:
        count = connection.execute(_COUNT).scalar_one()
        audit.note(connection, who, "export", now, what="do_not_call", rows=count, masked=masked)

    write(at.engine, work)
    rows = suppression_list.export_csv(at.engine, at.settings.timezone, masked=masked)
    response = Response(stream_with_context(rows), mimetype=CSV)
    response.headers["Content-Disposition"] = 'attachment; filename="do-not-call.csv"'
    response.headers["Cache-Control"] = "no-store"
    return response


_COUNT = select(func.count()).select_from(do_not_call)


def _number(given: str) -> str:
    """Without separators. Raises ParameterError."""
    number, fault = suppression_list.read_number(given)
    if fault:
        raise refuse(fault, field="number")
    return number


ROUTES = (
    Route(PATH, "GET", list_do_not_call, documents.LIST),
    Route(PATH, "POST", add_to_list, documents.ADD),
    Route(f"{PATH}/<{NUMBER}:number>", "DELETE", remove_from_list, documents.REMOVE),
    Route(f"{PATH}/import", "POST", import_do_not_call, documents.IMPORT),
    Route(f"{PATH}/export", "GET", export_do_not_call, documents.EXPORT),
)
