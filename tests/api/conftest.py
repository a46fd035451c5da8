"""An API on a database of its own, with a bell that remembers and a clock that stands still."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, event, insert, select

from api.app import create_app
from api.house import EXTENSION, House
from shared.clock import FakeClock
from shared.database import open_engine, reading, upgrade, writing
from shared.numbers import CHINA, line
from shared.schema import calls, tasks
from shared.settings import Settings, load

TICKET = {
    "ticketNo": "T20231001001",
    "phone": "13912345678",
    "username": "张三",
    "ticketType": "活动通知1",
    "ticketContent": "尊敬的张三先生，提醒您参加我们本周末的线下优惠活动。",
}
NOW = 1_767_153_838_953


class RememberingBell:
    """A twin of the doorbell: remembers what was rung."""

    def __init__(self) -> None:
        self.rung: list[tuple[str, tuple[Any, ...]]] = []

    def ring(self, name: str, *args: Any) -> bool:
        self.rung.append((name, args))
        return True


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the schema and nothing in it, to be copied."""
    path = tmp_path_factory.mktemp("database") / "empty.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def settings(tmp_path: Path, empty_database: Path) -> Settings:
    """Default settings on a state directory and a database of this test's own."""
    made = load({}, tmp_path)
    made.recordings_dir.mkdir(parents=True)
    shutil.copy(empty_database, made.state_dir / "waihu.db")
    return made


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    made = open_engine(settings.database_url)
    yield made
    made.dispose()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def bell() -> RememberingBell:
    return RememberingBell()


@pytest.fixture
def make_app(
    settings: Settings, engine: Engine, clock: FakeClock, bell: RememberingBell
) -> Iterator[Callable[..., Flask]]:
    """Makes applications; keyword arguments change settings, and ``doorbell`` and ``engine`` replace the twins."""
    made: list[Flask] = []

    def make(doorbell: Any = bell, engine: Engine = engine, **changed: Any) -> Flask:
        app = create_app(replace(settings, **changed), engine, doorbell, clock)
        made.append(app)
        return app

    yield make
    for app in made:
        house: House = app.extensions[EXTENSION]
        house.ringer.close()


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def rung(app: Flask, bell: RememberingBell) -> Callable[[], list[tuple[str, tuple[Any, ...]]]]:
    """What the workers were told so far."""

    def wait() -> list[tuple[str, tuple[Any, ...]]]:
        house: House = app.extensions[EXTENSION]
        assert house.ringer.wait_idle(10)
        return bell.rung

    return wait


@pytest.fixture
def ticket() -> Callable[..., dict[str, Any]]:
    """The document's first ticket, with changes."""
    return lambda **changed: TICKET | changed


@pytest.fixture
def add_task(engine: Engine) -> Callable[..., int]:
    """Stores a task; returns its batchId."""

    def add(**changed: Any) -> int:
        row = {
            "ticket_no": "T1",
            "phone": "13800138000",
            "number": "13800138000",
            "username": "张三",
            "ticket_type": "新用户回访",
            "ticket_content": "关于新用户首次体验的回访电话。",
            "digest": b"0" * 16,
            "state": "pending",
            "state_at": NOW,
            "created_at": NOW,
            "due_at": NOW,
        }
        row |= changed
        row.setdefault("line", line(row["number"], CHINA))
        with writing(engine) as connection:
            result = connection.execute(insert(tasks).values(row).returning(tasks.c.batch_id))
            return int(result.scalar_one())

    return add


@pytest.fixture
def add_call(engine: Engine) -> Callable[..., str]:
    """Stores a call; returns its uuid."""
    drawn = iter(range(10_000_000))

    def add(**changed: Any) -> str:
        row = {
            "uuid": f"250816211159{next(drawn):07d}",
            "call_type": "02",
            "state": "ended",
            "caller": "057128167421",
            "number": "18188888888",
            "telephone": "18188888888",
            "created_at": NOW,
            "ended_at": NOW,
            "hangup_cause": "NO_ANSWER:sip:480",
        } | changed
        row.setdefault("line", line(str(row["number"]), CHINA))
        with writing(engine) as connection:
            connection.execute(insert(calls).values(row))
        return str(row["uuid"])

    return add


@pytest.fixture
def stored(engine: Engine) -> Callable[[], list[dict[str, Any]]]:
    """All tasks, in the order of their ids."""

    def read() -> list[dict[str, Any]]:
        with reading(engine) as connection:
            return [dict(row) for row in connection.execute(select(tasks).order_by(tasks.c.batch_id)).mappings()]

    return read


@pytest.fixture
def plans(engine: Engine) -> Callable[[Callable[[], object]], list[list[str]]]:
    """The steps by which SQLite answers each SELECT that is asked while something is done."""

    def watch(done: Callable[[], object]) -> list[list[str]]:
        asked: list[tuple[str, Any]] = []

        def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
            if statement.startswith("SELECT"):
                asked.append((statement, values))

        event.listen(engine, "before_cursor_execute", note)
        done()
        event.remove(engine, "before_cursor_execute", note)
        with reading(engine) as connection:
            return [
                [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
                for statement, values in asked
            ]

    return watch


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A loopback port that is bound and does not listen: connections to it are refused."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def open_port() -> Iterator[int]:
    """A loopback port that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]
