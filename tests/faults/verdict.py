"""What must hold after an attack, whatever was done: asked of the witness, the database, Redis and the recordings."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select

from shared import recordings
from shared.database import reading
from shared.lifecycle import LIVE_CALLS
from shared.schema import calls, phone_events
from tests.faults.house import FINAL_WITHIN, KEY, SECRET, Batch, House, wait_for
from workers import wav
from workers.record import read_parts
from workers.room import LEASES_KEY

NUMBER_DIGITS = 11
_DIGITS = re.compile(rf"\d{{{NUMBER_DIGITS},}}", re.ASCII)
CLOSED_WITHIN = 120.0
"""From the last final task to the last closed record and lease: a record closes 30 s after its call, and a sweep comes by."""


@dataclass
class Verdict:
    """One line of the table."""

    attack: str
    tried: int
    """Blows struck: kills, outages, races, forged requests."""
    survived: int = 0
    tasks: int = 0
    answered: int = 0
    most_rings: int = 0
    not_final: int = 0
    words: int = 0
    """Turns that people and the robot said, by the transcripts on disk."""
    lost_words: int = 0
    broken: list[str] = field(default_factory=list)
    """What was promised and did not hold."""

    def __str__(self) -> str:
        return (
            f"| {self.attack} | {self.tried} | {self.survived} | {self.tasks} | {self.answered} | {self.most_rings} "
            f"| {self.not_final} | {self.lost_words} of {self.words} |"
        )


HEADER = """| attack | tried | survived | tasks | answered | rings per call row (max) | tasks not final | lost words |
|---|---|---|---|---|---|---|---|"""


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
    verdict = judge(house, struck.batch, struck.attack, struck.tried)
    for broken in (*struck.broken, *(check(verdict) for check in struck.checks)):
        note(verdict, broken)
    return verdict


def note(verdict: Verdict, broken: str) -> Verdict:
    """The verdict, with one more thing that did not hold, if it did not."""
    if broken:
        verdict.broken.append(broken)
        verdict.survived = 0
    return verdict


def judge(house: House, batch: Batch, attack: str, tried: int) -> Verdict:
    """Waits until every task is final and every record closed, and looks at everything that must hold then."""
    verdict = Verdict(attack, tried, tasks=len(batch.ids))
    try:
        wait_for(lambda: house.unfinished(batch) == 0, FINAL_WITHIN, "tasks are not final")
        wait_for(lambda: _at_rest(house, batch), CLOSED_WITHIN, "calls are not closed, or leases or events are left")
    except TimeoutError as error:
        verdict.broken.append(f"{error}: {left(house, batch)}")
    verdict.not_final = house.unfinished(batch)
    count_rings(house, batch, verdict)
    compare_words(house, batch, verdict)
    read_logs(house, batch, verdict)
    verdict.survived = 0 if verdict.broken else tried
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
    if verdict.most_rings > 1 or asked_twice:
        verdict.broken.append(
            f"call rows that rang twice: {[row for row, n in by_row.items() if n > 1] or asked_twice}"
        )
    if unknown := set(by_row) - dialled:
        verdict.broken.append(f"rang without a row that was committed as dialing: {sorted(unknown)}")
    if twice := [batch.ids[number] for number, rings in by_number.items() if rings > 1]:
        verdict.broken.append(f"tasks with one attempt that rang twice: {twice}")


def compare_words(house: House, batch: Batch, verdict: Verdict) -> None:
    """Every turn in a transcript must stand in its call's record, and the record must name a recording with all its sound."""
    with reading(house.engine) as connection:
        rows = connection.execute(
            select(calls.c.uuid, calls.c.created_at, calls.c.dialogue, calls.c.wav_file).where(
                calls.c.batch_id.in_(list(batch.ids.values()))
            )
        ).all()
    lost_recordings = 0
    for row in rows:
        stem = recordings.stem(row.uuid, row.created_at, house.settings.timezone)
        parts = read_parts(house.settings.recordings_dir, stem)
        heard = Counter((turn.role, turn.content) for part in parts for turn in recordings.turns(part.lines))
        recorded = Counter((turn["role"], turn["content"]) for turn in row.dialogue or ())
        sounds = [frames(part.wav) for part in parts if part.wav is not None]
        kept = house.settings.recordings_dir / row.wav_file if row.wav_file else None
        lost_recordings += any(sounds) and (kept is None or not kept.is_file() or frames(kept) < max(sounds))
        verdict.words += heard.total()
        verdict.lost_words += (heard - recorded).total()
    if lost_recordings:
        verdict.broken.append(f"{lost_recordings} recordings are lost, or shorter than what was recorded")
    if verdict.lost_words:
        verdict.broken.append(f"{verdict.lost_words} heard turns are in no record")


def frames(path: Path) -> int:
    """Of a WAV file by its header, which a killed process may leave behind what follows it; 0 if it holds no sound."""
    sound = wav.inspect(path)
    return sound.length if sound else 0


def read_logs(house: House, batch: Batch, verdict: Verdict) -> None:
    """No full number, no secret, no word of a ticket in what any of our processes wrote (the sandbox is not ours)."""
    forbidden = [KEY, SECRET, "会员日", "张三"]
    forbidden += [json.dumps(word)[1:-1] for word in ("会员日", "张三")]
    for path in house.logs.glob("*.log"):
        if path.stem in ("sandbox", "redis"):
            continue
        said = path.read_text(encoding="utf-8", errors="replace")
        found = sum(word in said for word in forbidden) + len(_numbers(said) & batch.ids.keys())
        if found:
            verdict.broken.append(f"{path.name} holds {found} words that no log may hold")


def _numbers(said: str) -> set[str]:
    """Whatever in a text may be a phone number of these attacks, also within more digits."""
    runs = set(_DIGITS.findall(said))
    return {run[at : at + NUMBER_DIGITS] for run in runs for at in range(len(run) - NUMBER_DIGITS + 1)}
