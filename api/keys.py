"""Who may use the API (reading.md, "Keys"): keys in SQL beside those of ``API_KEYS``, and nobody's while there are none."""

from __future__ import annotations

import hmac
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from flask import Request, g
from sqlalchemy import Engine

from shared.api_keys import NUMBERS, SCOPES, ApiKey, find_all, link_secret, matching
from shared.clock import Clock
from shared.database import reading

FRESH_SECONDS = 2.0
"""How long a process goes on by what it read: a key that was revoked works no longer than that."""


@dataclass(frozen=True)
class Principal:
    """Who asks. ``identity``: what its requests are counted under and its links are given to; ``rate``: its own, a minute."""

    name: str
    scopes: frozenset[str]
    identity: str
    rate: int | None = None

    @property
    def sees_numbers(self) -> bool:
        return NUMBERS in self.scopes


NOBODY = Principal("nobody", frozenset(), "nobody")
LOOPBACK = Principal("loopback", frozenset(SCOPES), "loopback")
"""Whoever reaches us while no key exists: somebody of this machine."""
LINK = "link"
"""Whoever plays a recording by its signed link; with a colon and a name: the one whom the link was given to."""


def principal() -> Principal:
    """Who sent the current request, as the gate found out."""
    found: Principal = g.principal
    return found


@dataclass(frozen=True)
class _Snapshot:
    at: float
    keys: tuple[ApiKey, ...]
    secret: bytes | None


class KeyRing:
    """All keys, read again when FRESH_SECONDS are over. Safe from several threads."""

    def __init__(self, engine: Engine, clock: Clock, bootstrap: Sequence[str]) -> None:
        self._engine = engine
        self._clock = clock
        self._bootstrap = tuple(bootstrap)
        self._lock = threading.Lock()
        self._last: _Snapshot | None = None

    def demanded(self) -> bool:
        """Whether requests need a key at all. Raises DBAPIError."""
        return bool(self._bootstrap) or bool(self._read().keys)

    def find(self, given: str) -> Principal | None:
        """Whose key this is; a key of API_KEYS has all scopes. Raises DBAPIError."""
        number = _place(given, self._bootstrap)
        if number is not None:
            return Principal(_bootstrap_name(number), frozenset(SCOPES), _bootstrap_identity(number))
        key = matching(given, self._read().keys)
        return Principal(key.name, key.scopes, key.id, key.rate) if key else None

    def listener(self, given_to: str) -> Principal:
        """Whoever plays a recording by a link that says it was given to this identity, "" for one that says nothing.

        Keys are never deleted, so the name of a revoked one is known too. Raises DBAPIError.
        """
        names = {key.id: key.name for key in self._read().keys}
        names |= {_bootstrap_identity(number): _bootstrap_name(number) for number in range(len(self._bootstrap))}
        name = f"{LINK}:{names.get(given_to, given_to)}" if given_to else LINK
        return Principal(name, frozenset(), name)

    def link_secret(self) -> bytes | None:
        """What links to recordings are signed with; None while no key is needed. Raises DBAPIError."""
        return self._read().secret

    def _read(self) -> _Snapshot:
        with self._lock:
            now = self._clock.monotonic()
            if self._last is None or now - self._last.at >= FRESH_SECONDS:
                with reading(self._engine) as connection:
                    secret = link_secret(connection, self._bootstrap)
                    self._last = _Snapshot(now, tuple(find_all(connection)), secret)
            return self._last


def _bootstrap_name(number: int) -> str:
    return f"API_KEYS[{number}]"


def _bootstrap_identity(number: int) -> str:
    return f"bootstrap:{number}"


def given_key(request: Request) -> str:
    """The key that a request carries: ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``; "" if none."""
    return bearer(request) or request.headers.get("X-API-Key", "").strip()


def bearer(request: Request) -> str:
    """The token of ``Authorization: Bearer``, "" if there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def matches(given: str, secrets: Sequence[str]) -> bool:
    """Whether ``given`` is one of ``secrets``; all are compared, in constant time."""
    return _place(given, secrets) is not None


def _place(given: str, secrets: Sequence[str]) -> int | None:
    same = [hmac.compare_digest(given.encode(), secret.encode()) for secret in secrets]
    return same.index(True) if True in same else None
