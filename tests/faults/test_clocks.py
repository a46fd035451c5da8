"""Hosts whose clocks differ by an hour: the house goes by one, and nobody on the phone notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import clocks
from tests.faults.attempts import Witness, settle_attempts
from tests.faults.house import House
from tests.postgres import fresh_database
from tests.table import record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def test_clocks_that_differ_by_an_hour(server: str | None, tmp_path: Path) -> None:
    if server is None:
        pytest.skip("beside a SQLite file there is one host, and one clock")
    with fresh_database(server) as url:
        house = House(tmp_path / "house", url, **clocks.CALLING)
        house.set_clocks(clocks.WRONG)
        with house:
            witness = Witness(house)
            record(settle_attempts(house, clocks.wrong_clocks(house, 1, witness), witness))
