"""The house's time is PostgreSQL's, asked for on the connections that are there anyway."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text

from deploy.cli import main
from deploy.doctor import examine
from shared.clock import CALIBRATE_SECONDS, HouseClock
from shared.database import house_clock, open_engine, reading, writing
from shared.settings import load

HOUR_MS = 3_600_000


@pytest.fixture
def engine(postgresql_url: str) -> Iterator[Engine]:
    made = open_engine(postgresql_url, pool_size=1)
    yield made
    made.dispose()


class Elapsed:
    """Monotonic seconds that a test may let pass."""

    def __init__(self) -> None:
        self.more = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.more


def true_ms(engine: Engine) -> float:
    with engine.connect() as connection:
        return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp()) * 1000")).scalar_one())


def test_a_host_whose_clock_is_an_hour_ahead_has_the_databases_time(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: right() + HOUR_MS * 1_000_000)
    clock = house_clock(engine)
    assert clock.now_ms() == pytest.approx(true_ms(engine), abs=500)
    assert clock.skew_ms() == pytest.approx(HOUR_MS, abs=500)


def test_it_costs_one_statement_now_and_then(engine: Engine) -> None:
    elapsed = Elapsed()
    clock = house_clock(engine, elapsed)
    assert isinstance(clock, HouseClock)
    taken = []
    take = clock.take
    clock.take = lambda *sample: (taken.append(sample), take(*sample))[1]  # type: ignore[method-assign, func-returns-value]
    for _ in range(20):
        with reading(engine) as connection:
            connection.execute(text("SELECT 1"))
        clock.now_ms()
    assert len(taken) == 1
    elapsed.more += CALIBRATE_SECONDS
    for _ in range(5):
        with writing(engine) as connection:
            connection.execute(text("SELECT 1"))
    assert len(taken) == 2
    engine.dispose()
    with reading(engine) as connection:
        connection.execute(text("SELECT 1"))
    assert len(taken) == 3, "a new connection may lead to another server"


def test_whoever_asks_is_in_no_transaction_of_another(engine: Engine) -> None:
    """It is asked before the borrower's transaction begins, which then is one: what is rolled back is gone."""
    elapsed = Elapsed()
    house_clock(engine, elapsed)
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE scratch (one int)"))
    elapsed.more += CALIBRATE_SECONDS
    with suppress(ZeroDivisionError), writing(engine) as connection:
        connection.execute(text("INSERT INTO scratch VALUES (1)"))
        raise ZeroDivisionError
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM scratch")).scalar() == 0


def test_a_connection_that_died_is_replaced_and_time_goes_on(engine: Engine, postgresql_url: str) -> None:
    unpinged = open_engine(postgresql_url, pool_size=1, ping=False)
    elapsed = Elapsed()
    clock = house_clock(unpinged, elapsed)
    clock.now_ms()
    with reading(engine) as connection:
        ours = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'waihu'"
        )
        connection.execute(text(ours + " AND datname = current_database()"))
    elapsed.more += CALIBRATE_SECONDS
    with writing(unpinged) as connection:
        connection.execute(text("SELECT 1"))
    assert clock.now_ms() == pytest.approx(true_ms(engine), abs=500), "asked on the new one"
    unpinged.dispose()


def test_commands_with_one_connection_ask_before_they_borrow_it(
    postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAIHU_DATABASE_URL", postgresql_url)
    monkeypatch.setenv("WAIHU_STATE_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    made = CliRunner().invoke(main, ["keys", "add", "crm", "--scopes", "read"])
    assert made.exit_code == 0, made.output
    erased = CliRunner().invoke(main, ["erase", "13800138000", "--reason", "asked", "--yes"])
    assert "nothing of" in erased.output
    settings = {"WAIHU_DATABASE_URL": postgresql_url, "WAIHU_REDIS_URL": "redis://127.0.0.1:1/0"}
    found = {check.name: check for check in examine(load(settings, tmp_path))}
    assert (found["clock"].state, found["queue"].state) == ("ok", "ok")
