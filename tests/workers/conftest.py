"""A house on SQLite and a real Redis, with a clock that the test moves."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from shared.database import upgrade
from tests.postgres import find_binaries, fresh_database, running_server
from tests.workers.twins import Office, running_redis

NewDatabase = Callable[[Path], AbstractContextManager[str]]
"""Given a directory of the test's own, the URL of a database that is as a new house has it."""


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Redis server that all tests of this run share."""
    with running_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """An empty Redis."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("database") / "empty.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def new_database(empty_database: Path) -> NewDatabase:
    """Makes an SQLite database in a directory."""

    @contextmanager
    def make(directory: Path) -> Iterator[str]:
        yield f"sqlite:///{shutil.copy(empty_database, directory / 'waihu.db')}"

    return make


@pytest.fixture
def new_postgresql_database() -> Iterator[NewDatabase]:
    """Makes a database on a PostgreSQL of this test's own."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("needs a PostgreSQL server: no initdb on the PATH nor in /usr/lib/postgresql")
    with running_server(binaries) as server, fresh_database(server) as empty:
        upgrade(empty)
        yield lambda _directory: fresh_database(server, empty)


@pytest.fixture
def open_office(tmp_path: Path, empty_database: Path, redis_url: str) -> Iterator[Callable[..., Office]]:
    """Opens offices on one database of this test's own."""
    shutil.copy(empty_database, tmp_path / "waihu.db")
    offices: list[Office] = []

    def open_one(**options: Any) -> Office:
        url = options.pop("redis_url", redis_url)
        office = Office(tmp_path, f"sqlite:///{tmp_path / 'waihu.db'}", url, **options)
        offices.append(office)
        return office

    yield open_one
    for office in offices:
        office.close()


@pytest.fixture
def office(open_office: Callable[..., Office]) -> Office:
    """An office with one media process."""
    opened = open_office()
    opened.media()
    return opened
