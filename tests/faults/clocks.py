"""Hosts whose clocks differ by an hour, and clocks that are set while calls live. PostgreSQL alone shows the right time.

What a record says of a call is compared with the witness, whose clock is right as the database's is.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import Row

from deploy.doctor import examine
from shared.lifecycle import CallState, TaskState
from tests.faults.around import (
    ABSENT_ONCE_BRIEF,
    BARRED_ONCE_BRIEF,
    FATES,
    RETRYING,
    SOON,
    Fate,
    _ready,
)
from tests.faults.attacks import ABSENT, BRIEF, HOLDER, REFUSED, TALKER
from tests.faults.attempts import Witness, attempts, by_task, now_ms, states_of
from tests.faults.drain import HOLDING, on_the_phone
from tests.faults.house import Batch, House, wait_for
from tests.faults.verdict import Struck
from tests.table import Verdict

CALLING = RETRYING | {"MAX_CALL_SECONDS": "90"}
"""For the house: nobody who holds the line is hung up by it."""
HOUR = 3600.0
WRONG = {
    "worker1": HOUR, "worker2": -HOUR, "beat1": HOUR, "beat2": -HOUR, "media1": HOUR, "media2": 0.0, "web": -HOUR,
}  # fmt: skip
"""Seconds by which each role's wall clock is ahead at first: two hours apart, and only one of seven is right."""
OTHERWISE = {
    "worker1": -HOUR, "worker2": HOUR, "beat1": -HOUR, "beat2": 0.0, "media1": -HOUR, "media2": HOUR, "web": HOUR,
}  # fmt: skip
"""What all are set to while people talk."""
THROUGH = 12.0
"""Seconds for which calls go on before and after that: two sweeps, a heartbeat's whole life, an owner's key."""
ANSWER_MS = 4_000
"""In which a question is answered; the next comes after twenty seconds more."""
NEAR_MS = 10_000
"""Between a moment as a record has it and as the witness saw it, on a machine that is busy beyond measure; an hour is
looked for."""
NEAR_SECONDS = 2
HAIR_MS = 100
"""By which media's clock, which asks Redis on a busy loop, may be beside the workers'."""
CLEAR = {CallState.ENDED, CallState.REFUSED}


def wrong_clocks(house: House, seed: int, witness: Witness) -> Struck:
    """Tickets come in, people talk, are absent, are refused, are called again and are stopped; meanwhile each process's
    wall clock is set to another hour."""
    luck, began = random.Random(seed), now_ms()
    people = [BRIEF] * 6 + [TALKER, ABSENT, REFUSED, ABSENT_ONCE_BRIEF, BARRED_ONCE_BRIEF] * 2
    luck.shuffle(people)
    holding = house.post(house.tickets([HOLDER] * 3, HOLDING))
    batch = house.submit(people[::2])
    wait_for(lambda: on_the_phone(house, holding) == len(holding.ids), SOON, "nobody is on the phone")
    with suppress(TimeoutError):  # media learn what time it is, and tell it, every few seconds
        wait_for(lambda: not _untold(house, "ahead", "behind"), SOON, "")
    broken = _untold(house, "ahead", "behind")
    broken += _hung_up(house, holding, "where clocks differ")
    house.set_clocks(OTHERWISE)
    batch += house.submit(people[1::2])
    broken += _hung_up(house, holding, "when clocks were set")
    wait_for(lambda: _have_asked(house, holding), SOON, "who holds the line does not ask whether anybody is there")
    house.stop(list(holding.ids.values()))
    everybody = holding + batch

    def fates(_verdict: Verdict) -> str:
        rows, rings, states = by_task(house, batch), witness.rings(batch), states_of(house, everybody)
        came = {
            number: Fate(len(rows[task]), sum(rings[row.uuid] for row in rows[task]), states[task])
            for number, task in batch.ids.items()
        }
        wrong = [f"*{number[-4:]}: {fate}" for number, fate in came.items() if fate != _fate(number)]
        wrong += [f"*{HOLDER}: {states[task]}" for task in holding.ids.values() if states[task] != TaskState.STOPPED]
        return f"not as it should have come: {wrong}" if wrong else ""

    def times(_verdict: Verdict) -> str:
        seen = {call["request_id"]: call for call in witness.calls(everybody)}
        rows = attempts(house, everybody)
        wrong = [f"{row.uuid}: {what}" for row in rows for what in _strange(row, seen.get(row.uuid), began)]
        wrong += _strange_records(house, rows, began)
        return f"records that cannot be: {wrong[:5]}" if wrong else ""

    def early(_verdict: Verdict) -> str:
        hung_up = [call for call in witness.calls(batch) if call["callee"][-4:] in (BRIEF, ABSENT_ONCE_BRIEF)]
        hows = [(call["ended_by"], call["ended_why"]) for call in hung_up if call["audio"]]
        others = [how for how in hows if how != ("callee", "left")]
        return f"{len(others)} of {len(hows)} did not end when the callee hung up: {others[:3]}" if others else ""

    set_wrong = sum(bool(seconds) for clocks in (WRONG, OTHERWISE) for seconds in clocks.values())
    what = "hosts' clocks an hour ahead and an hour behind, and set to another hour in mid-call"
    return Struck(what, everybody, set_wrong, broken, [fates, times, early])


def _hung_up(house: House, holding: Batch, when: str) -> list[str]:
    """Who of those that hold the line does not, a while later."""
    time.sleep(THROUGH)  # what must not happen meanwhile is the attack
    lost = len(holding.ids) - on_the_phone(house, holding)
    return [f"{lost} of {len(holding.ids)} were hung up {when}"] if lost else []


def _have_asked(house: House, holding: Batch) -> bool:
    """Whether each who is on the phone has asked its first question a while ago: nobody is in the middle of a word then."""
    talks = [call["audio"] for call in house.live(holding)]
    asked = [
        bool(talk["said"]) and talk["said"][0]["end_ms"] + ANSWER_MS < talk["talk_seconds"] * 1000 for talk in talks
    ]
    return all(asked)


def _fate(number: str) -> Fate:
    talks = Fate(1, 1, TaskState.COMPLETED)
    return talks if number[-4:] == TALKER else FATES[number[-4:]]


def _untold(house: House, *ways: str) -> list[str]:
    """Whom neither /readyz nor doctor names, whose clock is wrong. Calls are made all the same."""
    ready, found = _ready(house), examine(house.settings)
    told = " ".join(check.detail for check in found if check.name.endswith("clock") and check.state == "warn")
    named = {check.name for check in found if check.state == "warn"}
    broken = [] if ready["status"] == "ready" and not ready["checks"]["clock"]["ok"] else [f"/readyz says {ready}"]
    lacking = {"api's clock", "media's clock", "worker's clock"} - named
    lacking |= {way for way in ways if way not in told}
    right = next(check for check in found if check.name == "clock").state == "ok"
    return broken + ([f"doctor does not tell of {sorted(lacking)}: {told}"] if lacking or not right else [])


def _strange(row: Row[Any], seen: dict[str, Any] | None, began: int) -> list[str]:
    """What a call's row says that cannot be, or that the witness saw otherwise."""
    order = [began, row.created_at, row.dialing_at, row.rang_at, row.answered_at, row.ended_at, row.closed_at, now_ms()]
    known = [at for at in order if at is not None]
    in_order = all(later - earlier > -HAIR_MS for earlier, later in pairwise(known))
    wrong = [] if in_order else [f"times out of order: {[at - began for at in known]}"]
    wrong += [] if row.state in CLEAR else [f"it is {row.state}"]
    if seen is None:
        return wrong
    marks = {mark["state"]: mark["wall_ms"] for mark in seen["states"]}
    if (row.answered_at is None) != ("answered" not in marks):
        return [*wrong, f"answered at {row.answered_at}, the witness saw {marks}"]
    pairs = [(row.dialing_at, marks["placed"]), (row.ended_at, marks["ended"])]
    pairs += [(row.answered_at, marks["answered"])] if row.answered_at is not None else []
    far = [ours - theirs for ours, theirs in pairs if abs(ours - theirs) > NEAR_MS]
    wrong += [f"{far} ms from what the witness saw"] if far else []
    talked = (marks["ended"] - marks["answered"]) / 1000 if "answered" in marks else 0
    wrong += [f"timeLen {row.time_len} of {talked:.1f} s"] if abs(row.time_len - talked) > NEAR_SECONDS else []
    return wrong


def _strange_records(house: House, rows: Sequence[Row[Any]], began: int) -> list[str]:
    """As anybody reads them, from records/list."""
    page = house.call("/api/aicall/records/list", {"pageNum": 1, "pageSize": 500, "callType": "02"})
    assert page is not None, "records/list was not answered"
    shown = {row["uuid"]: row for row in page["rows"]}
    first, last = began // 1000, now_ms() // 1000
    wrong = []
    for row in rows:
        record = shown.get(row.uuid)
        if record is None:
            wrong.append(f"{row.uuid} is in no list")
            continue
        texts = [record["calloutTime"], record["answeredTime"], record["callEndTime"]]
        times = [first, *(_seconds(house, text) for text in texts if text), last]
        if times != sorted(times) or record["hangupCause"].startswith("LOST"):
            wrong.append(f"{row.uuid}: {texts}, {record['hangupCause']}")
        if record["answeredTime"] and abs(times[3] - times[2] - record["timeLen"]) > NEAR_SECONDS:
            wrong.append(f"{row.uuid}: timeLen {record['timeLen']} of {texts}")
    return wrong


def _seconds(house: House, text: str) -> int:
    moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=house.settings.timezone)
    return int(moment.timestamp())
