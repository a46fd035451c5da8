"""The outbox: one row for each end and endpoint, with an id that never changes; nothing where nobody listens."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert, select, update

from shared.database import open_engine, reading, upgrade, writing
from shared.outbox import TASK_FINISHED, delivery_id, record_final
from shared.schema import webhook_deliveries, webhook_endpoints

NOW = 1_767_153_838_953


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path}/waihu.db"
    upgrade(url)
    made = open_engine(url)
    yield made
    made.dispose()


def register(engine: Engine, count: int = 1) -> None:
    rows = [{"url": f"https://{index}.example", "secret": "s" * 16, "created_at": NOW} for index in range(count)]
    with writing(engine) as connection:
        connection.execute(insert(webhook_endpoints), rows)


def rows(engine: Engine) -> list[Any]:
    with reading(engine) as connection:
        order = (webhook_deliveries.c.batch_id, webhook_deliveries.c.endpoint_id)
        return list(connection.execute(select(webhook_deliveries).order_by(*order)).all())


def test_every_endpoint_gets_a_row_for_every_task(engine: Engine) -> None:
    register(engine, 2)
    with writing(engine) as connection:
        assert record_final(connection, [7, 8], NOW) == 4
    found = rows(engine)
    assert [(row.batch_id, row.endpoint_id) for row in found] == [(7, 1), (7, 2), (8, 1), (8, 2)]
    assert {(row.event, row.state, row.attempts, row.due_at, row.created_at) for row in found} == {
        (TASK_FINISHED, "waiting", 0, NOW, NOW)
    }
    assert len({row.id for row in found}) == 4


def test_written_twice_is_written_once_and_keeps_what_became_of_it(engine: Engine) -> None:
    register(engine)
    with writing(engine) as connection:
        record_final(connection, [7], NOW)
        connection.execute(update(webhook_deliveries).values(state="delivered"))
    with writing(engine) as connection:
        record_final(connection, [7, 7], NOW)
    assert [row.state for row in rows(engine)] == ["delivered"]


def test_a_task_that_ends_again_is_news(engine: Engine) -> None:
    register(engine)
    with writing(engine) as connection:
        record_final(connection, [7], NOW)
        record_final(connection, [7], NOW + 1)
    assert len(rows(engine)) == 2


def test_an_end_that_is_rolled_back_is_told_to_nobody(engine: Engine) -> None:
    register(engine)

    def end_and_fail() -> None:
        with writing(engine) as connection:
            record_final(connection, [7], NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        end_and_fail()
    assert rows(engine) == []


def test_without_an_endpoint_nothing_is_written_and_one_question_asked(engine: Engine) -> None:
    register(engine)
    with writing(engine) as connection:
        connection.execute(update(webhook_endpoints).values(disabled_at=NOW))
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: asked.append(statement))
    with writing(engine) as connection:
        assert record_final(connection, [], NOW) == 0
        assert record_final(connection, list(range(1, 10_000)), NOW) == 0
    assert [statement.split()[0] for statement in asked] == ["BEGIN", "SELECT"]
    assert rows(engine) == []


def test_ten_thousand_ends_go_in_at_once(engine: Engine) -> None:
    register(engine, 2)
    with writing(engine) as connection:
        assert record_final(connection, list(range(1, 10_001)), NOW) == 20_000
    assert len(rows(engine)) == 20_000


def test_an_id_is_the_same_in_every_version_of_this_software() -> None:
    assert delivery_id(1, 10013, NOW) == "7fc7c751-4b90-590d-9d63-edb8bd77265a"
    assert uuid.UUID(delivery_id(1, 10013, NOW)).version == 5
    assert len({delivery_id(*key) for key in ((1, 11, 1), (11, 1, 1), (1, 1, 11))}) == 3


def test_who_makes_tasks_final_is_known_to_write_the_outbox() -> None:
    """Three places write ``final_at``: a task saved by the workers, and tasks stopped, or expired, many at once."""
    root = Path(__file__).parents[2]
    sources = [path for top in ("api", "workers", "shared", "deploy") for path in (root / top).rglob("*.py")]
    callers = {str(path.relative_to(root)) for path in sources if "record_final(" in path.read_text()}
    assert callers == {"shared/outbox.py", "shared/stops.py", "workers/expiry.py", "workers/store.py"}
    direct = {str(path.relative_to(root)) for path in sources if re.search(r"\bfinal_at=(?!null)", path.read_text())}
    assert direct == {"shared/lifecycle/task.py", "shared/stops.py", "workers/expiry.py"}, (
        "write webhook_deliveries too: shared.outbox.record_final"
    )
