"""Who may do what: every route of the URL map, with every key that is not enough for it, and with the least that is.

The table is made from the URL map itself, so a route that nobody thought of is in it, and without a scope fails it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine

from api.keys import FRESH_SECONDS
from api.scopes import OPEN, scope_of
from shared import api_keys
from shared.api_keys import SCOPES
from shared.clock import FakeClock
from shared.database import writing
from tests.api.test_gate import sample

BOOTSTRAP = "key-of-the-settings"


class Keys:
    """For each scope a key with it alone, and one with all the others; and what people try instead of one."""

    def __init__(self, engine: Engine, now: int) -> None:
        with writing(engine) as connection:

            def add(*scopes: str) -> str:
                return api_keys.add(connection, "crm", scopes, now, actor="cli:test")

            self.only = {scope: add(scope) for scope in SCOPES}
            self.lacking = {scope: add(*(other for other in SCOPES if other != scope)) for scope in SCOPES}
            revoked = add(*SCOPES)
            api_keys.revoke(connection, revoked.partition(".")[0], now, actor="cli:test")
        key_id, _, secret = self.only["admin"].partition(".")
        other_id = self.only["read"].partition(".")[0]
        self.none: dict[str, dict[str, str]] = {
            "no key": {},
            "an empty key": {"X-API-Key": ""},
            "a wrong key": {"X-API-Key": "wrong"},
            "a revoked key": {"X-API-Key": revoked},
            "a key's id": {"X-API-Key": key_id},
            "a key's secret": {"X-API-Key": secret},
            "a key with one character less": {"X-API-Key": f"{key_id}.{secret[:-1]}"},
            "another key's secret": {"X-API-Key": f"{other_id}.{secret}"},
            "a key of the settings, cut short": {"Authorization": f"Bearer {BOOTSTRAP[:-1]}"},
            "a key as a password": {"Authorization": f"Basic {BOOTSTRAP}"},
            "the key in the query": {},
        }


@pytest.fixture
def guarded(make_app: Callable[..., Flask]) -> Flask:
    return make_app(api_keys=(BOOTSTRAP,))


@pytest.fixture
def keys(guarded: Flask, engine: Engine, clock: FakeClock) -> Keys:
    made = Keys(engine, clock.now_ms())
    clock.advance(FRESH_SECONDS)
    return made


def doors(app: Flask) -> Iterator[tuple[str, str, str]]:
    """Method, path and scope of everything that is served, aliases and HEAD among it."""
    for rule in app.url_map.iter_rules():
        scope = scope_of(rule.endpoint)
        assert scope in (OPEN, *SCOPES), f"{rule.rule} ({rule.endpoint}) names no scope: api/scopes.py"
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):
            yield method, sample(app, rule, method), scope


def knock(app: Flask, method: str, path: str, headers: dict[str, str]) -> int:
    body: Any = {} if method in ("POST", "DELETE") else None
    with app.test_client().open(path, method=method, json=body, headers=headers) as response:
        return response.status_code


def test_every_route_is_shut_to_every_key_that_is_not_enough(guarded: Flask, keys: Keys) -> None:
    guarded_doors = [door for door in doors(guarded) if door[2] != OPEN]
    assert len(guarded_doors) > 30
    wrong = []
    for method, path, scope in guarded_doors:
        for what, headers in keys.none.items():
            asked = f"{path}?key={BOOTSTRAP}" if what == "the key in the query" else path
            if (status := knock(guarded, method, asked, headers)) != 401:
                wrong.append((method, path, what, status))
        if (status := knock(guarded, method, path, {"X-API-Key": keys.lacking[scope]})) != 403:
            wrong.append((method, path, f"all scopes but {scope}", status))
    assert wrong == []


def test_every_route_opens_to_the_one_scope_it_needs(guarded: Flask, keys: Keys) -> None:
    shut = [
        (method, path, scope)
        for method, path, scope in doors(guarded)
        if knock(guarded, method, path, {"X-API-Key": keys.only[scope]} if scope != OPEN else {}) in (401, 403)
    ]
    assert shut == []


def test_what_is_open_to_all_is_written_down_here_too(guarded: Flask) -> None:
    opened = {path for _, path, scope in doors(guarded) if scope == OPEN}
    assert opened == {
        *("/", "/docs", "/docs/", "/docs/assets/1", "/docs/openapi.json", "/static/1"),
        *("/healthz", "/readyz", "/api/phone/events"),
    }


def test_no_refusal_tells_a_guesser_how_near_he_was(guarded: Flask, keys: Keys) -> None:
    answers = set()
    for headers in keys.none.values():
        response = guarded.test_client().get("/api/v1/stats", headers=headers)
        kept = {name: value for name, value in response.headers if name != "X-Request-Id"}
        answers.add((response.status_code, response.text, tuple(sorted(kept.items()))))
    assert len(answers) == 1
