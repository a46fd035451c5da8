"""How a call's rows are found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from shared.database import open_engine, reading, upgrade, writing
from workers import store


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'waihu.db'}"
    upgrade(url)
    engine = open_engine(url)
    yield engine
    engine.dispose()


@pytest.mark.parametrize("by", [{"uuid": "2512311203587823711"}, {"call_id": "call-1"}])
def test_a_call_is_found_by_either_id_along_an_index(engine: Engine, by: dict[str, str]) -> None:
    asked: list[tuple[str, Any]] = []

    @event.listens_for(engine, "before_cursor_execute")
    def keep(_c: object, _cursor: object, statement: str, parameters: Any, _context: object, _many: bool) -> None:
        asked.append((statement, parameters))

    with reading(engine) as connection:
        assert store.read(connection, **by) is None
    with writing(engine) as connection:
        assert store.hold(connection, **by) is None
    found = [
        (statement, values) for statement, values in asked if "calls" in statement and statement.startswith("SELECT")
    ]
    assert found
    with reading(engine) as connection:
        for statement, values in found:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
            assert not [step for step in plan if step.startswith("SCAN")], plan
