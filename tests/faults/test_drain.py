"""Media told to leave under 200 calls, and restarted under fewer that never cease to come, each in a house of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import drain
from tests.faults.house import House
from tests.faults.verdict import settle
from tests.table import record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_media_is_told_to_leave_while_200_people_are_on_the_phone(tmp_path: Path, database_url: str) -> None:
    with House(tmp_path / "house", database_url, **drain.LONG_CALLS, **drain.ROOM) as house:
        record(settle(house, drain.media_drained(house, seed=1)))


def test_media_is_restarted_behind_one_port_while_calls_never_cease_to_come(tmp_path: Path, database_url: str) -> None:
    with House(tmp_path / "house", database_url, **drain.LONG_CALLS, **drain.ROOM) as house:
        record(settle(house, drain.media_relieved(house, seed=1)))
