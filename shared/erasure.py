"""Erasing one customer: everything that is kept under a number, found, removed, and shown to be gone.

What remains of a task or call is what counts it: ids, times, states, ticket type. Number, name, ticket, dialogue,
outcome tags, recordings, transcripts, the phone system's events and its ids are gone; nothing left says who it was, so
it cannot be undone. Waiting tasks are stopped. The do-not-call entry stays unless told otherwise, since it protects
the customer. A number is found in all its spellings, with and without its country code (``shared.lines``). Whoever is
reached by an extension is one customer of many behind a switchboard: an extension given, only what is that one's goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    String,
    Table,
    Update,
    cast,
    delete,
    func,
    literal,
    null,
    or_,
    select,
    true,
    update,
)

from shared import audit, lines, numbers, recordings
from shared.errors import NumberError, RecordingPathError, WaihuError
from shared.lifecycle import FINAL_TASKS, LIVE_CALLS, WAITING_TASKS
from shared.schema import calls, do_not_call, phone_events, tasks, webhook_deliveries
from shared.stops import stop_tasks

T = TypeVar("T")
AT_ONCE = 1_000
"""Ids in one statement."""


class ErasureRefused(WaihuError):
    """A call of the number lives, or its task is about to be dialled: erased now, it would be written again. Or lines are
    being computed anew: not all there is would be found. Or an entry would go that protects a whole switchboard."""

    code = "erasure.live"


@dataclass(frozen=True)
class Found:
    """How much there is of a customer, by kind."""

    tasks: int = 0
    calls: int = 0
    events: int = 0
    recordings: int = 0
    transcripts: int = 0
    webhook_deliveries: int = 0
    do_not_call: int = 0

    @property
    def total(self) -> int:
        return sum(asdict(self).values())


@dataclass(frozen=True)
class Proof:
    """What was erased, what a search afterwards still finds, and the number's mark, under which the audit has it.

    ``vendor``: the phone system's ids of the calls, so that it can be asked to erase its own part; they are kept nowhere.
    """

    mark: str
    erased_at: int
    erased: Found
    remaining: Found
    vendor: list[str] = field(default_factory=list)

    @property
    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class _Trace:
    """Where everything of one customer lies."""

    line: str
    exten: str
    country: str
    tasks: Sequence[Row[*tuple[Any, ...]]]
    calls: Sequence[Row[*tuple[Any, ...]]]
    events: list[int]
    deliveries: list[str]
    wavs: list[Path]
    transcripts: list[Path]
    listed: int

    @property
    def found(self) -> Found:
        return Found(
            tasks=len(self.tasks),
            calls=len(self.calls),
            events=len(self.events),
            recordings=len(self.wavs),
            transcripts=len(self.transcripts),
            webhook_deliveries=len(self.deliveries),
            do_not_call=self.listed,
        )


def search(connection: Connection, number: str, root: Path, zone: ZoneInfo, *, exten: str = "") -> Found:
    """How much is kept under a number (``shared.numbers.parse``), or of one extension behind it."""
    country = lines.country(connection)
    return _trace(connection, numbers.line(number, country), exten, country, root, zone).found


def erase(
    connection: Connection,
    number: str,
    root: Path,
    zone: ZoneInfo,
    now: int,
    *,
    reason: str,
    actor: str,
    exten: str = "",
    drop_do_not_call: bool = False,
) -> Proof:
    """Erases everything under ``number``, however it was written, in the caller's transaction; the files go first.

    ``exten``: only what is that extension's. Without it all of the number goes, whatever extension was asked for. Should the
    transaction fail, some files may be gone already: erase again. Raises ErasureRefused; OSError.
    """
    country = lines.hold_country(connection)
    if lines.moving(connection):
        raise ErasureRefused("WAIHU_COUNTRY_CODE has changed and lines are being computed anew; erase in some minutes")
    if exten and drop_do_not_call:
        raise ErasureRefused(
            "the do-not-call list has numbers without extension, each for all who are reached by it; "
            "erase the extension without dropping the entry, or drop it by itself"
        )
    line = numbers.line(number, country)
    trace = _hold(connection, line, exten, country, root, zone)
    _require_quiet(trace)
    for chunk in _chunks([row.batch_id for row in trace.tasks]):
        stop_tasks(connection, tasks.c.batch_id.in_(chunk) & tasks.c.state.in_(sorted(WAITING_TASKS)), now)
    for place in _places(trace.calls, root, zone):
        recordings.remove(place)
    for events in _chunks(trace.events):
        connection.execute(delete(phone_events).where(phone_events.c.id.in_(events)))
    # By id, not by line: a ticket that came meanwhile was not looked at. It stays, and the proof tells of it.
    for chunk in _chunks([row.batch_id for row in trace.tasks]):
        connection.execute(delete(webhook_deliveries).where(webhook_deliveries.c.batch_id.in_(chunk)))
        connection.execute(_clear_tasks().where(tasks.c.batch_id.in_(chunk)))
    for uuids in _chunks([row.uuid for row in trace.calls]):
        connection.execute(_CLEAR_CALLS.where(calls.c.uuid.in_(uuids)))
    if drop_do_not_call:
        connection.execute(delete(do_not_call).where(do_not_call.c.line == line))
    mark = audit.of_line(connection, f"{line}-{exten}" if exten else line)
    found = trace.found if drop_do_not_call else replace(trace.found, do_not_call=0)
    proof = Proof(
        mark, now, found, _after(connection, trace, root, zone), [row.call_id for row in trace.calls if row.call_id]
    )
    dropped = drop_do_not_call and trace.listed > 0
    audit.note(
        connection,
        actor,
        "erase",
        now,
        subject=mark,
        reason=reason,
        erased=asdict(proof.erased),
        remaining=asdict(proof.remaining),
        doNotCallDropped=dropped,
    )
    return proof


_CLEAR_CALLS = update(calls).values(
    number="",
    line="",
    telephone="",
    exten="",
    call_id="",
    record_file="",
    wav_file="",
    extnum=None,
    dialogue=[],
    tags=[],
)


def _clear_tasks() -> Update:
    gone = literal("erased-") + cast(tasks.c.batch_id, String)
    return update(tasks).values(
        ticket_no=gone, phone="", number="", line="", exten="", username="", ticket_content="", digest=b"\0" * 16
    )


def _require_quiet(trace: _Trace) -> None:
    live = [row.uuid for row in trace.calls if row.state in LIVE_CALLS]
    if live:
        raise ErasureRefused(f"call {live[0]} of this number lives; stop its task, and erase once it has ended")
    busy = [row.batch_id for row in trace.tasks if row.state not in FINAL_TASKS and row.state not in WAITING_TASKS]
    if busy:
        raise ErasureRefused(f"task {busy[0]} of this number is being dialled; stop it, and erase once it has ended")


def _of(table: Table, line: str, exten: str) -> ColumnElement[bool]:
    """Rows of one customer: of all who are reached by the line, or by that extension."""
    mine: ColumnElement[bool] = table.c.line == line
    return mine & (table.c.exten == exten) if exten else mine


def _hold(connection: Connection, line: str, exten: str, country: str, root: Path, zone: ZoneInfo) -> _Trace:
    """What there is, with every task of it locked, so that no call of theirs can begin."""
    while True:
        locked = connection.execute(
            select(tasks.c.batch_id).where(_of(tasks, line, exten)).order_by(tasks.c.batch_id).with_for_update()
        ).scalars()
        held = set(locked)
        trace = _trace(connection, line, exten, country, root, zone)
        if held >= {row.batch_id for row in trace.tasks}:
            return trace


def _chunks(items: Sequence[T]) -> Iterable[Sequence[T]]:
    return (items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE))


def _trace(connection: Connection, line: str, exten: str, country: str, root: Path, zone: ZoneInfo) -> _Trace:
    whose = _of(tasks, line, exten)
    found_tasks = connection.execute(
        select(tasks.c.batch_id, tasks.c.state).where(whose).order_by(tasks.c.batch_id)
    ).all()
    found_calls = connection.execute(
        select(calls.c.uuid, calls.c.state, calls.c.call_id, calls.c.created_at, calls.c.wav_file)
        .where(_of(calls, line, exten))
        .order_by(calls.c.uuid)
    ).all()
    deliveries = webhook_deliveries.c
    mine = select(tasks.c.batch_id).where(whose)
    entries = select(func.count()).where(do_not_call.c.line == line)
    return _Trace(
        line,
        exten,
        country,
        found_tasks,
        found_calls,
        _events(connection, line, exten, country),
        list(connection.execute(select(deliveries.id).where(deliveries.batch_id.in_(mine))).scalars()),
        _files(found_calls, root, zone, *_SOUND),
        _files(found_calls, root, zone, *_WORDS),
        0 if exten else connection.execute(entries).scalar_one(),
    )


def event_queries(line: str, exten: str, country: str) -> list[Select[Any]]:
    """Events of the calls of this line, and those that may name it and belong to no call: id, body, and whether it is sure.
    Of an extension those of its calls alone: an event names none.

    Each goes by an index, and the last one reads what no call was found for, which is little: the inbox itself may hold
    millions. An event that was matched to a call is that call's, whatever it says.
    """
    events = phone_events.c
    mine = _of(calls, line, exten)
    uuids = select(calls.c.uuid).where(mine)
    theirs = select(calls.c.call_id).where(mine, calls.c.call_id != "")
    asked = events.request_id.in_(uuids)
    digits = line.removeprefix(f"+{country}").removeprefix("+")  # every spelling ends in these
    named = cast(events.body, String).contains(digits, autoescape=True)
    return [
        select(events.id, null().label("body"), true().label("sure")).where(events.call_uuid.in_(uuids)),
        select(events.id, null().label("body"), true().label("sure")).where(events.call_id.in_(theirs)),
        select(events.id, events.body, asked.label("sure")).where(
            events.call_uuid.is_(None), asked if exten else or_(asked, named)
        ),
    ]


def _events(connection: Connection, line: str, exten: str, country: str) -> list[int]:
    rows = (row for query in event_queries(line, exten, country) for row in connection.execute(query))
    return sorted({row.id for row in rows if row.sure or line in _lines_in(row.body, country)})


def _lines_in(value: Any, country: str) -> Iterable[str]:
    """The line of everything in an event's body that can be a number, given as a string or as a number."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _lines_in(item, country)
    elif isinstance(value, str | int):
        try:
            yield numbers.line(numbers.parse(str(value)).number, country)
        except NumberError:
            pass


_SOUND, _WORDS = (".wav", ".tmp"), (".jsonl",)
"""Endings of a call's recordings, those included that were being joined when somebody died, and of its transcripts."""


def _files(rows: Sequence[Row[*tuple[Any, ...]]], root: Path, zone: ZoneInfo, *endings: str) -> list[Path]:
    """All parts of the calls' recordings or transcripts."""
    found: set[Path] = set()
    for place in _places(rows, root, zone):
        files = [*place.parent.glob(f"{place.name}.*"), *recordings.torn(place)]
        found |= {path for path in files if path.suffix in endings}
    return sorted(found)


def _places(rows: Sequence[Row[*tuple[Any, ...]]], root: Path, zone: ZoneInfo) -> list[Path]:
    """Where the calls' files are, without their endings: where they belong now, and where the record says."""
    found: set[Path] = set()
    for row in rows:
        found.add(root / recordings.stem(row.uuid, row.created_at, zone))
        if row.wav_file:
            try:
                found.add(recordings.resolve(root, row.wav_file).parent / row.uuid)
            except RecordingPathError:
                pass  # a name that is no recording's is nobody's file
    return sorted(found)


def _after(connection: Connection, before: _Trace, root: Path, zone: ZoneInfo) -> Found:
    """What a search by number finds now, and which of the files are still there: nothing, but a do-not-call entry."""
    now = _trace(connection, before.line, before.exten, before.country, root, zone)
    left = [len(_files(before.calls, root, zone, *endings)) for endings in (_SOUND, _WORDS)]
    found = now.found
    return Found(found.tasks, found.calls, found.events, left[0], left[1], found.webhook_deliveries, found.do_not_call)
