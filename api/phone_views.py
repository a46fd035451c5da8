"""Events from the phone system (phone-system.txt, section 3): stored first, answered then, applied by the workers later."""

from __future__ import annotations

import logging

from flask import Response, request
from sqlalchemy.exc import SQLAlchemyError

from api import inbox, phone_documents
from api.body import read_bounded
from api.envelope import answer, failure
from api.house import house
from api.keys import bearer, matches
from api.nearness import require_near
from api.routes import Route
from shared.doorbell import APPLY_EVENTS
from shared.phone.wire import MAX_EVENT_BYTES, WireError, decode_events

log = logging.getLogger(__name__)


def take_events() -> Response:
    """Stores one event or an array of them; answers success only once they are safe.

    Whatever content type a phone system gives them: a page that could post them as plain text is known by its Origin.
    """
    at = house()
    secret = at.settings.phone_secret
    if not secret:
        require_near(request, at.settings)
    elif not matches(bearer(request) or request.args.get("secret", ""), [secret]):
        return failure(401, "需要正确的 secret（查询参数 secret，或 Authorization: Bearer）", status=401)
    request.max_content_length = MAX_EVENT_BYTES
    try:
        events = decode_events(read_bounded(request))
        ids = inbox.store(at.engine, events, at.clock.now_ms())
    except (WireError, RecursionError) as error:
        message = str(error) if isinstance(error, WireError) else "JSON is nested too deeply"
        return failure(400, message, status=400)
    except SQLAlchemyError as error:
        # Its text may show rows; the phone system sends the event again, or the sweep settles the call without it.
        log.error("phone events could not be stored", extra={"error": type(error).__name__, "events": len(events)})
        return failure(503, "事件暂时无法保存，请稍后重发", status=503)
    at.ringer.ring_ids(APPLY_EVENTS, ids)
    return answer({"code": 0, "msg": "ok"})


ROUTES = (Route("/api/phone/events", "POST", take_events, phone_documents.EVENTS),)
