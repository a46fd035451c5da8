"""Who may use the API, and links to recordings that carry their own permission (reading.md, "Keys")."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from urllib.parse import quote

from flask import Request

LINK_SECONDS = 24 * 3600
"""How long a wavFileUrl plays at least: a working day's review of yesterday's calls."""
LINK_STEP_SECONDS = 3600
"""Links end on a full hour, so that the same record carries the same link for a while and caches can keep it."""
_SIGNATURE_LENGTH = 40


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


def recording_url(public_url: str, name: str, keys: Sequence[str], now_ms: int) -> str:
    """A recording's wavFileUrl; with keys set it carries ``expires`` and ``sig``, so that a browser can play it."""
    url = f"{public_url}/recordings/files?filename={quote(name)}"
    if not keys:
        return url
    whole_steps = -(-(now_ms // 1000 + LINK_SECONDS) // LINK_STEP_SECONDS)
    expires = str(whole_steps * LINK_STEP_SECONDS)
    return f"{url}&expires={expires}&sig={_signature(keys[0], name, expires)}"


def link_holds(name: str, expires: str, signature: str, keys: Sequence[str], now_ms: int) -> bool:
    """Whether a link was signed with one of the keys and has not run out; keys that rotate out keep theirs until then."""
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 12) or int(expires) * 1000 < now_ms:
        return False
    return matches(signature, [_signature(key, name, expires) for key in keys])


def _signature(key: str, name: str, expires: str) -> str:
    """Derived from an API key, so that all processes agree without another secret, and useless to guess the key from."""
    signing_key = hashlib.blake2b(key.encode(), person=b"waihu recording").digest()
    return hmac.new(signing_key, f"{name}\n{expires}".encode(), "sha256").hexdigest()[:_SIGNATURE_LENGTH]
