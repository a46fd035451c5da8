"""Tasks with several attempts, and a witness with several lives: how they are counted after an attack.

``tests.faults.verdict`` counts for tasks that have one attempt.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Row, select

from shared.database import reading
from shared.lifecycle import CallState, TaskState
from shared.schema import calls, tasks
from tests.faults.house import FINAL_WITHIN, Batch, House, wait_for
from tests.faults.verdict import (
    CLOSED_WITHIN,
    Struck,
    compare_files,
    compare_words,
    count_unfinished,
    left,
    note,
    read_logs,
)
from tests.table import Verdict

IN_FLIGHT_MS = 4_000
"""Above PHONE_TIMEOUT: what was committed as dialing longer before its worker's death had its answer by then."""
LONGEST_PAGE = 500


class Witness:
    """What the sandbox saw in all its lives: with each it forgets everything."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._earlier: list[dict[str, Any]] = []
        self._asked_twice: list[str] = []
        self._died_at = 0

    def bury(self, blow: Callable[[str], None]) -> None:
        """Has its last word, and strikes it down."""
        self._earlier, self._asked_twice = self._seen()
        blow("sandbox")
        self._died_at = now_ms()

    def calls(self, batch: Batch) -> list[dict[str, Any]]:
        return [call for call in self._seen()[0] if call["callee"] in batch.ids]

    def rings(self, batch: Batch) -> Counter[str]:
        """By the call's uuid."""
        return Counter(call["request_id"] for call in self.calls(batch))

    def asked_twice(self, batch: Batch) -> list[str]:
        """requestIds that came more than once. A call that was dialing before its last death is one, if it rang again
        after it: nobody has seen what the phone system did in its last moment."""
        dialled = {row.uuid: row.dialing_at for row in attempts(self._house, batch)}
        again = [call["request_id"] for call in self._house.report()["calls"] if self._died_at]
        return self._seen()[1] + [uuid for uuid in again if uuid in dialled and (dialled[uuid] or 0) < self._died_at]

    def _seen(self) -> tuple[list[dict[str, Any]], list[str]]:
        report = self._house.report()
        return self._earlier + report["calls"], self._asked_twice + list(report["totals"]["repeated"])


def settle_attempts(house: House, struck: Struck, witness: Witness) -> Verdict:
    """As ``verdict.settle``, for tasks that may have several attempts: at most one ring each."""
    verdict = Verdict(struck.attack, struck.tried, tasks=len(struck.batch.ids))
    try:
        wait_for(lambda: house.unfinished(struck.batch) == 0, FINAL_WITHIN, "tasks are not final")
        wait_for(
            lambda: not left(house, struck.batch), CLOSED_WITHIN, "calls are not closed, or leases or events are left"
        )
    except TimeoutError as error:
        note(verdict, f"{error}: {left(house, struck.batch)}")
    seen, rings = witness.calls(struck.batch), witness.rings(struck.batch)
    verdict.answered = sum(any(mark["state"] == "answered" for mark in call["states"]) for call in seen)
    verdict.most_rings = max(rings.values(), default=0)
    count_unfinished(house, struck.batch, verdict)
    compare_files(house, struck.batch, verdict)
    compare_words(house, struck.batch, verdict)
    read_logs(house, struck.batch, verdict)
    rows = {row.uuid: row for row in attempts(house, struck.batch)}
    strangers = [uuid for uuid in rings if uuid not in rows or rows[uuid].dialing_at is None]
    twice = [uuid for uuid, times in rings.items() if times > 1] + witness.asked_twice(struck.batch)
    verdict.suffered |= {call["callee"] for call in seen if call["request_id"] in (*strangers, *twice)}
    note(verdict, f"rang without a row that was committed as dialing: {strangers}" if strangers else "")
    note(verdict, f"call rows that were dialled twice: {twice}" if twice else "")
    for broken in (*struck.broken, *(check(verdict) for check in struck.checks)):
        note(verdict, broken)
    return verdict


def attempts(house: House, batch: Batch) -> Sequence[Row[Any]]:
    """The calls of these tasks in the order of their making, but for those that never left."""
    mine = select(calls).where(calls.c.batch_id.in_(list(batch.ids.values())), calls.c.state != CallState.UNPLACED)
    with reading(house.engine) as connection:
        return connection.execute(mine.order_by(calls.c.created_at, calls.c.uuid)).all()


def by_task(house: House, batch: Batch) -> dict[int, list[Row[Any]]]:
    """The attempts of each task; none of one that waits still."""
    found: dict[int, list[Row[Any]]] = defaultdict(list)
    for row in attempts(house, batch):
        found[row.batch_id].append(row)
    return found


def tasks_of(house: House, batch: Batch) -> Sequence[Row[Any]]:
    with reading(house.engine) as connection:
        return connection.execute(select(tasks).where(tasks.c.batch_id.in_(list(batch.ids.values())))).all()


def states_of(house: House, batch: Batch) -> dict[int, TaskState]:
    return {row.batch_id: TaskState(row.state) for row in tasks_of(house, batch)}


def statuses(house: House) -> dict[int, str]:
    """What calltask/list says of each of the newest tasks."""
    page = house.call("/api/aicall/calltask/list", {"pageNum": 1, "pageSize": LONGEST_PAGE})
    assert page is not None, "calltask/list was not answered"
    return {row["batchId"]: row["status"] for row in page["rows"]}


def unheard(house: House, batch: Batch, rings: Counter[str]) -> set[int]:
    """The tasks whose worker was killed with a startcall in its hands: no phone rang, nobody knows it, and nobody calls
    again."""
    killed = [at for at, role in house.deaths if role.startswith("worker")]
    return {
        row.batch_id
        for row in attempts(house, batch)
        if row.state == CallState.LOST
        and not rings[row.uuid]
        and any(0 <= at - row.dialing_at <= IN_FLIGHT_MS for at in killed)
    }


def now_ms() -> int:
    return time.time_ns() // 1_000_000
