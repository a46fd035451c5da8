"""Who may do what: every route of the URL map, with every key that is not enough for it, and with the least that is.

The table is made from the URL map itself, so a route that nobody thought of is in it, and without a scope fails it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine

from api.keys import FRESH_SECONDS
from api.scopes import OPEN, scopes_of
from shared import api_keys
from shared.api_keys import SCOPES
from shared.clock import FakeClock
from shared.database import writing
from tests.api.test_gate import sample

BOOTSTRAP = "key-of-the-settings"


class Keys:
    """A key with exactly the scopes asked for, made once; and what people try instead of one."""

    def __init__(self, engine: Engine, now: int) -> None:
        with writing(engine) as connection:

            def add(*scopes: str) -> str:
                return api_keys.add(connection, "crm", scopes, now, actor="cli:test")

            wanted = [scopes for count in range(1, len(SCOPES) + 1) for scopes in combinations(SCOPES, count)]
            self.made = {frozenset(scopes): add(*scopes) for scopes in wanted}
            revoked = add(*SCOPES)
            api_keys.revoke(connection, revoked.partition(".")[0], now, actor="cli:test")
        key_id, _, secret = self.only("admin").partition(".")
        other_id = self.only("read").partition(".")[0]
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

    def only(self, *scopes: str) -> str:
        return self.made[frozenset(scopes)]

    def lacking(self, scope: str) -> str:
        """One with all the others."""
        return self.made[frozenset(SCOPES) - {scope}]


@pytest.fixture
def guarded(make_app: Callable[..., Flask]) -> Flask:
    return make_app(api_keys=(BOOTSTRAP,))


@pytest.fixture
def keys(guarded: Flask, engine: Engine, clock: FakeClock) -> Keys:
    made = Keys(engine, clock.now_ms())
    clock.advance(FRESH_SECONDS)
    return made


def doors(app: Flask) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Method, path and scopes of everything that is served, aliases and HEAD among it."""
    for rule in app.url_map.iter_rules():
        scopes = scopes_of(rule.endpoint)
        assert scopes is not None, f"{rule.rule} ({rule.endpoint}) names no scope: api/scopes.py"
        assert set(scopes) <= set(SCOPES)
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):
            yield method, sample(app, rule, method), scopes


def knock(app: Flask, method: str, path: str, headers: dict[str, str]) -> int:
    body: Any = {} if method in ("POST", "DELETE") else None
    with app.test_client().open(path, method=method, json=body, headers=headers) as response:
        return response.status_code


def test_every_route_is_shut_to_every_key_that_is_not_enough(guarded: Flask, keys: Keys) -> None:
    guarded_doors = [door for door in doors(guarded) if door[2] != OPEN]
    assert len(guarded_doors) > 30
    wrong = []
    for method, path, scopes in guarded_doors:
        for what, headers in keys.none.items():
            asked = f"{path}?key={BOOTSTRAP}" if what == "the key in the query" else path
            if (status := knock(guarded, method, asked, headers)) != 401:
                wrong.append((method, path, what, status))
        wrong += [
            (method, path, f"all scopes but {scope}", status)
            for scope in scopes
            if (status := knock(guarded, method, path, {"X-API-Key": keys.lacking(scope)})) != 403
        ]
    assert wrong == []


def test_every_route_opens_to_the_scopes_it_needs_and_no_more(guarded: Flask, keys: Keys) -> None:
    shut = [
        (method, path, scopes)
        for method, path, scopes in doors(guarded)
        if knock(guarded, method, path, {"X-API-Key": keys.only(*scopes)} if scopes != OPEN else {}) in (401, 403)
    ]
    assert shut == []


def test_a_key_of_the_settings_has_every_scope(guarded: Flask, keys: Keys) -> None:
    shut = [
        (method, path, scopes)
        for method, path, scopes in doors(guarded)
        if scopes != OPEN and knock(guarded, method, path, {"X-API-Key": BOOTSTRAP}) in (401, 403)
    ]
    assert shut == []


def test_what_makes_whole_numbers_leave_needs_the_scope_to_see_them(guarded: Flask, keys: Keys) -> None:
    client, delivery = guarded.test_client(), "/api/v1/webhooks/deliveries/1/replay"
    for path in ("/api/v1/webhooks", delivery):
        for given, named in (
            (keys.only("admin"), "the scope numbers"),
            (keys.lacking("numbers"), "the scope numbers"),
            (keys.only("numbers"), "the scope admin"),
            (keys.only("submit", "read"), "the scope admin and the scope numbers"),
        ):
            response = client.post(path, json={}, headers={"X-API-Key": given})
            assert (response.status_code, response.mimetype) == (403, "application/problem+json")
            assert response.json["detail"] == f"this key may not do that: it needs {named}"
    for given in (keys.only("admin", "numbers"), BOOTSTRAP):
        assert client.post("/api/v1/webhooks", json={}, headers={"X-API-Key": given}).status_code == 400
        assert client.post(delivery, headers={"X-API-Key": given}).status_code == 404


def test_the_document_names_the_scopes_that_each_operation_needs(guarded: Flask) -> None:
    document = guarded.test_client().get("/docs/openapi.json").json
    named = {
        operation["operationId"]: tuple(re.findall(r"`(\w+)`", operation["description"].rpartition("所需的权限：")[2]))
        for item in document["paths"].values()
        for method, operation in item.items()
        if method in ("get", "post", "delete") and "所需的权限：" in operation.get("description", "")
    }
    needed = {rule.endpoint.rpartition(".")[2]: scopes_of(rule.endpoint) for rule in guarded.url_map.iter_rules()}
    assert len(named) > 25
    assert sorted(named.values()) == sorted(
        scopes for view, scopes in needed.items() if scopes and not view.endswith("_alias")
    )
    assert (named["addWebhook"], named["replayDelivery"]) == (("admin", "numbers"),) * 2
    assert (named["removeWebhook"], named["listRecords"]) == (("admin",), ("read",))


def test_what_is_open_to_all_is_written_down_here_too(guarded: Flask) -> None:
    opened = {path for _, path, scopes in doors(guarded) if scopes == OPEN}
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
