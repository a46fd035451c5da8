"""Links to recordings that carry their own permission, so that a browser can play them (reading.md, "Keys")."""

from __future__ import annotations

import hmac
from urllib.parse import quote

LINK_SECONDS = 24 * 3600
"""How long a wavFileUrl plays at least: a working day's review of yesterday's calls."""
LINK_STEP_SECONDS = 3600
"""Links end on a full hour, so that the same record carries the same link for a while and caches can keep it."""
_SIGNATURE_LENGTH = 40


def recording_url(public_url: str, name: str, secret: bytes | None, now_ms: int, *, given_to: str) -> str:
    """A recording's wavFileUrl; with the house's secret it carries ``by``, ``expires`` and ``sig``, so that a browser can
    play it.

    ``secret``: ``shared.api_keys.link_secret``; None while no keys are needed. ``given_to``: the public id of the key, or
    ``webhook:ID``, that gets the link; the audit of who listened knows it by this.
    """
    url = f"{public_url}/recordings/files?filename={quote(name)}"
    if secret is None:
        return url
    whole_steps = -(-(now_ms // 1000 + LINK_SECONDS) // LINK_STEP_SECONDS)
    expires = str(whole_steps * LINK_STEP_SECONDS)
    signature = _signature(secret, name, given_to, expires)
    return f"{url}&by={quote(given_to, safe=':')}&expires={expires}&sig={signature}"


def link_holds(name: str, given_to: str, expires: str, signature: str, secret: bytes, now_ms: int) -> bool:
    """Whether a link was signed with the house's secret, for ``given_to``, and has not run out."""
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 12) or int(expires) * 1000 < now_ms:
        return False
    return hmac.compare_digest(signature.encode(), _signature(secret, name, given_to, expires).encode())


def _signature(secret: bytes, name: str, given_to: str, expires: str) -> str:
    """Of no API key: keys may come and go while a link plays, and none can be guessed from it.

    Links of before they said whom they were given to were signed over two lines, and hold until they expire. Neither
    form can be read as the other: the last line of theirs is digits, of ours it begins with ``by=``.
    """
    lines = [name, expires, *([f"by={given_to}"] if given_to else [])]
    return hmac.new(secret, "\n".join(lines).encode(), "sha256").hexdigest()[:_SIGNATURE_LENGTH]
