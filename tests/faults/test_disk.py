"""A house whose recordings lie on a disk of their own, which becomes full."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import drain, talks
from tests.faults.house import House
from tests.faults.verdict import settle
from tests.small_disk import small_disk
from tests.table import record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MEBIBYTES = 64
"""Of a disk with room for what four calls may need at the least, twice over."""


def test_the_disk_is_full_while_people_talk_and_others_wait(tmp_path: Path, database_url: str) -> None:
    """ENOSPC from a real filesystem, for media, for the transcript and for the workers who finish records."""
    with (
        small_disk(tmp_path / "recordings", MEBIBYTES) as disk,
        House(tmp_path / "house", database_url, RECORDINGS_DIR=str(disk.root), **drain.LONG_CALLS) as house,
    ):
        record(settle(house, talks.disk_full(house, seed=1, disk=disk)))
