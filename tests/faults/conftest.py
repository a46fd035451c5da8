"""One house for all attacks, on PostgreSQL where a server can be started, else on SQLite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.house import House
from tests.faults.postgresql import PostgreSQL
from tests.postgres import find_binaries, fresh_database, running_server


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
