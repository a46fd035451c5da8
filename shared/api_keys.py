"""API keys in SQL: ``<id>.<secret>``, of which only the id and a digest are kept.

The secret is 256 random bits, so one round of SHA-256 is enough: there is no dictionary to try. Keys of ``API_KEYS``
stand beside these and may do everything.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from shared import audit
from shared.errors import WaihuError
from shared.schema import api_keys

SUBMIT, READ, ADMIN, NUMBERS = "submit", "read", "admin", "numbers"
SCOPES = (SUBMIT, READ, ADMIN, NUMBERS)
"""``numbers``: may see whole numbers, and with ``admin`` have them sent to webhooks. None includes another."""
MOST_KEYS = 1000
"""Not revoked: every process keeps them all in memory."""
LONGEST_NAME = 100
_ID_BYTES, _SECRET_BYTES = 6, 32
_NO_DIGEST = b"\0" * 32


class KeyProblem(WaihuError):
    """A key cannot be made as asked, or there is none of that id."""

    code = "key"


@dataclass(frozen=True)
class ApiKey:
    """A row. ``rate``: requests a minute, None for the house's setting."""

    id: str
    name: str
    digest: bytes
    scopes: frozenset[str]
    rate: int | None
    created_at: int
    revoked_at: int | None


def add(
    connection: Connection, name: str, scopes: Sequence[str], now: int, *, rate: int | None = None, actor: str
) -> str:
    """Makes a key and returns it: it cannot be shown again. Raises KeyProblem."""
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise KeyProblem(f"expected scopes out of {', '.join(SCOPES)}, got {', '.join(unknown) or 'none'}")
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise KeyProblem(f"expected a name of 1 to {LONGEST_NAME} printable characters")
    if sum(key.revoked_at is None for key in find_all(connection)) >= MOST_KEYS:
        raise KeyProblem(f"there are {MOST_KEYS} keys already; revoke one first")
    key_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    row = {
        "id": key_id,
        "name": name.strip(),
        "digest": _digest(secret),
        "scopes": ",".join(scope for scope in SCOPES if scope in scopes),
        "rate": rate,
        "created_at": now,
    }
    connection.execute(insert(api_keys).values(row))
    audit.note(connection, actor, "key_add", now, subject=f"key:{key_id}", scopes=row["scopes"])
    return f"{key_id}.{secret}"


def revoke(connection: Connection, key_id: str, now: int, *, actor: str) -> None:
    """Ends a key; every process knows within two seconds. Revoking it again changes nothing. Raises KeyProblem."""
    found = connection.execute(select(api_keys.c.revoked_at).where(api_keys.c.id == key_id)).one_or_none()
    if found is None:
        raise KeyProblem(f"there is no key {key_id[:20]!r}; `waihu keys list` shows them")
    if found.revoked_at is None:
        connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=now))
        audit.note(connection, actor, "key_revoke", now, subject=f"key:{key_id}")


def find_all(connection: Connection) -> list[ApiKey]:
    """All keys that ever were, oldest first."""
    rows = connection.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id))
    return [
        ApiKey(
            row.id,
            row.name,
            bytes(row.digest),
            frozenset(row.scopes.split(",")),
            row.rate,
            row.created_at,
            row.revoked_at,
        )
        for row in rows
    ]


def matching(given: str, keys: Sequence[ApiKey]) -> ApiKey | None:
    """The key that ``given`` is, if it is one of ``keys`` and not revoked.

    The id is public and looked up; the secret is compared as a digest in constant time, against nothing if need be.
    """
    key_id, _, secret = given.partition(".")
    found = next((key for key in keys if key.id == key_id and key.revoked_at is None), None)
    same = hmac.compare_digest(_digest(secret), found.digest if found else _NO_DIGEST)
    return found if same else None


def demanded(connection: Connection, bootstrap: Sequence[str]) -> bool:
    """Whether requests need a key: one was set or made. Revoking the last one opens nothing."""
    return bool(bootstrap) or connection.execute(select(api_keys.c.id).limit(1)).first() is not None


def link_secret(connection: Connection, bootstrap: Sequence[str]) -> bytes | None:
    """What recordings' links are signed with; None while no key is needed to hear them."""
    return audit.house_secret(connection, audit.LINKS) if demanded(connection, bootstrap) else None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
