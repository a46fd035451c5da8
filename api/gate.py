"""What happens around every request: its number, its key, its headers, its line in the log."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Sequence

from flask import Flask, Response, g, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, ServiceUnavailable, TooManyRequests, Unauthorized

from api.house import House, house
from api.keys import LOOPBACK, NOBODY, Principal, given_key
from api.nearness import require_near
from api.scopes import OPEN, scopes_of
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
    """A key that is right may not do this; ``scopes`` is what it lacks, empty if no key may."""

    def __init__(self, scopes: Sequence[str]) -> None:
        needed = " and ".join(f"the scope {scope}" for scope in scopes)
        super().__init__(f"this key may not do that: it needs {needed}" if needed else "no key may do that")
        self.scopes = scopes


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
    scopes = scopes_of(endpoint)
    if not endpoint or scopes == OPEN:
        return
    try:
        _find_out(endpoint, scopes)
    except SQLAlchemyError as error:
        if endpoint not in METRICS:
            raise
        # Prometheus asks again; a failure of ours would wake somebody for what the database's own alarm tells.
        raise ServiceUnavailable("the database is away, and with it the keys and what is counted") from error


def _find_out(endpoint: str, scopes: Sequence[str] | None) -> None:
    at = house()
    if not at.keys.demanded():
        require_near(request, at.settings)
        g.principal = LOOPBACK
        return
    found = at.keys.find(given_key(request))
    if found is not None:
        _require_turn(at, found)
        lacking = [scope for scope in scopes or () if scope not in found.scopes]
        if lacking or scopes is None:
            raise MissingScope(lacking)
        g.principal = found
    elif endpoint in RECORDINGS and (listener := _listener(at)) is not None:
        g.principal = listener
    else:
        raise Unauthorized(
            "an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY", www_authenticate=_CHALLENGE
        )


def _require_turn(at: House, found: Principal) -> None:
    rate = found.rate or at.settings.rate_limit
    wait = at.limiter.take(found.identity, rate) if rate else 0
    if wait:
        raise TooManyRequests(f"more than {rate} requests a minute; try again in {wait} s", retry_after=wait)


def _listener(at: House) -> Principal | None:
    """Whoever plays a recording by its signed link; None if this is none that holds."""
    name, given_to, expires, signature = (request.args.get(field, "") for field in ("filename", "by", "expires", "sig"))
    secret = at.keys.link_secret()
    if secret is None or not link_holds(name, given_to, expires, signature, secret, at.clock.now_ms()):
        return None
    return at.keys.listener(given_to)


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
