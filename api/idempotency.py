"""``Idempotency-Key``: the first answer, word for word, for 24 hours (reading.md, "Sent twice")."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from api.envelope import refuse
from shared.schema import idempotency_keys

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
KEPT_MS = 24 * 3600 * 1000
LONGEST = 200
SWEPT_AT_ONCE = 100
"""Expired keys that go with each new one: the table shrinks faster than it grows, and no request pays for many."""


@dataclass(frozen=True)
class Key:
    """``name`` stands for a key and whose it is: two clients that count from 1 do not meet. ``digest`` (32 bytes): of the
    body it came with."""

    name: str
    digest: bytes


def read_key(header: str | None, body: bytes, owner: str) -> Key | None:
    """The key in a request's header, None without one. ``owner``: the identity of who sent it (``api.keys.Principal``).

    Raises ParameterError for one that cannot be kept.
    """
    if header is None:
        return None
    name = header.strip()
    if not name or len(name) > LONGEST or not name.isprintable():
        raise refuse(f"应为 1 到 {LONGEST} 个可见字符", field=HEADER)
    return Key(_digest(f"{owner}\0{name}".encode()).hex(), _digest(body))


def _digest(given: bytes) -> bytes:
    return hashlib.blake2b(given, digest_size=32).digest()


def replay(connection: Connection, key: Key, now: int) -> bytes | None:
    """The answer that was given to this key, None if there is none. Raises ParameterError if the body was another."""
    kept = idempotency_keys.c
    query = select(kept.digest, kept.response).where(kept.key == key.name, kept.created_at > now - KEPT_MS)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    if bytes(row.digest) != key.digest:
        raise refuse("这个键已用于另一个内容不同的请求", field=HEADER)
    return bytes(row.response)


def keep(connection: Connection, key: Key, response: bytes, now: int) -> None:
    """Stores the answer in the transaction that did the work. Raises IntegrityError if the same key won meanwhile."""
    kept = idempotency_keys.c
    expired = kept.created_at <= now - KEPT_MS
    some = (
        select(kept.key).where(expired).order_by(kept.created_at).limit(SWEPT_AT_ONCE).with_for_update(skip_locked=True)
    )
    connection.execute(delete(idempotency_keys).where(kept.key.in_(some)))
    connection.execute(delete(idempotency_keys).where(kept.key == key.name, expired))
    row = {"key": key.name, "digest": key.digest, "response": response, "created_at": now}
    connection.execute(insert(idempotency_keys).values(row))
