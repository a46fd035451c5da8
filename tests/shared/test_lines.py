"""Stored lines: of which country they are, and that all of them follow when it changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, insert, select

from shared import lines
from shared.database import reading, upgrade, writing
from shared.erasure import ErasureRefused, erase
from shared.schema import calls, do_not_call, tasks
from tests.shared.old_numbers import OTHERS, SPELLINGS, make_old, require_lines

NATIONAL, ABROAD = "13800138000", "+13800138000"
"""One line where the country code is 1, two in China."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'waihu.db'}"
    made = make_old(url)
    upgrade(url)
    yield made
    made.dispose()


def follow(engine: Engine, country: str) -> int:
    """Computes all anew; in how many pieces."""
    with writing(engine) as connection:
        assert lines.change_country(connection, country)
    pieces = 1
    while True:
        with writing(engine) as connection:
            assert lines.moving(connection)
            if not lines.compute_some(connection):
                break
        pieces += 1
    with reading(engine) as connection:
        assert not lines.moving(connection)
    return pieces


def test_lines_are_of_the_country_that_the_database_was_made_with(engine: Engine) -> None:
    with writing(engine) as connection:
        assert lines.country(connection) == lines.hold_country(connection) == "86"
        assert lines.of(connection, "13800138000") == "+8613800138000"
        assert not lines.moving(connection)
        assert not lines.change_country(connection, "86")
        assert not lines.compute_some(connection)
        require_lines(connection)


@pytest.mark.parametrize("at_once", [1, 2, 1_000])
def test_all_lines_follow_a_country_that_changes_piece_by_piece(
    engine: Engine, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "AT_ONCE", at_once)
    for country in ("1", "852", "86"):
        pieces = follow(engine, country)
        assert pieces == {1: 21, 2: 11, 1_000: 3}[at_once]
        with reading(engine) as connection:
            assert lines.country(connection) == country
            require_lines(connection, country)


def test_live_calls_whose_line_changes_are_let_be(engine: Engine) -> None:
    """In China they are on two lines, in America on one."""
    with writing(engine) as connection:
        connection.execute(calls.delete())
        ids = list(connection.execute(select(tasks.c.batch_id).limit(2)).scalars())
        for batch_id, number in zip(ids, (NATIONAL, ABROAD), strict=True):
            row = {"uuid": number.rjust(19, "0"), "batch_id": batch_id, "call_type": "02", "state": "answered"}
            row |= {"caller": "1", "number": number, "line": lines.of(connection, number), "telephone": number}
            connection.execute(insert(calls).values(**row, created_at=1))
    follow(engine, "1")
    with reading(engine) as connection:
        rows = connection.execute(select(calls.c.number, calls.c.line, calls.c.beside)).all()
        assert [row.line for row in rows] == [ABROAD, ABROAD]
        assert {row.number: bool(row.beside) for row in rows} == {NATIONAL: True, ABROAD: False}


def test_of_two_entries_that_become_one_line_the_older_stays(engine: Engine) -> None:
    entries = [(NATIONAL, "+8613800138000", 5), (ABROAD, ABROAD, 3), ("10086", "10086", 4)]
    with writing(engine) as connection:
        for number, line, created_at in entries:
            row = {"number": number, "line": line, "source": "person", "reason": "R", "created_at": created_at}
            connection.execute(insert(do_not_call).values(row))
    follow(engine, "1")
    with reading(engine) as connection:
        rows = connection.execute(select(do_not_call).order_by(do_not_call.c.created_at)).all()
        require_lines(connection, "1")
    assert [(row.number, row.created_at, row.reason) for row in rows] == [(ABROAD, 3, "R"), ("10086", 4, "R")]


def test_nobody_is_erased_while_not_all_of_them_would_be_found(engine: Engine, tmp_path: Path) -> None:
    with writing(engine) as connection:
        lines.change_country(connection, "1")
    with pytest.raises(ErasureRefused, match="computed anew"), writing(engine) as connection:
        erase(connection, OTHERS[0], tmp_path, ZoneInfo("Asia/Shanghai"), 1, reason="asked", actor="test")


def test_who_was_erased_has_no_line_left(engine: Engine, tmp_path: Path) -> None:
    with writing(engine) as connection:
        erase(connection, OTHERS[0], tmp_path, ZoneInfo("Asia/Shanghai"), 1, reason="asked", actor="test")
        require_lines(connection)
        for table in (tasks, calls):
            empty = connection.execute(select(table.c.line).where(table.c.number == "")).scalars().all()
            assert empty == ["", ""]
            assert len(connection.execute(select(table.c.line)).all()) == len(SPELLINGS) + len(OTHERS)
