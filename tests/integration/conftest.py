"""Servers from outside PyPI, started for the tests that need them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from shared.database import upgrade
from tests.postgres import find_binaries, fresh_database, running_server

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Whatever stands in this folder is an integration test: ``make test`` needs no server."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a running PostgreSQL server's maintenance database."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("needs a PostgreSQL server: no initdb on the PATH nor in /usr/lib/postgresql")
    with running_server(binaries) as url:
        yield url


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """The URL of a database of this test's own, with the schema in it."""
    with fresh_database(postgresql_server) as url:
        upgrade(url)
        yield url
