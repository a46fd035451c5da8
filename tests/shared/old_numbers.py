"""A database as it was before lines stood in it, and what must be true of it afterwards. For SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from alembic import command
from sqlalchemy import Connection, Engine, String, bindparam, select, text

from shared import database
from shared.database import open_engine, writing
from shared.numbers import line

BEFORE = "0011"
SPELLINGS = ("13800138000", "8613800138000", "+8613800138000")
OTHERS = ("057188001234", "10086", "+14155550100", "0014155550100", "057112345", "")
"""The last was erased."""

_migration = import_module("shared.migrations.versions.0012_one_live_call_per_line")
_TASK = """INSERT INTO tasks (ticket_no, phone, number, username, ticket_type, ticket_content, digest, state, state_at, created_at)
    VALUES (:ticket_no, :number, :number, 'u', 't', 'c', :digest, :state, 1, 1)"""
_CALL = """INSERT INTO calls (uuid, batch_id, call_type, state, caller, number, telephone, created_at)
    VALUES (:uuid, (SELECT batch_id FROM tasks WHERE ticket_no = :ticket_no), '02', :state, '1', :number, :number, 1)"""


def make_old(url: str) -> Engine:
    """Three live calls to one customer, each under another spelling, beside others that are over."""
    command.upgrade(database._alembic(url), BEFORE)
    engine = open_engine(url)
    with writing(engine) as connection:
        for place, number in enumerate((*SPELLINGS, *OTHERS)):
            lives = number in SPELLINGS
            row = {"ticket_no": f"T{place}", "number": number, "digest": b"\0" * 16, "uuid": f"{place:019d}"}
            connection.execute(text(_TASK), row | {"state": "in_call" if lives else "completed"})
            connection.execute(text(_CALL), row | {"state": "answered" if lives else "ended"})
    return engine


def require_lines(connection: Connection, country: str = "86") -> None:
    """Every stored line is the one of its number."""
    for table in ("tasks", "calls", "do_not_call"):
        for row in connection.execute(text(f"SELECT number, line FROM {table}")):
            assert row.line == line(row.number, country), (table, row.number)


def require_same_lines(connection: Connection, made: Iterable[str], country: str) -> None:
    """What the migration says in SQL is what shared.numbers says of these numbers."""
    query = select(_migration.line_of(bindparam("number", type_=String), country))
    for number in made:
        assert connection.execute(query, {"number": number}).scalar_one() == line(number, country), number
