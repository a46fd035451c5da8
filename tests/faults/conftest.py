"""One house for all attacks, on PostgreSQL where a server can be started, else on SQLite; and the table at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.house import House
from tests.faults.postgresql import PostgreSQL
from tests.faults.verdict import HEADER, Verdict
from tests.postgres import find_binaries, fresh_database, running_server

_table: list[Verdict] = []


@pytest.fixture(scope="session")
def server() -> Iterator[str | None]:
    """The URL of a PostgreSQL server's maintenance database; None where there is none to start."""
    binaries = find_binaries()
    if binaries is None:
        yield None
        return
    with running_server(binaries) as url:
        yield url


@pytest.fixture(scope="module")
def database_url(server: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An empty database."""
    if server is None:
        yield f"sqlite:///{tmp_path_factory.mktemp('database') / 'waihu.db'}"
        return
    with fresh_database(server) as url:
        yield url


@pytest.fixture(scope="module")
def postgresql(database_url: str) -> PostgreSQL | None:
    return PostgreSQL(database_url) if database_url.startswith("postgresql") else None


@pytest.fixture(scope="module")
def shared_house(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("attacked") / "house", database_url) as house:
        yield house


@pytest.fixture
def house(shared_house: House) -> Iterator[House]:
    """Whole, whatever the attack before it left behind."""
    shared_house.revive()
    yield shared_house
    shared_house.faults()


def record(*verdicts: Verdict) -> None:
    """Puts a line of each in the table, and fails if a promise was broken."""
    _table.extend(verdicts)
    assert not any(verdict.broken for verdict in verdicts), "\n".join(
        f"{verdict.attack}: {what}" for verdict in verdicts for what in verdict.broken
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _table:
        terminalreporter.write_sep("=", "attacks")
        terminalreporter.write_line(HEADER)
        for verdict in _table:
            terminalreporter.write_line(str(verdict))
