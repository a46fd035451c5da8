"""What happens around every request: its number, its key, its headers, its line in the log."""

from __future__ import annotations

import logging
import re
import secrets
import time

from flask import Flask, Response, g, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, ServiceUnavailable, TooManyRequests, Unauthorized

from api.house import House, house
from api.keys import LINK, LOOPBACK, NOBODY, Principal, given_key
from api.scopes import OPEN, scope_of
from shared.links import link_holds

REQUEST_ID = "X-Request-Id"
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
METRICS = frozenset({"house.metrics"})
"""Asked by a machine, again and again."""
RECORDINGS = frozenset({"records.send_recording", "send_recording_alias"})
CONTENT_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"
"""Nothing from elsewhere; Swagger UI sets styles and shows images in data: URLs."""

_CHALLENGE = WWWAuthenticate("bearer")

log = logging.getLogger(__name__)


class MissingScope(Forbidden):
    """A key that is right may not do this; ``scope`` is what it lacks."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"this key may not do that: it needs the scope {scope}")
        self.scope = scope


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
    """Finds out who asks, and whether they may.

    Raises Unauthorized, Forbidden, TooManyRequests; DBAPIError, for metrics ServiceUnavailable instead.
    """
    g.principal = NOBODY
    endpoint = request.endpoint or ""
    scope = scope_of(endpoint)
    if not endpoint or scope == OPEN:
        return
    try:
        _find_out(endpoint, scope)
    except SQLAlchemyError as error:
        if endpoint not in METRICS:
            raise
        # Prometheus asks again; a failure of ours would wake somebody for what the database's own alarm tells.
        raise ServiceUnavailable("the database is away, and with it the keys and what is counted") from error


def _find_out(endpoint: str, scope: str | None) -> None:
    at = house()
    if not at.keys.demanded():
        g.principal = LOOPBACK
        return
    found = at.keys.find(given_key(request))
    if found is not None:
        _require_turn(at, found)
        if scope not in found.scopes:
            raise MissingScope(scope or "")
        g.principal = found
    elif endpoint in RECORDINGS and _link_holds(at):
        g.principal = LINK
    else:
        raise Unauthorized(
            "an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY", www_authenticate=_CHALLENGE
        )


def _require_turn(at: House, found: Principal) -> None:
    rate = found.rate or at.settings.rate_limit
    wait = at.limiter.take(found.identity, rate) if rate else 0
    if wait:
        raise TooManyRequests(f"more than {rate} requests a minute; try again in {wait} s", retry_after=wait)


def _link_holds(at: House) -> bool:
    name, expires, signature = (request.args.get(field, "") for field in ("filename", "expires", "sig"))
    secret = at.keys.link_secret()
    return secret is not None and link_holds(name, expires, signature, secret, at.clock.now_ms())


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
