"""Rows and the lifecycle's values: what is read under a lock, and what is written back.

Locking order, everywhere: an event's row, then a call's, then its task's. Dispatch alone begins with tasks, but only
with waiting ones, which have no live call, and it inserts calls instead of locking them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Column,
    Connection,
    Row,
    Select,
    TextClause,
    Update,
    and_,
    bindparam,
    select,
    text,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from shared.bus import Briefing
from shared.lifecycle import (
    FINAL_TASKS,
    LIVE_CALLS,
    WAITING_TASKS,
    Call,
    CallState,
    Effects,
    Fact,
    Task,
    TaskState,
    apply,
    follow,
    settle,
)
from shared.outbox import record_final
from shared.schema import calls, tasks
from workers.policies import Policies


def _among(column: str, states: Iterable[str]) -> TextClause:
    """Written out as the partial indexes write it: with bound parameters no database would see that it may use them."""
    return text(f"{column} IN ({', '.join(repr(str(state)) for state in sorted(states))})")


WAITING = _among("tasks.state", WAITING_TASKS)
ACTIVE = _among("tasks.state", set(TaskState) - FINAL_TASKS - WAITING_TASKS)
"""Tasks that must have a live call."""
LIVE = _among("calls.state", LIVE_CALLS)
OVER = text(f"NOT ({LIVE.text})")
LIVE_OUTBOUND = text(f"calls.call_type = '02' AND {LIVE.text}")
LISTED = _among("calls.state", (CallState.ENDED, CallState.LOST, CallState.REFUSED))

_CALL_FIELDS = tuple(item.name for item in fields(Call))
_TASK_FIELDS = tuple(item.name for item in fields(Task))
_TICKET_FIELDS = ("ticket_no", "username", "ticket_type", "ticket_content")
_HELD = (
    *(calls.c[name] for name in _CALL_FIELDS),
    calls.c.batch_id.label("call_batch_id"),
    calls.c.call_type,
    calls.c.caller,
    calls.c.number,
    calls.c.exten,
    *(tasks.c[name].label(f"task_{name}") for name in _TASK_FIELDS),
    tasks.c.expires_at,
    tasks.c.zone,
    *(tasks.c[name] for name in _TICKET_FIELDS),
)
_CALL_AND_TASK = select(*_HELD).join_from(calls, tasks, calls.c.batch_id == tasks.c.batch_id)
_CALL_ALONE = select(*_HELD).join_from(calls, tasks, calls.c.batch_id == tasks.c.batch_id, isouter=True)
# Statements are made once: to make one anew costs five times what it costs to send it.
_IDENTITY: BindParameter[str] = bindparam("identity")
_BY = {
    "uuid": calls.c.uuid == _IDENTITY,
    # As the partial index has it, or SQLite reads every call.
    "call_id": and_(calls.c.call_id == _IDENTITY, text("calls.call_id <> ''")),
}
_READ = {name: _CALL_ALONE.where(where) for name, where in _BY.items()}
_HOLD = {name: _CALL_AND_TASK.where(where).with_for_update() for name, where in _BY.items()}
_HOLD_ALONE = {name: _CALL_ALONE.where(where).with_for_update(of=calls) for name, where in _BY.items()}


@dataclass(frozen=True)
class Held:
    """A call and its task as they stood when they were read; locked, if they were read to be changed."""

    call: Call
    task: Task | None
    caller: str
    number: str
    exten: str
    expires_at: int | None
    zone: str | None
    ticket: tuple[str, str, str, str] | None

    @property
    def ticket_type(self) -> str:
        """ "" if no task made the call."""
        return self.ticket[2] if self.ticket else ""

    def briefing(self, call: Call) -> Briefing | None:
        """What media must know of ``call``, which is this call as it stands now; None if no task made it."""
        if self.task is None or self.ticket is None:
            return None
        ticket_no, username, ticket_type, ticket_content = self.ticket
        return Briefing(
            uuid=call.uuid,
            call_id=call.call_id,
            batch_id=self.task.batch_id,
            created_at=call.created_at,
            caller=self.caller,
            number=self.number,
            ticket_no=ticket_no,
            username=username,
            ticket_type=ticket_type,
            ticket_content=ticket_content,
            stop_asked=call.stop_asked or self.task.stop_requested_at is not None,
        )


@dataclass(frozen=True)
class Change:
    """What one fact did to a call and its task, for whoever carries out its effects after the commit."""

    held: Held
    call: Call
    task: Task | None
    effects: Effects


class Overtaken(Exception):
    """Somebody changed the call or its task since it was read; nothing of this transaction may stay."""


def read(connection: Connection, *, uuid: str = "", call_id: str = "") -> Held | None:
    """The call with this uuid, or with the phone system's call id; not locked."""
    name, identity = _identified(uuid, call_id)
    row = connection.execute(_READ[name], identity).one_or_none()
    return None if row is None else _held(row)


def hold(connection: Connection, *, uuid: str = "", call_id: str = "") -> Held | None:
    """As ``read``, with the call's row and then its task's locked until the transaction ends."""
    name, identity = _identified(uuid, call_id)
    row = connection.execute(_HOLD[name], identity).one_or_none()
    if row is None:
        row = connection.execute(_HOLD_ALONE[name], identity).one_or_none()
    return None if row is None else _held(row)


def advance(connection: Connection, held: Held, fact: Fact, policies: Policies) -> Change:
    """Applies ``fact`` to the held call, lets its task follow or settles it, and saves what changed."""
    call, task, effects = outcome(held, fact, policies)
    return save(connection, held, call, task, fact.at, effects)


def outcome(held: Held, fact: Fact, policies: Policies) -> tuple[Call, Task | None, Effects]:
    """What the lifecycle makes of ``fact`` by the policy of the ticket's type."""
    policy = policies.of(held.ticket_type)
    call, effects = apply(held.call, fact, policy)
    task = held.task
    if task is not None:
        task = follow(task, call) if effects.outcome is None else settle(task, effects.outcome, fact.at, policy)
    return call, task, effects


def save(
    connection: Connection, held: Held, call: Call, task: Task | None, at: int, effects: Effects | None = None
) -> Change:
    """Writes what differs from ``held``."""
    values = _differences(held.call, call, _CALL_FIELDS)
    if values:
        connection.execute(_update_of(calls.c.uuid, tuple(values)), values | {"identity": call.uuid})
    if task is not None and held.task is not None:
        save_task(connection, held.task, task, at)
    return Change(held, call, task, effects or Effects())


def swap(connection: Connection, held: Held, call: Call, task: Task | None, at: int) -> None:
    """As ``save``, of rows that were read without a lock: written only if they still stand as they did.

    Raises Overtaken, and the transaction must be rolled back then. Compared is what every fact changes: the call's
    state, its id and whether a stop was asked of it; the task's state, the wish to stop it, and whether somebody has
    answered: a late word of an earlier call changes that alone, and must neither be dialled over nor written over.
    """
    before = held.call
    guards = {"state": before.state, "call_id": before.call_id, "stop_asked": before.stop_asked}
    _swap(connection, calls.c.uuid, call.uuid, _differences(before, call, _CALL_FIELDS), guards)
    if task is not None and held.task is not None:
        values = _differences(held.task, task, _TASK_FIELDS)
        if values:
            values["state_at"] = at
            before_task = {"state": held.task.state, "connected": held.task.connected}
            _swap(connection, tasks.c.batch_id, task.batch_id, values, before_task, unstopped=True)
        _tell_if_final(connection, held.task, task, at)


def _swap(
    connection: Connection,
    key: Column[Any],
    identity: str | int,
    values: dict[str, Any],
    guards: dict[str, Any],
    *,
    unstopped: bool = False,
) -> None:
    statement = _swap_of(key, tuple(values), tuple(guards), unstopped)
    named = {f"was_{name}": value for name, value in guards.items()}
    if connection.execute(statement, values | named | {"identity": identity}).rowcount != 1:
        raise Overtaken


def save_task(connection: Connection, before: Task, after: Task, at: int) -> None:
    """Writes what differs."""
    values = _differences(before, after, _TASK_FIELDS)
    if after.state != before.state:
        values["state_at"] = at
    if values:
        connection.execute(_update_of(tasks.c.batch_id, tuple(values)), values | {"identity": after.batch_id})
    _tell_if_final(connection, before, after, at)


def _tell_if_final(connection: Connection, before: Task, after: Task, at: int) -> None:
    """A task that became final is put in the outbox, in the transaction that made it so."""
    if after.state in FINAL_TASKS and before.state not in FINAL_TASKS:
        record_final(connection, [after.batch_id], after.final_at or at)


def task_of(row: Row[*tuple[Any, ...]]) -> Task:
    """The task in a row that has all its columns, under their own names."""
    values = {name: getattr(row, name) for name in _TASK_FIELDS}
    return Task(**values | {"state": TaskState(values["state"])})


def task_columns() -> Sequence[ColumnElement[Any]]:
    return [tasks.c[name] for name in _TASK_FIELDS]


def hold_tasks(statement: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """Locks the tasks that ``statement`` finds, passing over those that another worker has in hand."""
    return statement.with_for_update(of=tasks, skip_locked=True)


def _identified(uuid: str, call_id: str) -> tuple[str, dict[str, str]]:
    if bool(uuid) == bool(call_id):
        raise ValueError("expected either a uuid or a call_id")
    return ("uuid", {"identity": uuid}) if uuid else ("call_id", {"identity": call_id})


@cache
def _update_of(key: Column[Any], names: tuple[str, ...]) -> Update:
    """Sets these columns of the row with this key."""
    statement = update(key.table).where(key == bindparam("identity"))
    return statement.values({name: bindparam(name) for name in names})


@cache
def _swap_of(key: Column[Any], names: tuple[str, ...], guards: tuple[str, ...], unstopped: bool) -> Update:
    """As _update_of, if these columns are as they were, and a task was not asked to stop."""
    as_it_was = (key.table.c[name].is_not_distinct_from(bindparam(f"was_{name}")) for name in guards)
    statement = _update_of(key, names).where(*as_it_was)
    return statement.where(tasks.c.stop_requested_at.is_(None)) if unstopped else statement


def _held(row: Row[*tuple[Any, ...]]) -> Held:
    values = row._mapping
    call = Call(**{name: values[name] for name in _CALL_FIELDS} | {"state": CallState(values["state"])})
    task = None
    if values["task_batch_id"] is not None:
        task = Task(
            **{name: values[f"task_{name}"] for name in _TASK_FIELDS} | {"state": TaskState(values["task_state"])}
        )
    return Held(
        call=call,
        task=task,
        caller=values["caller"],
        number=values["number"],
        exten=values["exten"],
        expires_at=values["expires_at"],
        zone=values["zone"],
        ticket=tuple(values[name] for name in _TICKET_FIELDS) if task is not None else None,
    )


def _differences(before: object, after: object, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(after, name) for name in names if getattr(after, name) != getattr(before, name)}
