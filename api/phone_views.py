"""Events from the phone system (phone-system.txt, section 3): stored first, answered then, applied by the workers later."""

from __future__ import annotations

import logging

from flask import Response, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import RequestEntityTooLarge

from api import inbox, phone_documents
from api.body import MAX_COMMAS, read_bounded
from api.envelope import FieldProblem, answer, failure
from api.house import house
from api.keys import bearer, matches
from api.nearness import require_near
from api.routes import Route
from shared.doorbell import APPLY_EVENTS
from shared.phone.wire import Batch, WireError, decode_events

log = logging.getLogger(__name__)


def take_events() -> Response:
    """Stores one event or an array of them; answers success only once they are safe.

    Elements that are no events are named and left out: a phone system that is told of an error sends the whole batch
    again, for ever, or drops the cdr that is in it. The secret is asked for before a byte of the body is read. Any content
    type will do: a page that could post events as plain text is known by its Origin.
    """
    at = house()
    secret = at.settings.phone_secret
    if not secret:
        require_near(request, at.settings)
    elif not matches(bearer(request) or request.args.get("secret", ""), [secret]):
        return failure(401, "需要正确的 secret（查询参数 secret，或 Authorization: Bearer）", status=401)
    batch = Batch([])
    try:
        batch = decode_events(_body())
        ids = inbox.store(at.engine, batch.events, at.clock.now_ms())
    except (WireError, RecursionError) as error:
        message = str(error) if isinstance(error, WireError) else "JSON is nested too deeply"
        return failure(400, message, status=400)
    except SQLAlchemyError as error:
        # Its text may show rows; the phone system sends the event again, or the sweep settles the call without it.
        shown = {"error": type(error).__name__, "events": len(batch.events)}
        log.error("phone events could not be stored", extra=shown)
        return failure(503, "事件暂时无法保存，请稍后重发", status=503)
    at.ringer.ring_ids(APPLY_EVENTS, ids)
    return _taken(batch)


def _body() -> bytes:
    """Raises RequestEntityTooLarge also for what has more values than phone events of such a size have."""
    body = read_bounded(request)
    if body.count(b",") > MAX_COMMAS:
        raise RequestEntityTooLarge
    return body


def _taken(batch: Batch) -> Response:
    """Success, with what was left out as the envelope lists faults: the first of them, and how many there are."""
    if not batch.ignored:
        return answer({"code": 0, "msg": "ok"})
    positions = list(batch.faults)
    log.warning("elements that are no phone events are ignored", extra={"ignored": batch.ignored, "at": positions})
    faults = [FieldProblem(position, None, message) for position, message in batch.faults.items()]
    return answer({"code": 0, "msg": "ok", "ignored": batch.ignored, "data": faults})


ROUTES = (Route("/api/phone/events", "POST", take_events, phone_documents.EVENTS),)
