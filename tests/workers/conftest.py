"""A house on SQLite and a real Redis, with a clock that the test moves."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from shared.database import upgrade
from tests.workers.twins import Office, running_redis


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
