"""What must hold after an attack, whatever was done: asked of the witness, the database, Redis and the recordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Row, func, select

from shared import recordings
from shared.database import reading
from shared.lifecycle import FINAL_TASKS, LIVE_CALLS
from shared.schema import calls, phone_events, tasks
from tests.faults import leaks
from tests.faults.house import FINAL_WITHIN, Batch, House, wait_for
from tests.faults.words import during, missing, must_be_recorded, words_of
from tests.table import Verdict
from workers import wav
from workers.record import read_parts
from workers.room import LEASES_KEY

BROKEN_OFF = 2
"""Characters that the witness may have heard of words whose synthesis broke off, for each fault that a call lived through: no
record has a word that was not whole."""
CLOSED_WITHIN = 120.0
"""From the last final task to the last closed record and lease: a record closes 30 s after its call, and a sweep comes by."""


@dataclass
class Struck:
    """An attack whose blows are struck and whose tasks may still be on their way. ``broken``: what did not hold until now."""

    attack: str
    batch: Batch
    tried: int
    broken: list[str] = field(default_factory=list)
    checks: list[Callable[[Verdict], str]] = field(default_factory=list)
    """Asked when all is at rest; each says what did not hold, or nothing."""


def settle(house: House, struck: Struck) -> Verdict:
    """The verdict on an attack, and on what else it looks at."""
    verdict = judge(house, struck)
    for broken in (*struck.broken, *(check(verdict) for check in struck.checks)):
        note(verdict, broken)
    return verdict


def note(verdict: Verdict, broken: str) -> Verdict:
    """The verdict, with one more thing that did not hold, if it did not."""
    if broken:
        verdict.broken.append(broken)
    return verdict


def judge(house: House, struck: Struck) -> Verdict:
    """Waits until every task is final and every record closed, and looks at everything that must hold then."""
    batch = struck.batch
    verdict = Verdict(struck.attack, struck.tried, tasks=len(batch.ids))
    try:
        wait_for(lambda: house.unfinished(batch) == 0, FINAL_WITHIN, "tasks are not final")
        wait_for(lambda: _at_rest(house, batch), CLOSED_WITHIN, "calls are not closed, or leases or events are left")
    except TimeoutError as error:
        verdict.broken.append(f"{error}: {left(house, batch)}")
    count_unfinished(house, batch, verdict)
    count_rings(house, batch, verdict)
    compare_files(house, batch, verdict)
    compare_words(house, batch, verdict)
    read_logs(house, batch, verdict)
    return verdict


def _at_rest(house: House, batch: Batch) -> bool:
    return not left(house, batch)


def left(house: House, batch: Batch) -> dict[str, int]:
    """What should be gone by the end, and is not."""
    mine = calls.c.batch_id.in_(list(batch.ids.values()))
    known = select(calls.c.uuid).where(
        (calls.c.uuid == phone_events.c.request_id)
        | ((calls.c.call_id == phone_events.c.call_id) & (calls.c.call_id != ""))
    )
    with reading(house.engine) as connection:
        counts = {
            "live calls": connection.execute(
                select(func.count()).where(mine, calls.c.state.in_(LIVE_CALLS))
            ).scalar_one(),
            "open records": connection.execute(
                select(func.count()).where(mine, calls.c.state != "unplaced", calls.c.closed_at.is_(None))
            ).scalar_one(),
            "unapplied events": connection.execute(
                select(func.count())
                .select_from(phone_events)
                .where(phone_events.c.applied_at.is_(None), known.exists())
            ).scalar_one(),
            "leases": int(house.redis.zcard(LEASES_KEY)),
        }
    return {what: count for what, count in counts.items() if count}


def count_unfinished(house: House, batch: Batch, verdict: Verdict) -> None:
    """By number, of which each task has its own."""
    waiting = select(tasks.c.number).where(
        tasks.c.batch_id.in_(list(batch.ids.values())), tasks.c.state.not_in(FINAL_TASKS)
    )
    with reading(house.engine) as connection:
        numbers = connection.execute(waiting).scalars().all()
    verdict.not_final = len(numbers)
    verdict.suffered.update(numbers)


def count_rings(house: House, batch: Batch, verdict: Verdict) -> None:
    """By requestId, which is a call row's uuid; and by number, of which each task has its own and one attempt."""
    with reading(house.engine) as connection:
        rows = connection.execute(
            select(calls.c.uuid, calls.c.dialing_at).where(calls.c.batch_id.in_(list(batch.ids.values())))
        ).all()
    dialled = {row.uuid for row in rows if row.dialing_at is not None}
    rung = [call for call in house.report()["calls"] if call["callee"] in batch.ids]
    by_row = Counter(call["request_id"] for call in rung)
    by_number = Counter(call["callee"] for call in rung)
    verdict.answered = sum(any(state["state"] == "answered" for state in call["states"]) for call in rung)
    verdict.most_rings = max(by_row.values(), default=0)
    asked_twice = [call["request_id"] for call in rung if call["startcalls"] > 1]
    verdict.suffered |= {
        call["callee"] for call in rung if by_row[call["request_id"]] > 1 or call["request_id"] in asked_twice
    }
    verdict.suffered |= {call["callee"] for call in rung if by_number[call["callee"]] > 1}
    if verdict.most_rings > 1 or asked_twice:
        verdict.broken.append(
            f"call rows that rang twice: {[row for row, n in by_row.items() if n > 1] or asked_twice}"
        )
    if unknown := set(by_row) - dialled:
        verdict.broken.append(f"rang without a row that was committed as dialing: {sorted(unknown)}")
    if twice := [batch.ids[number] for number, rings in by_number.items() if rings > 1]:
        verdict.broken.append(f"tasks with one attempt that rang twice: {twice}")


def compare_files(house: House, batch: Batch, verdict: Verdict) -> None:
    """Every turn in a transcript must stand in its call's record, and the record must name a recording with all its sound."""
    lost_turns, lost_recordings = 0, 0
    for row in _rows(house, batch):
        stem = recordings.stem(row.uuid, row.created_at, house.settings.timezone)
        parts = read_parts(house.settings.recordings_dir, stem)
        heard = Counter((turn.role, turn.content) for part in parts for turn in recordings.turns(part.lines))
        recorded = Counter((turn["role"], turn["content"]) for turn in row.dialogue or ())
        sounds = [frames(part.wav) for part in parts if part.wav is not None]
        kept = house.settings.recordings_dir / row.wav_file if row.wav_file else None
        silent = any(sounds) and (kept is None or not kept.is_file() or frames(kept) < max(sounds))
        lost_recordings += silent
        lost_turns += (heard - recorded).total()
        verdict.suffered |= {row.number} if silent or heard - recorded else set()
    if lost_recordings:
        verdict.broken.append(f"{lost_recordings} recordings are lost, or shorter than what was recorded")
    if lost_turns:
        verdict.broken.append(f"{lost_turns} written turns are in no record")


def compare_words(house: House, batch: Batch, verdict: Verdict) -> None:
    """Every word that the witness heard of us, and that its people said to us, must stand in its call's record, unless it
    came within a second before the death of whoever should have written it."""
    reports = {call["request_id"]: call for call in house.report()["calls"] if call["callee"] in batch.ids}
    deaths = [at for at, role in house.deaths if role.startswith("media")]
    lacking = []
    for row in _rows(house, batch):
        report = reports.get(row.uuid)
        if report is None or report["audio"] is None:
            continue
        for role, expected in must_be_recorded(report, deaths, house.unwritten, house.unheard).items():
            if role == "user" and _speech_failed(row):
                continue
            recorded = words_of(turn["content"] for turn in row.dialogue or () if turn["role"] == role)
            faults = sum(during(report, [one]) for one in house.unheard)
            broken_off = BROKEN_OFF * faults if role == "assistant" else 0
            lost = max(0, missing(expected, recorded) - broken_off)
            verdict.words += len(expected)
            verdict.lost_words += lost
            if lost:
                verdict.suffered.add(row.number)
                lacking.append(f"{row.uuid} lacks {lost} of {role}: {expected} / {recorded}")
    if lacking:
        verdict.broken.append(f"{verdict.lost_words} words of {len(lacking)} calls are in no record: {lacking[:3]}")


def _speech_failed(row: Row[Any]) -> bool:
    """Whether the call says itself that speech did (on a machine that is busy beyond measure): what its people said was
    not understood in time."""
    return any(tag["name"] == "speech_failed" for tag in row.tags or ())


def _rows(house: House, batch: Batch) -> Sequence[Row[Any]]:
    """The calls of these tasks."""
    columns = (calls.c.uuid, calls.c.number, calls.c.created_at, calls.c.dialogue, calls.c.tags, calls.c.wav_file)
    with reading(house.engine) as connection:
        return connection.execute(select(*columns).where(calls.c.batch_id.in_(list(batch.ids.values())))).all()


def frames(path: Path) -> int:
    """Of a WAV file by its header, which a killed process may leave behind what follows it; 0 if it holds no sound."""
    sound = wav.inspect(path)
    return sound.length if sound else 0


def read_logs(house: House, batch: Batch, verdict: Verdict) -> None:
    """No full number, no secret, no word of a ticket or a talk in what any of our processes wrote (the sandbox is not ours),
    at level DEBUG."""
    reports = [call for call in house.report()["calls"] if call["callee"] in batch.ids]
    words = leaks.forbidden(house, batch, leaks.said_by_people(reports))
    for path in house.logs.glob("*.log"):
        if path.stem not in ("sandbox", "cloud", "redis"):
            found = leaks.found(path.read_text(encoding="utf-8", errors="replace"), words)
            verdict.broken += [f"{path.name} holds {', '.join(found)}, which no log may hold"] if found else []
