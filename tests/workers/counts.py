"""What came of an attack in one process, for the table of attacks: counted as the judge of a house does, from the phone
system's twin, which is the witness here, and from the rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import select

from shared.database import reading
from shared.lifecycle import FINAL_TASKS
from shared.schema import tasks
from tests.faults.words import missing, words_of
from tests.table import Verdict
from tests.workers.twins import Office


def count(verdict: Verdict, office: Office, heard: Collection[str] = (), words: Sequence[tuple[str, str]] = ()) -> None:
    """Adds the office's tasks as they stand, all of which the attack has made. ``heard``: the calls in which ``words``,
    pairs of a role and what it said, were spoken and written down by media."""
    with reading(office.house.engine) as connection:
        rows = connection.execute(select(tasks.c.batch_id, tasks.c.state)).all()
    made = {call.uuid: call for call in office.calls()}
    rings = office.phone.rings
    waiting = {row.batch_id for row in rows if row.state not in FINAL_TASKS}
    suffered = waiting | {made[uuid].batch_id for uuid, times in rings.items() if times > 1 and uuid in made}
    for uuid in heard:
        lost = sum(_missing(made[uuid].dialogue, role, content) for role, content in words)
        verdict.words += sum(len(words_of([content])) for _, content in words)
        verdict.lost_words += lost
        suffered |= {made[uuid].batch_id} if lost else set()
    place = verdict.tasks  # the numbers of tasks begin anew in every database
    verdict.tasks += len(rows)
    verdict.suffered |= {f"{place}: {batch_id}" for batch_id in suffered}
    verdict.answered += sum(call.answered_at is not None for call in made.values())
    verdict.most_rings = max(verdict.most_rings, *rings.values(), 0)
    verdict.not_final += len(waiting)


def _missing(dialogue: Sequence[dict[str, str]] | None, role: str, content: str) -> int:
    said = words_of(turn["content"] for turn in dialogue or () if turn["role"] == role)
    return missing(words_of([content]), said)
