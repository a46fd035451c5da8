"""Customers' lines as they are stored: by which country they are computed, and computing them anew when it changes.

A line (``shared.numbers.line``) depends on WAIHU_COUNTRY_CODE, and stands beside every number of a task, a call and the
do-not-call list. So the country stands in the database with them (``line_country``): who stores a line, or looks for one,
asks for it there and not in the settings, and lines of one country meet. A worker whose setting is another changes it
(``workers.relining``). From then on until all that is stored was computed anew, no call is placed (``moving``): a task and
the entry that forbids it would pass each other by.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Row,
    String,
    Table,
    Update,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql

from shared import numbers
from shared.database import is_postgresql
from shared.schema import LIVE_CALL, calls, do_not_call, line_country, tasks

AT_ONCE = 2_000
"""Rows of one transaction: some tenths of a second."""
DONE, LIST, TASKS, CALLS = "", "list", "tasks", "calls"
"""Stages, in their order, and what is next: tasks before calls, for a call that is being written has its task's line."""
_NEXT = {LIST: TASKS, TASKS: CALLS, CALLS: DONE}

_STATE = select(line_country)
_COUNTRY = select(line_country.c.country)
MOVING = exists(_COUNTRY.where(line_country.c.stage != DONE))
"""For queries that ask whether lines are being computed anew."""
_SAVE = update(line_country)


def country(connection: Connection) -> str:
    """The country by which stored lines are computed: to look for one."""
    return str(connection.execute(_COUNTRY).scalar_one())


def hold_country(connection: Connection) -> str:
    """As ``country``, to store a line by: it does not change until this transaction has ended."""
    return str(connection.execute(_COUNTRY.with_for_update(read=True)).scalar_one())


def of(connection: Connection, number: str) -> str:
    """The line of a number (``shared.numbers.parse``), as it is stored."""
    return numbers.line(number, country(connection))


def moving(connection: Connection) -> bool:
    """Whether lines are being computed anew: until that is over, not every stored line is right."""
    return bool(state(connection).stage != DONE)


def state(connection: Connection) -> Row[*tuple[Any, ...]]:
    """The row of line_country."""
    return connection.execute(_STATE).one()


def change_country(connection: Connection, wanted: str) -> bool:
    """Lines are of this country from now on, and those that are stored are to be computed anew; False if they are already."""
    if connection.execute(_STATE.with_for_update()).one().country == wanted:
        return False
    connection.execute(_SAVE.values(country=wanted, stage=LIST, after=""))
    return True


def compute_some(connection: Connection) -> bool:
    """Computes some lines anew; whether more are left. Two at once wait for each other."""
    row = connection.execute(_STATE.with_for_update()).one()
    after = None
    match row.stage:
        case "":
            return False
        case "list":
            _compute_list(connection, row.country)
        case "tasks":
            after = _compute_rows(connection, tasks, tasks.c.batch_id, int(row.after or 0), row.country)
        case "calls":
            after = _compute_rows(connection, calls, calls.c.uuid, row.after, row.country)
    stage = row.stage if after is not None else _NEXT[row.stage]
    connection.execute(_SAVE.values(stage=stage, after="" if after is None else str(after)))
    return stage != DONE


def _compute_rows(connection: Connection, table: Table, key: Column[Any], after: Any, country: str) -> Any:
    """Of the rows that follow the key ``after``; the last one's key, None if there are no more."""
    some = select(key, table.c.number, table.c.line).where(key > after).order_by(key).limit(AT_ONCE).with_for_update()
    rows = connection.execute(some).all()
    lines = [numbers.line(row.number, country) for row in rows]
    changed = [(row[0], line) for row, line in zip(rows, lines, strict=True) if line != row.line]
    if changed and is_postgresql(connection):
        keys, its_lines = zip(*changed, strict=True)
        connection.execute(_SET_LINES[table.name], {"keys": list(keys), "lines": list(its_lines)})
    elif changed:
        one = _set_line(table).where(key == bindparam("row")).values(line=bindparam("its_line"))
        connection.execute(one, [{"row": row, "its_line": line} for row, line in changed])
    return rows[-1][0] if len(rows) == AT_ONCE else None


def _compute_list(connection: Connection, country: str) -> None:
    """The whole list at once, for two entries may change places; of two that are one line now the older stays."""
    kept: dict[str, dict[str, Any]] = {}
    rows = connection.execute(select(do_not_call).order_by(do_not_call.c.created_at, do_not_call.c.number)).mappings()
    for row in rows:
        line = numbers.line(row["number"], country)
        kept.setdefault(line, {**row, "line": line})
    connection.execute(delete(do_not_call))
    if kept:
        connection.execute(insert(do_not_call), list(kept.values()))


def _set_line(table: Table) -> Update:
    """A call that lives is let be, whatever else lives on its new line."""
    if table is tasks:
        return update(tasks)
    lives = and_(calls.c.call_type == "02", LIVE_CALL)
    return update(calls).values(beside=case((lives, calls.c.uuid), else_=calls.c.beside))


def _set_lines(table: Table, key: Column[Any]) -> Update:
    """As many rows as there are keys and lines, in one statement: PostgreSQL's, which is far away."""
    keys = bindparam("keys", type_=postgresql.ARRAY(key.type))
    its_lines = bindparam("lines", type_=postgresql.ARRAY(String))
    given = func.unnest(keys, its_lines).table_valued("key", "line").render_derived(name="given")
    return _set_line(table).where(key == given.c.key).values(line=given.c.line)


_SET_LINES = {"tasks": _set_lines(tasks, tasks.c.batch_id), "calls": _set_lines(calls, calls.c.uuid)}
