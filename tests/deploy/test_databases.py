"""Which database a command works on, and that looking at one never makes one."""

from __future__ import annotations

import socket
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy.exc import OperationalError

from deploy.cli import main
from deploy.databases import existing, place, require_reachable, why
from shared.database import upgrade
from shared.errors import DatabaseUnavailable
from shared.settings import load

URL = "postgresql://waihu:hunter2@db.example:5433/calls"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory that a command is run in by mistake."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ("erase", "13800138000", "--reason", "t", "--yes"),
        ("keys", "list"),
        ("keys", "add", "crm", "--scopes", "read"),
        ("keys", "revoke", "k"),
        ("doctor",),
    ],
)
def test_in_a_wrong_directory_one_line_names_it_and_no_database_is_made(
    elsewhere: Path, arguments: tuple[str, ...]
) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert str(elsewhere / "var" / "waihu.db") in result.output
    assert "WAIHU_STATE_DIR" in result.output
    assert not (elsewhere / "var" / "waihu.db").exists()


def test_an_erasure_that_found_nothing_names_the_database_and_fails(elsewhere: Path) -> None:
    assert str(elsewhere / "var" / "waihu.db") in CliRunner().invoke(main, ["db", "upgrade"]).stdout
    result = CliRunner().invoke(main, ["erase", "13800138000", "--reason", "t", "--yes"])
    assert result.exit_code == 1
    assert f"nothing of 138****8000 was found in SQLite {elsewhere / 'var' / 'waihu.db'}" in result.stderr


def test_a_database_without_our_schema_is_named_with_the_fix(elsewhere: Path) -> None:
    sqlite3.connect(elsewhere / "other.db").close()
    (elsewhere / "other.db").touch()
    house = load({"WAIHU_DATABASE_URL": f"sqlite:///{elsewhere / 'other.db'}"}, elsewhere)
    with (
        pytest.raises(DatabaseUnavailable, match=r"other\.db: the schema is at nothing.*waihu db upgrade"),
        existing(house),
    ):
        pass


def test_a_file_that_is_no_database_is_named(elsewhere: Path) -> None:
    (elsewhere / "x.db").write_text("no database " * 200)
    house = load({"WAIHU_DATABASE_URL": f"sqlite:///{elsewhere / 'x.db'}"}, elsewhere)
    with pytest.raises(DatabaseUnavailable, match=r"x\.db cannot be used: file is not a database"):
        require_reachable(house)


def test_no_directory_is_made_for_a_file_that_a_setting_names(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAIHU_DATABASE_URL", f"sqlite:///{elsewhere / 'missing' / 'dir' / 'x.db'}")
    result = CliRunner().invoke(main, ["db", "upgrade"])
    assert (result.exit_code, "does not exist" in result.stderr) == (1, True)
    assert not (elsewhere / "missing").exists()


def test_a_server_that_is_away_is_one_line_without_the_password(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("WAIHU_DATABASE_URL", f"postgresql://waihu:hunter2@127.0.0.1:{port}/calls")
    for arguments in (["keys", "list"], ["db", "upgrade"]):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 1
        assert len(result.output.splitlines()) == 1
        assert f"postgresql://waihu@127.0.0.1:{port}/calls cannot be used: Connection refused" in result.output
        assert "hunter2" not in result.output


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('connection to server at "h", port 1 failed: FATAL:  database "calls" does not exist\n', "createdb"),
        ('connection to server at "h", port 1 failed: FATAL:  role "waihu" does not exist\n', "make that role"),
        ('connection failed: FATAL:  password authentication failed for user "waihu"\n', "correct user and password"),
        ('could not translate host name "db" to address: Name or service not known\n', "correct the host"),
        ("something with hunter2 in it", "correct WAIHU_DATABASE_URL"),
    ],
)
def test_the_cause_is_told_apart(said: str, told: str) -> None:
    line = why(OperationalError("SELECT 1", None, Exception(said)), URL)
    assert told in line
    assert "hunter2" not in line
    assert "postgresql://waihu@db.example:5433/calls" in line


def test_a_place_is_told_without_a_password(elsewhere: Path) -> None:
    assert place(URL + "?sslmode=require&sslpassword=hunter2") == "postgresql://waihu@db.example:5433/calls"
    assert place("sqlite:///x.db") == f"SQLite {elsewhere / 'x.db'}"
    assert place("sqlite://") == "SQLite in memory"


def test_a_database_that_is_there_is_opened(elsewhere: Path) -> None:
    house = load({}, elsewhere)
    upgrade(house.database_url)
    with existing(house) as engine:
        assert engine.dialect.name == "sqlite"
