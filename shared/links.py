"""Links to recordings that carry their own permission, so that a browser can play them (reading.md, "Keys")."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from urllib.parse import quote

LINK_SECONDS = 24 * 3600
"""How long a wavFileUrl plays at least: a working day's review of yesterday's calls."""
LINK_STEP_SECONDS = 3600
"""Links end on a full hour, so that the same record carries the same link for a while and caches can keep it."""
_SIGNATURE_LENGTH = 40


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
    same = [hmac.compare_digest(signature.encode(), _signature(key, name, expires).encode()) for key in keys]
    return any(same)


def _signature(key: str, name: str, expires: str) -> str:
    """Derived from an API key, so that all processes agree without another secret, and useless to guess the key from."""
    signing_key = hashlib.blake2b(key.encode(), person=b"waihu recording").digest()
    return hmac.new(signing_key, f"{name}\n{expires}".encode(), "sha256").hexdigest()[:_SIGNATURE_LENGTH]
