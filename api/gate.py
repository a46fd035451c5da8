"""What happens around every request: its number, its key, its headers, its line in the log."""

from __future__ import annotations

import logging
import re
import secrets
import time

from flask import Flask, Response, g, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from api.house import house
from api.keys import allowed
from shared.links import link_holds

REQUEST_ID = "X-Request-Id"
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
OPEN_ENDPOINTS = frozenset({"phone.take_events", "house.healthz", "house.readyz"})
"""Phone events have a secret of their own; health says nothing of anybody."""
OPEN_SECTIONS = frozenset({"pages", "api-docs"})
"""The page and the documentation hold no data; what the page shows it fetches with a key."""
RECORDINGS = frozenset({"records.send_recording", "send_recording_alias"})
CONTENT_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"
"""Nothing from elsewhere; Swagger UI sets styles and shows images in data: URLs."""

_CHALLENGE = WWWAuthenticate("bearer")

log = logging.getLogger(__name__)


def register(app: Flask) -> None:
    """Puts the gate before and after every request of ``app``."""
    app.before_request(number_request)
    app.before_request(require_key)
    app.after_request(finish)


def number_request() -> None:
    """The client's request id if it is harmless, else a new one; it is answered, and logged with what fails."""
    given = request.headers.get(REQUEST_ID, "")
    g.request_id = given if _GIVEN_ID.fullmatch(given) else secrets.token_hex(8)
    g.started = time.perf_counter()


def require_key() -> None:
    """Raises Unauthorized unless no keys are set, the request carries one, or it needs none."""
    keys = house().settings.api_keys
    endpoint = request.endpoint or ""
    if not keys or not endpoint or endpoint in OPEN_ENDPOINTS or endpoint.partition(".")[0] in OPEN_SECTIONS:
        return
    if allowed(request, keys) or (endpoint in RECORDINGS and _link_holds()):
        return
    raise Unauthorized(
        "an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY", www_authenticate=_CHALLENGE
    )


def _link_holds() -> bool:
    given = request.args
    at = house()
    name, expires, signature = (given.get(field, "") for field in ("filename", "expires", "sig"))
    return link_holds(name, expires, signature, at.settings.api_keys, at.clock.now_ms())


def finish(response: Response) -> Response:
    """Headers that every answer has, and one line in the log, without the query: it may hold a secret."""
    response.headers[REQUEST_ID] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    if response.mimetype == "text/html":
        response.headers["Content-Security-Policy"] = CONTENT_POLICY
        response.headers["Referrer-Policy"] = "no-referrer"
    elif response.is_json:
        response.headers.setdefault("Cache-Control", "no-store")
    fields = {
        "request_id": g.request_id,
        "method": request.method,
        "endpoint": request.endpoint or "",
        "status": response.status_code,
        "ms": round((time.perf_counter() - g.started) * 1000, 1),
    }
    level = logging.DEBUG if request.endpoint in ("house.healthz", "house.readyz", "house.metrics") else logging.INFO
    log.log(level, "request", extra=fields)
    return response
