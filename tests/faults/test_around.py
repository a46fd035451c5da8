"""A house with retries, the breaker and gates, attacked: the phone system may be away, and limits hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import around
from tests.faults.attempts import Witness, settle_attempts
from tests.faults.house import House
from tests.postgres import fresh_database
from tests.table import record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def database_url(server: str | None, tmp_path: Path) -> Iterator[str]:
    """An empty database for each house: what one has called today counts."""
    if server is None:
        yield f"sqlite:///{tmp_path / 'waihu.db'}"
        return
    with fresh_database(server) as url:
        yield url


def test_who_was_not_reached_is_called_again_while_workers_are_killed(tmp_path: Path, database_url: str) -> None:
    with House(tmp_path / "house", database_url, **around.RETRYING) as house:
        witness = Witness(house)
        record(settle_attempts(house, around.retries(house, 1, witness), witness))


def test_tasks_wait_while_the_phone_system_is_away(tmp_path: Path, database_url: str) -> None:
    with House(tmp_path / "house", database_url, **around.BREAKING) as house:
        witness = Witness(house)
        record(settle_attempts(house, around.phone_away(house, 1, witness), witness))


def test_gates_hold_while_workers_are_killed(tmp_path: Path, database_url: str) -> None:
    with House(tmp_path / "house", database_url, **around.gated()) as house:
        witness = Witness(house)
        record(settle_attempts(house, around.gates(house, 1, witness), witness))
