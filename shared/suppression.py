"""The do-not-call list: who is on it, and what becomes of the tasks for those who come onto it.

A number stands there as it was given, and is compared as a line (``shared.numbers.line``): with and without its country
code it is one. ``country`` is WAIHU_COUNTRY_CODE. Putting one on the list and stopping its tasks is one transaction: once
that is committed, no call to the number begins, as after stopTasks.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, Connection, String, and_, bindparam, case, exists, func, select
from sqlalchemy.dialects import postgresql, sqlite

from shared import numbers as phone_numbers
from shared.database import is_postgresql
from shared.gate_config import DO_NOT_CALL
from shared.lifecycle import TaskState
from shared.schema import do_not_call, tasks
from shared.stops import stop_tasks

CUSTOMER, IMPORT, PERSON = "customer", "import", "person"
"""Who asked: the customer in a call, a list, somebody of the house."""
AT_ONCE = 2_500
"""Numbers in one statement: below SQLite's limit of 32,766 variables with eleven of each."""


def suppress(
    connection: Connection,
    numbers: Collection[str],
    source: str,
    now: int,
    *,
    reason: str = "",
    country: str = phone_numbers.CHINA,
    call_uuid: str | None = None,
    spare: int | None = None,
) -> list[int]:
    """Puts ``numbers`` on the list and stops their tasks; returns those that may have a live call, which workers must end.

    A number that is on it already keeps its entry. A customer who is being talked to is talked to to the end; the task
    ``spare`` is left alone whatever its state. ``reason`` must hold none of the customer's words: they are the
    dialogue's, and are erased with it.
    """
    live: list[int] = []
    ordered = sorted(set(numbers))
    for start in range(0, len(ordered), AT_ONCE):
        chunk = ordered[start : start + AT_ONCE]
        into = postgresql.insert(do_not_call) if is_postgresql(connection) else sqlite.insert(do_not_call)
        rows = [
            {
                "number": number,
                "line": phone_numbers.line(number, country),
                "source": source,
                "reason": reason,
                "call_uuid": call_uuid,
                "created_at": now,
            }
            for number in chunk
        ]
        connection.execute(into.on_conflict_do_nothing(), rows)
        known = {spelling for number in chunk for spelling in phone_numbers.spellings(number, country)}
        live += _stop(connection, sorted(known), now, spare)
    return live


def is_suppressed(number: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a column's number is on the list. WAIHU_COUNTRY_CODE is the statement's parameter ``country``."""
    return exists(select(do_not_call.c.number).where(do_not_call.c.line == line_of(number)))


def line_of(number: ColumnElement[str]) -> ColumnElement[str]:
    """``shared.numbers.line`` of a column, in SQL. WAIHU_COUNTRY_CODE is the statement's parameter ``country``."""
    country = bindparam("country", type_=String)
    size, length = func.length(country), func.length(number)

    def begins(prefix: ColumnElement[str] | str, characters: ColumnElement[int] | int) -> ColumnElement[bool]:
        return func.substr(number, 1, characters) == prefix

    def rest(characters: ColumnElement[int] | int) -> ColumnElement[str]:
        return func.substr(number, characters + 1, type_=String)

    abroad = and_(begins("00", 2), length >= phone_numbers.SHORTEST_ABROAD)
    national = case(
        (begins("+" + country, size + 1), rest(size + 1)),
        (begins("+", 1), None),
        (and_(abroad, begins("00" + country, size + 2)), rest(size + 2)),
        (abroad, None),
        (and_(begins(country, size), length >= size + phone_numbers.SHORTEST_NATIONAL), rest(size)),
        else_=number,
    )
    trunk = and_(func.length(national) > phone_numbers.SHORTEST_NATIONAL, func.substr(national, 1, 1) == "0")
    bare: ColumnElement[str] = case((trunk, func.substr(national, 2, type_=String)), else_=national)
    return case(
        (begins("+", 1) & national.is_(None), number),
        (national.is_(None), "+" + rest(2)),
        (func.substr(bare, 1, 1) == "0", number),
        (func.length(bare) >= phone_numbers.SHORTEST_NATIONAL, "+" + country + bare),
        else_=bare,
    )


def _stop(connection: Connection, numbers: Sequence[str], now: int, spare: int | None) -> list[int]:
    mine = tasks.c.number.in_(numbers) & (tasks.c.state != str(TaskState.IN_CALL))
    return stop_tasks(connection, mine if spare is None else mine & (tasks.c.batch_id != spare), now, DO_NOT_CALL)
