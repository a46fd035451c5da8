"""Errands: what becomes of a body's errors, and of messages that come twice."""

from __future__ import annotations

import io
import logging
import threading
import traceback
from collections.abc import Callable

import pytest
import redis
import sqlalchemy.exc

from shared import logs
from shared.errors import StatementFailed
from tests.workers.twins import Office
from workers.errands import TRIES, Body, Errand, shown
from workers.house import House, Household
from workers.room import RoomShut

AWAY = sqlalchemy.exc.OperationalError("select 1", {}, Exception("connection refused"))


@pytest.fixture
def errand(office: Office) -> Callable[..., Errand]:
    return lambda body, **options: Errand("waihu.test", body, Household(lambda: office.house), **options)


def failing(error: Exception, times: int) -> tuple[Body, list[int]]:
    tries: list[int] = []

    def body(_house: object, *_args: object) -> None:
        tries.append(1)
        if len(tries) <= times:
            raise error

    return body, tries


def test_a_body_gets_the_house_and_the_ids(errand: Callable[..., Errand], office: Office) -> None:
    seen: list[tuple[object, ...]] = []
    errand(lambda *args: seen.append(args)).run([1, 2])
    assert seen == [(office.house, [1, 2])]


def test_a_database_that_comes_back_is_tried_again(errand: Callable[..., Errand], office: Office) -> None:
    body, tries = failing(AWAY, 2)
    errand(body).run("uuid")
    assert len(tries) == 3
    assert len(office.pauses) == 2


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (AWAY, TRIES),
        (redis.ConnectionError("away"), 1),
        (RoomShut("shut"), 1),
        (sqlalchemy.exc.TimeoutError("pool"), TRIES),
    ],
)
def test_what_passes_by_itself_is_left_to_the_sweep(
    errand: Callable[..., Errand], caplog: pytest.LogCaptureFixture, error: Exception, expected: int
) -> None:
    body, tries = failing(error, 99)
    with caplog.at_level(logging.WARNING):
        errand(body).run("2512310000000000001")
    assert len(tries) == expected
    assert "left to the sweep" in caplog.records[-1].message
    assert caplog.records[-1].ids == "2512310000000000001"  # type: ignore[attr-defined]


def test_a_bug_is_logged_and_raised(errand: Callable[..., Errand], caplog: pytest.LogCaptureFixture) -> None:
    body, tries = failing(ValueError("a bug"), 9)
    with pytest.raises(ValueError, match="a bug"):
        errand(body).run()
    assert (len(tries), caplog.records[-1].message) == (1, "a task failed")


def test_messages_that_come_while_one_runs_are_one_more_run(errand: Callable[..., Errand]) -> None:
    inside, hold = threading.Semaphore(0), threading.Semaphore(0)
    runs: list[int] = []

    def body(_house: object) -> None:
        runs.append(1)
        inside.release()
        assert hold.acquire(timeout=30)

    alone = errand(body, alone=True)
    first = threading.Thread(target=alone.run)
    first.start()
    assert inside.acquire(timeout=30)
    for _ in range(3):
        alone.run()  # comes back at once
    hold.release()
    assert inside.acquire(timeout=30)
    hold.release()
    first.join(30)
    assert not first.is_alive()
    assert len(runs) == 2


def test_tables_that_are_not_there_are_named_once_and_nothing_is_raised(
    errand: Callable[..., Errand], office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    table = "tables_of_tomorrow"

    def body(house: House, *_: object) -> None:
        with house.read() as connection:
            connection.exec_driver_sql(f"SELECT 1 FROM {table}")

    ours = errand(body)
    for _ in range(3):
        ours.run()
    assert [record.message for record in caplog.records if "waihu db upgrade" in record.message] == [
        record.message for record in caplog.records
    ]
    assert len(caplog.records) == 1
    table = "tasks"
    ours.run()
    table = "tables_of_the_day_after"
    ours.run()
    assert len(caplog.records) == 2


def test_after_an_error_the_next_message_runs(errand: Callable[..., Errand]) -> None:
    body, tries = failing(ValueError("once"), 1)
    alone = errand(body, alone=True)
    with pytest.raises(ValueError, match="once"):
        alone.run()
    alone.run()
    assert len(tries) == 2


def test_log_lines_show_the_first_ids_of_a_chunk() -> None:
    assert shown(("a",)) == "a"
    assert shown(([1, 2, 3],)) == "1,2,3"
    assert shown((list(range(9)),)) == "0,1,2,3,4 and 4 more"
    assert shown(()) == ""


def test_a_process_makes_one_house() -> None:
    made: list[object] = []

    def build() -> Office:
        made.append(1)
        return made  # type: ignore[return-value]

    household = Household(build)  # type: ignore[arg-type]
    threads = [threading.Thread(target=household) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(made) == 1


def test_of_a_databases_error_logs_and_flower_see_the_kind_alone(
    errand: Callable[..., Errand], office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    """Its text quotes what was to be stored."""
    said = "我叫张三"

    class Untranslatable(Exception):
        pgcode = "22P05"

    def body(_house: object) -> None:
        try:
            raise Untranslatable(f'CONTEXT: JSON data, line 1: [{{"content": "{said}')
        except Untranslatable as orig:
            raise sqlalchemy.exc.DataError(f"UPDATE calls SET dialogue='{said}'", None, orig) from orig

    with pytest.raises(StatementFailed) as failed:
        errand(body).run()
    seen_by_celery = "".join(traceback.format_exception(failed.value))
    stream = io.StringIO()
    logs.configure(office.settings, "worker", stream)
    logging.getLogger("x").handle(caplog.records[-1])
    assert "DataError 22P05" in seen_by_celery
    assert "sqlalchemy.exc.DataError 22P05" in stream.getvalue()
    assert "in body" in stream.getvalue()
    assert said not in seen_by_celery + stream.getvalue()
