"""Live calls are counted in the database itself."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import insert

from deploy.live import live_calls
from shared.database import open_engine, upgrade, writing
from shared.schema import calls


def test_phones_that_ring_or_are_talked_in_are_counted(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'waihu.db'}"
    upgrade(url)
    engine = open_engine(url)
    with writing(engine) as connection:
        for place, state in enumerate(("ringing", "answered", "ended", "queued")):
            row = {
                "uuid": f"260101000000000000{place}",
                "created_at": 1,
                "state": state,
                "call_type": "03",
                "telephone": "",
                "line": "",
            }
            connection.execute(insert(calls).values(**row, number=f"1380000000{place}", caller="1"))
    engine.dispose()
    assert live_calls(url) == 2


def test_a_database_that_is_not_there_tells_of_none(tmp_path: Path) -> None:
    assert live_calls(f"sqlite:///{tmp_path / 'none.db'}") == 0
