"""Who may use the API (reading.md, "Keys")."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from flask import Request


def allowed(request: Request, keys: Sequence[str]) -> bool:
    """Whether the request carries one of the keys: ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``."""
    given = bearer(request) or request.headers.get("X-API-Key", "").strip()
    return matches(given, keys)


def bearer(request: Request) -> str:
    """The token of ``Authorization: Bearer``, "" if there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def matches(given: str, secrets: Sequence[str]) -> bool:
    """Whether ``given`` is one of ``secrets``; all are compared, in constant time."""
    same = [hmac.compare_digest(given.encode(), secret.encode()) for secret in secrets]
    return any(same)
