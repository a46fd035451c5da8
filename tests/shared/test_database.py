"""The database: SQLite shared by several processes, migrations that equal the schema, and errors that hold no data."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from shared import database, tallies
from shared.clock import SystemClock
from shared.errors import DatabaseUnavailable
from shared.schema import metadata
from tests.shared.migration_steps import require_steps
from tests.shared.old_numbers import BEFORE, OTHERS, SPELLINGS, make_old, require_lines, require_same_lines
from tests.shared.tally_check import wrong_tallies

PROCESSES = 4
INCREMENTS = 50


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state' / 'waihu.db'}"


def pragma(engine: Engine, name: str) -> object:
    with database.reading(engine) as connection:
        return connection.execute(text(f"PRAGMA {name}")).scalar()


def test_sqlite_writes_ahead_survives_power_loss_and_keeps_foreign_keys(url: str) -> None:
    engine = database.open_engine(url)
    assert pragma(engine, "journal_mode") == "wal"
    assert pragma(engine, "synchronous") == 2  # FULL
    assert pragma(engine, "foreign_keys") == 1
    engine.dispose()


INCREMENT = """
import sys
from sqlalchemy import text
from shared import database
engine = database.open_engine(sys.argv[1])
for _ in range(int(sys.argv[2])):
    with database.writing(engine) as connection:
        value = connection.execute(text("SELECT value FROM counter")).scalar()
        connection.execute(text("UPDATE counter SET value = :value"), {"value": value + 1})
"""


def test_processes_that_read_and_then_write_at_once_lose_nothing(url: str) -> None:
    engine = database.open_engine(url)
    with database.writing(engine) as connection:
        connection.execute(text("CREATE TABLE counter (value INTEGER)"))
        connection.execute(text("INSERT INTO counter VALUES (0)"))
    command = [sys.executable, "-c", INCREMENT, url, str(INCREMENTS)]
    root = Path(__file__).parents[2]
    writers = [subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    errors = [writer.communicate(timeout=100)[1] for writer in writers]
    assert errors == [""] * PROCESSES
    with database.reading(engine) as connection:
        assert connection.execute(text("SELECT value FROM counter")).scalar() == PROCESSES * INCREMENTS
    engine.dispose()


def test_an_exception_leaves_nothing_behind(url: str) -> None:
    engine = database.open_engine(url)
    with database.writing(engine) as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    with pytest.raises(OperationalError), database.writing(engine) as connection:
        connection.execute(text("INSERT INTO t VALUES (1)")).connection.execute(text("SELECT * FROM nowhere"))
    with database.reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM t")).scalar() == 0
    engine.dispose()


def test_a_reader_sees_one_state_and_is_not_held_up_by_a_writer(url: str) -> None:
    engine = database.open_engine(url)
    with database.writing(engine) as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    with database.reading(engine) as reader:
        assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 0
        with database.writing(engine) as writer:
            writer.execute(text("INSERT INTO t VALUES (1)"))
        assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 0
    with database.reading(engine) as reader:
        assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 1
    engine.dispose()


# --- migrations --------------------------------------------------------------------------------------------------------


def test_the_migrations_build_exactly_the_schema(url: str) -> None:
    database.upgrade(url)
    engine = database.open_engine(url)
    with database.reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_migrated_and_created_databases_are_declared_the_same(url: str, tmp_path: Path) -> None:
    """Partial indexes are what keeps a phone from ringing twice; their conditions are compared word for word."""
    database.upgrade(url)
    created = f"sqlite:///{tmp_path / 'created.db'}"
    engine = database.open_engine(created)
    with engine.begin() as connection:
        metadata.create_all(connection)
    engine.dispose()
    assert indexes(url) == indexes(created)
    assert "uq_calls_live_line" in indexes(url)
    for table in metadata.tables:
        assert columns(url, table) == columns(created, table)


def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    engine = database.open_engine(url)
    with database.reading(engine) as connection:
        found = [tuple(row) for row in connection.execute(text(statement))]
    engine.dispose()
    return found


def indexes(url: str) -> dict[str, str]:
    found = rows(url, "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    return {str(name): " ".join(str(sql).replace('"', "").split()).replace("( ", "(") for name, sql in found}


def columns(url: str, table: str) -> list[tuple[object, ...]]:
    """Name, type, whether null is allowed, default, and place in the primary key."""
    return [row[1:] for row in rows(url, f"PRAGMA table_info({table})")]


def test_upgrading_again_finds_nothing_to_do(url: str) -> None:
    database.upgrade(url)
    database.upgrade(url)
    engine = database.open_engine(url)
    database.require_current(engine)
    engine.dispose()


def test_processes_that_upgrade_at_once_wait_for_one_another(url: str) -> None:
    code = "import sys; from shared import database; database.upgrade(sys.argv[1])"
    root = Path(__file__).parents[2]
    started = [
        subprocess.Popen([sys.executable, "-c", code, url], cwd=root, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [(process.communicate(timeout=100)[1], process.returncode) for process in started] == [("", 0)] * 3


def test_a_schema_that_is_not_there_is_named_with_the_fix(url: str) -> None:
    engine = database.open_engine(url)
    with pytest.raises(DatabaseUnavailable, match="waihu db upgrade"):
        database.require_current(engine)
    engine.dispose()


def stamp(engine: Engine, revision: str) -> None:
    with database.writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def test_an_older_schema_is_not_enough_and_a_newer_one_is(url: str) -> None:
    database.upgrade(url)
    engine = database.open_engine(url)
    stamp(engine, "0001")
    with pytest.raises(DatabaseUnavailable, match=r"is at 0001, this version needs .*waihu db upgrade"):
        database.require_current(engine)
    stamp(engine, "9999_of_a_later_version")
    database.require_current(engine)
    engine.dispose()


def test_a_table_or_column_that_is_not_there_is_told_from_other_failures(url: str) -> None:
    engine = database.open_engine(url)

    def failure(statement: str) -> BaseException:
        with pytest.raises(DBAPIError) as raised, database.reading(engine) as connection:
            connection.exec_driver_sql(statement)
        return raised.value

    assert database.lacks_schema(failure("SELECT 1 FROM tasks"))
    database.upgrade(url)
    assert database.lacks_schema(failure("SELECT column_of_tomorrow FROM tasks"))
    assert not database.lacks_schema(failure("SELEC 1"))
    assert not database.lacks_schema(ValueError("no such table"))
    engine.dispose()


def test_a_database_that_is_away_is_named_without_its_password() -> None:
    engine = database.open_engine("postgresql://waihu:hunter2@127.0.0.1:1/waihu")
    with pytest.raises(DatabaseUnavailable, match="WAIHU_DATABASE_URL") as raised:
        database.require_current(engine)
    assert "hunter2" not in str(raised.value)
    engine.dispose()


# --- errors ------------------------------------------------------------------------------------------------------------


def test_an_errors_text_holds_no_customers_data(url: str) -> None:
    engine = database.open_engine(url)
    with pytest.raises(DBAPIError) as raised, database.writing(engine) as connection:
        connection.execute(text("INSERT INTO nowhere VALUES (:phone)"), {"phone": "13800138000"})
    assert "13800138000" not in str(raised.value)
    engine.dispose()


def test_a_busy_file_is_worth_another_try_and_a_bad_statement_is_not(url: str) -> None:
    engine = database.open_engine(url)
    with pytest.raises(OperationalError) as bad, database.reading(engine) as connection:
        connection.execute(text("SELECT * FROM nowhere"))
    assert not database.is_transient(bad.value)
    with database.writing(engine) as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    with database.writing(engine), engine.connect() as second:
        second.connection.execute("PRAGMA busy_timeout=1")  # type: ignore[attr-defined]
        with pytest.raises(OperationalError) as busy:
            second.begin()
    assert database.is_transient(busy.value)
    engine.dispose()


def test_entries_of_the_do_not_call_list_become_lines_and_the_older_of_two_spellings_stays(url: str) -> None:
    command.upgrade(database._alembic(url), "0008")
    engine = database.open_engine(url)
    old = [("13800138000", 5), ("+8613800138000", 3), ("057188001234", 1), ("+14155550100", 2), ("10086", 4)]
    with engine.begin() as connection:
        for number, created_at in old:
            connection.exec_driver_sql(
                f"INSERT INTO do_not_call (number, source, created_at) VALUES ('{number}', 'import', {created_at})"
            )
    database.upgrade(url)
    with engine.begin() as connection:
        rows = connection.exec_driver_sql("SELECT number, line FROM do_not_call ORDER BY created_at").all()
    engine.dispose()
    assert [tuple(row) for row in rows] == [
        ("057188001234", "+8657188001234"),
        ("+14155550100", "+14155550100"),
        ("+8613800138000", "+8613800138000"),
        ("10086", "10086"),
    ]


def test_tasks_and_calls_become_lines_and_live_calls_to_one_customer_are_let_be(url: str) -> None:
    engine = make_old(url)
    database.upgrade(url)
    with database.writing(engine) as connection:
        require_lines(connection)
        assert wrong_tallies(connection) == []
        assert tallies.count_tasks(connection) == len(SPELLINGS) + len(OTHERS)
        live = connection.execute(text("SELECT count(*) FROM calls WHERE state = 'answered'")).scalar()
        assert live == len(SPELLINGS)
        # Ids are counted on, calls still belong to their tasks, and the triggers count.
        connection.exec_driver_sql("DELETE FROM calls WHERE state = 'ended'")
        assert wrong_tallies(connection) == []
        connection.exec_driver_sql("DELETE FROM tasks WHERE state = 'completed'")
        columns = "ticket_no, phone, number, line, username, ticket_type, ticket_content, digest, state_at, created_at"
        connection.exec_driver_sql(
            f"INSERT INTO tasks ({columns}) VALUES ('N', '1', '1', '1', 'u', 't', 'c', 'd', 1, 1)"
        )
        newest = connection.exec_driver_sql("SELECT max(batch_id) FROM tasks").scalar()
        assert newest == len(SPELLINGS) + len(OTHERS) + 1
    with pytest.raises(IntegrityError), database.writing(engine) as connection:
        connection.exec_driver_sql("DELETE FROM tasks WHERE state = 'in_call'")
    engine.dispose()


def test_a_database_goes_back_to_spellings_and_forth_again(url: str) -> None:
    make_old(url).dispose()
    database.upgrade(url)
    command.downgrade(database._alembic(url), BEFORE)
    assert "uq_calls_live_number" in indexes(url)
    database.upgrade(url)
    assert "uq_calls_live_line" in indexes(url)


def test_every_migration_goes_back_and_forth_with_rows(url: str) -> None:
    require_steps(url)


@settings(deadline=None)
@given(
    made=st.lists(
        st.one_of(
            st.just(""),
            st.from_regex(r"\+?[0-9]{3,20}", fullmatch=True),
            st.builds(
                str.__add__,
                st.sampled_from(["", "0", "86", "+86", "0086", "860", "+860", "00860", "+1", "001"]),
                st.from_regex(r"[0-9]{3,11}", fullmatch=True),
            ),
        ),
        max_size=20,
    ),
    country=st.sampled_from(["86", "1", "852"]),
)
def test_the_migration_to_lines_and_python_say_the_same_of_every_number(
    memory: Engine, made: list[str], country: str
) -> None:
    with database.reading(memory) as connection:
        require_same_lines(connection, made, country)


@pytest.fixture(scope="module")
def memory() -> Iterator[Engine]:
    made = database.open_engine("sqlite://")
    yield made
    made.dispose()


def test_what_was_erased_is_not_among_the_bytes_of_a_sqlite_file(tmp_path: Path) -> None:
    """Neither in freed pages nor in the write-ahead log, once it is settled."""
    secret = "13912345678"
    engine = database.open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with database.writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE people (id INTEGER PRIMARY KEY, number TEXT, note TEXT)")
        rows = [(place, secret, secret * 1000) for place in range(1, 50)]
        connection.exec_driver_sql("INSERT INTO people VALUES (?, ?, ?)", rows)
    with database.writing(engine) as connection:
        connection.exec_driver_sql("UPDATE people SET number = '', note = '' WHERE id < 40")
        connection.exec_driver_sql("DELETE FROM people WHERE id >= 40")
    assert database.settle(engine)
    found = [path.name for path in tmp_path.iterdir() if secret.encode() in path.read_bytes()]
    engine.dispose()
    assert found == []


def test_a_log_that_somebody_reads_is_settled_later(tmp_path: Path) -> None:
    engine = database.open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with database.writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE people (id INTEGER)")
    with database.reading(engine) as reader:
        reader.exec_driver_sql("SELECT * FROM people").all()
        with database.writing(engine) as connection:
            connection.exec_driver_sql("INSERT INTO people VALUES (1)")
        assert not database.settle(engine)
    assert database.settle(engine)
    engine.dispose()


def test_nobody_is_told_the_time_by_a_database_that_was_never_reached() -> None:
    engine = database.open_engine("postgresql://waihu@127.0.0.1:1/none")
    clock = database.house_clock(engine)
    with pytest.raises(OperationalError):
        clock.now_ms()
    assert clock.skew_ms() is None
    engine.dispose()


def test_beside_a_file_there_is_one_host_and_its_clock(tmp_path: Path) -> None:
    engine = database.open_engine(f"sqlite:///{tmp_path / 'waihu.db'}")
    assert isinstance(database.house_clock(engine), SystemClock)
    engine.dispose()
