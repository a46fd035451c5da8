"""``waihu keys`` and ``waihu erase`` against a database of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import insert, select

from deploy.cli import main
from shared import api_keys
from shared.database import open_engine, reading, upgrade, writing
from shared.schema import audit, tasks


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    made = f"sqlite:///{tmp_path / 'waihu.db'}"
    upgrade(made)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WAIHU_DATABASE_URL", made)
    return made


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def rows(url: str, table: Any) -> list[Any]:
    engine = open_engine(url)
    with reading(engine) as connection:
        found = list(connection.execute(select(table)))
    engine.dispose()
    return found


def test_a_key_is_printed_once_listed_without_its_secret_and_revoked(url: str) -> None:
    key = run("keys", "add", "crm", "--scopes", "submit, read", "--rate", "60").stdout.strip()
    key_id, _, secret = key.partition(".")
    listed = run("keys", "list").stdout
    assert "crm" in listed
    assert "submit,read" in listed
    assert secret not in listed
    engine = open_engine(url)
    with reading(engine) as connection:
        assert api_keys.matching(key, api_keys.find_all(connection)) is not None
    assert run("keys", "revoke", key_id).exit_code == 0
    assert run("keys", "revoke", key_id).exit_code == 0
    with reading(engine) as connection:
        assert api_keys.matching(key, api_keys.find_all(connection)) is None
    engine.dispose()
    noted = rows(url, audit)
    assert [(row.action, row.subject) for row in noted] == [
        ("key_add", f"key:{key_id}"),
        ("key_revoke", f"key:{key_id}"),
    ]
    assert noted[0].actor.startswith("cli:")


def test_programs_get_keys_as_json(url: str) -> None:
    made = json.loads(run("keys", "add", "crm", "--scopes", "submit, read", "--json").stdout)
    assert made["key"].startswith(f"{made['id']}.")
    (listed,) = json.loads(run("keys", "list", "--json").stdout)
    assert listed.pop("createdAt").endswith("+08:00")
    assert listed == {"id": made["id"], "name": "crm", "scopes": ["submit", "read"], "rate": None, "revokedAt": None}
    assert json.loads(run("keys", "revoke", made["id"], "--json").stdout) == {"id": made["id"], "revoked": True}
    assert json.loads(run("keys", "list", "--json").stdout)[0]["revokedAt"]
    assert "no key" in json.loads(run("keys", "revoke", "nothing", "--json").stdout)["error"]


def test_erase_asks_a_program_nothing_and_prints_it_one_document(url: str) -> None:
    unasked = run("erase", "13800138000", "--reason", "来函", "--json")
    assert (unasked.exit_code, "--yes" in json.loads(unasked.stdout)["error"]) == (2, True)
    in_vain = run("erase", "13800138000", "--reason", "来函", "--json", "--yes")
    assert (in_vain.exit_code, json.loads(in_vain.stdout)["erased"]["tasks"]) == (1, 0)
    assert "138****8000" in in_vain.stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("keys", "add", "crm", "--scopes", "root"), "submit"),
        (("keys", "add", "crm", "--scopes", ","), "submit"),
        (("keys", "add", " ", "--scopes", "read"), "name"),
        (("keys", "revoke", "nothing"), "no key"),
        (("erase", "abc", "--reason", "x", "--yes"), "digits"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(url: str, arguments: tuple[str, ...], word: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert word in result.output
    assert rows(url, audit) == []


def test_erase_prints_the_proof(url: str) -> None:
    engine = open_engine(url)
    ticket = {"phone": "13800138000", "number": "13800138000", "username": "张三", "ticket_type": "t", "created_at": 1}
    ticket |= {
        "line": "+8613800138000",
        "ticket_no": "T",
        "ticket_content": "c",
        "digest": b"1",
        "state": "completed",
        "state_at": 1,
    }
    with writing(engine) as connection:
        connection.execute(insert(tasks).values(ticket))
    engine.dispose()
    result = run("erase", "13800138000", "--reason", "来函", "--yes")
    proof = json.loads(result.stdout)
    assert (proof["erased"]["tasks"], sum(proof["remaining"].values())) == (1, 0)
    assert rows(url, tasks)[0].username == ""
