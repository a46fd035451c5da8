"""The attacks on what stands around the dial: retries, the breaker and the gates, each in a house that has them on.

Elsewhere in these attacks a task has one attempt, and whatever would make it wait is off.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any, NamedTuple

import httpx2

from shared.lifecycle import FINAL_TASKS, LIVE_CALLS, STATUS_TEXT, WAITING_TASKS, TaskState
from tests.faults.attacks import ABSENT, BRIEF, FLEETING, HOLDER, REFUSED
from tests.faults.attempts import Witness, attempts, by_task, now_ms, states_of, statuses, tasks_of, unheard
from tests.faults.drain import on_the_phone
from tests.faults.house import KEY, Batch, House, wait_for
from tests.faults.talks import HOLDING
from tests.faults.verdict import Struck
from tests.table import Verdict
from workers.gates import FREQUENCY

ABSENT_ONCE, BARRED_ONCE = "0020", "0021"
"""Not answered, or refused, the first time; the second time somebody talks."""
ABSENT_ONCE_BRIEF, BARRED_ONCE_BRIEF = "0103", "0104"
"""The same, but brief (scenario.yaml)."""
WORKERS = ("worker1", "worker2")
KILLED_EVERY = (0.5, 2.0)
"""Seconds between two kills: the first retries are due a second after the first calls ended."""
SOON = 60.0
"""Far above what is waited for: calls of five seconds each, a few at a time, on a busy machine."""
_NUMBERS = ("057128167421", "057128167422", "057128167423")
RETRYING = {
    "CALLERS": ";".join(f"{number}:concurrency=20,cps=20" for number in _NUMBERS),
    "RETRY_NO_ANSWER": "1s,2s",
    "RETRY_REFUSED": "1s,2s",
}
"""Three numbers to call from, so that a customer's two calls do not come from the same one by chance."""
BREAKING = {"BREAKER": "failures=3,within=30s,rest=2s", "RETRY_NO_ANSWER": "1s", "RETRY_REFUSED": "1s"}
AT_ONCE, DAILY, CAP = 3, 14, 2
"""Of each of two numbers that we call from: calls at once and calls a day; calls to one customer."""


def gated() -> dict[str, str]:
    """For the house. It is noon there, more or less: no day must begin during the attack."""
    ahead = 12 - datetime.now(UTC).hour
    return {
        "CALLERS": ";".join(f"{number}:concurrency={AT_ONCE},cps=2,daily={DAILY}" for number in _NUMBERS[:2]),
        "FREQUENCY_CAP": f"{CAP}/1d",
        "RETRY_NO_ANSWER": "1s,1s,1s",
        "TIMEZONE": f"Etc/GMT{-ahead:+d}",  # whose signs are the other way round
    }


class Fate(NamedTuple):
    """What must become of a task: how many calls it makes, at how many of them the phone rings, how it ends."""

    attempts: int
    rings: int
    state: TaskState


FATES = {
    ABSENT_ONCE: Fate(2, 2, TaskState.COMPLETED),
    ABSENT_ONCE_BRIEF: Fate(2, 2, TaskState.COMPLETED),
    BARRED_ONCE: Fate(2, 1, TaskState.COMPLETED),
    BARRED_ONCE_BRIEF: Fate(2, 1, TaskState.COMPLETED),
    ABSENT: Fate(3, 3, TaskState.NOT_CONNECTED),
    REFUSED: Fate(3, 0, TaskState.FAILED),
    BRIEF: Fate(1, 1, TaskState.COMPLETED),
}
"""By the number's end, with RETRYING."""


# --- retries ---------------------------------------------------------------------------------------------------------


def retries(house: House, seed: int, witness: Witness, blows: int = 6) -> Struck:
    """Workers are killed while people are called who answer the second time only, or never."""
    luck = random.Random(seed)
    people = [ABSENT_ONCE_BRIEF] * 12 + [BARRED_ONCE_BRIEF] * 12 + [ABSENT, REFUSED, BRIEF] * 4
    people += [ABSENT_ONCE, BARRED_ONCE]
    luck.shuffle(people)
    batch, before = Batch(), len(house.deaths)
    for blow in range(blows):
        batch += house.submit(people[blow::blows])
        time.sleep(luck.uniform(*KILLED_EVERY))  # the moment is the attack
        house.restart(WORKERS[blow % len(WORKERS)])

    def fates(_verdict: Verdict) -> str:
        """Of each task, but for those whose worker died with a startcall in its hands, which nobody repeats."""
        rows, rings = by_task(house, batch), witness.rings(batch)
        states, shown = states_of(house, batch), statuses(house)
        died = unheard(house, batch, rings)
        wrong = []
        for number, task in batch.ids.items():
            fate = FATES[number[-4:]]
            if task in died:
                fate = Fate(len(rows[task]), sum(rings[row.uuid] for row in rows[task]), TaskState.UNKNOWN)
            came = Fate(len(rows[task]), sum(rings[row.uuid] for row in rows[task]), states[task])
            if came != fate or shown[task] != STATUS_TEXT[fate.state]:
                wrong.append(f"*{number[-4:]}: expected {fate}, came {came} ({shown[task]})")
        return "; ".join(wrong)

    def bothered(_verdict: Verdict) -> str:
        again = [task for task, rows in by_task(house, batch).items() if any(row.answered_at for row in rows[:-1])]
        return f"called again after they had answered: {again}" if again else ""

    def changed_numbers(_verdict: Verdict) -> str:
        strange = [task for task, rows in by_task(house, batch).items() if len({row.caller for row in rows}) > 1]
        used = {row.caller for row in attempts(house, batch)}
        return f"tasks called from several numbers, of {len(used)}: {strange}" if strange or len(used) < 2 else ""

    what = "SIGKILL of workers while who was absent or refused is called again"
    return Struck(what, batch, len(house.deaths) - before, checks=[fates, bothered, changed_numbers])


# --- the phone system away -------------------------------------------------------------------------------------------


def phone_away(house: House, seed: int, witness: Witness) -> Struck:
    """The phone system's process killed with people on the phone, then told to leave; tickets come in meanwhile."""
    luck = random.Random(seed)
    holding = house.post(house.tickets([HOLDER] * 3, HOLDING))
    wait_for(lambda: on_the_phone(house, holding) == 3, SOON, "three people are not on the phone")
    batch, broken = holding, list[str]()
    for blow in (house.kill, house.end):
        witness.bury(blow)
        some = house.submit([luck.choice((BRIEF, FLEETING)) for _ in range(6)])
        wait_for(lambda: _is_said_to_be_away(house), SOON, "/readyz and the metrics do not say that it is away")
        house.restart(luck.choice(WORKERS))
        some += house.submit([FLEETING] * 2)
        said = _times_left_alone(house)
        wait_for(lambda said=said: _times_left_alone(house) >= said + 2, SOON, "nobody tries whether it is back")  # type: ignore[misc]
        broken += _not_waiting(house, some)
        house.start("sandbox")
        wait_for(lambda some=some: house.unfinished(some) == 0, SOON, "tasks are not final")  # type: ignore[misc]
        standing = _ready(house)["dial_gate"]["breaker"]
        broken += [] if standing == "closed" else [f"the breaker is {standing} after calls were made"]
        batch += some

    def once(_verdict: Verdict) -> str:
        """Each was called once, and talked: what never reached the phone system counts for nothing."""
        spent = {row.batch_id: row.attempts for row in tasks_of(house, batch)}
        made = {task: len(rows) for task, rows in by_task(house, batch).items()}
        ends = Counter(states_of(house, batch).values())
        once = dict.fromkeys(batch.ids.values(), 1)
        completed = ends == Counter({TaskState.COMPLETED: len(batch.ids)})
        return "" if spent == made == once and completed else f"attempts {spent}, calls {made}, ends {dict(ends)}"

    return Struck("phone system: SIGKILL with people on the phone, SIGTERM; away meanwhile", batch, 2, broken, [once])


def _ready(house: House) -> dict[str, Any]:
    found: dict[str, Any] = httpx2.get(f"{house.api}/readyz", timeout=10, trust_env=False).json()
    return found


def _is_said_to_be_away(house: House) -> bool:
    ready = _ready(house)
    page = httpx2.get(f"{house.api}/metrics", headers={"X-API-Key": KEY}, timeout=10, trust_env=False).text
    gate = ready["dial_gate"]
    told = not ready["checks"]["phone"]["ok"] and gate["breaker"] == "open" and not gate["open"]
    return told and 'waihu_breaker{state="open"} 1' in page and "waihu_dial_gate_open 0" in page


def _times_left_alone(house: House) -> int:
    """How often the breaker opened: after failures, and each time that the one call which tried failed as well."""
    logs = [(house.logs / f"{role}.log").read_text(encoding="utf-8") for role in WORKERS]
    return sum(log.count("the phone system is left alone: ") for log in logs)


def _not_waiting(house: House, batch: Batch) -> list[str]:
    """What has become of tasks that can but wait: one of them may just be the one that tries."""
    found = tasks_of(house, batch)
    others = [row.state for row in found if row.state not in {*WAITING_TASKS, TaskState.QUEUED} or row.attempts]
    dialled = [row.uuid for row in attempts(house, batch) if row.dialing_at]
    return [f"with the phone system away: tasks {others}, dialled {dialled}"] if others or dialled else []


# --- gates ---------------------------------------------------------------------------------------------------------------


def gates(house: House, seed: int, witness: Witness) -> Struck:
    """Numbers are put on the do-not-call list, all is paused and resumed, and workers die, in the midst of a batch that
    is larger than what may be called in one day."""
    luck = random.Random(seed)
    capped = house.submit([ABSENT] * 2) + _same_number(house, CAP + 1)
    batch = house.submit([luck.choice((BRIEF, FLEETING)) for _ in range(16)])
    wait_for(lambda: house.unfinished(batch) <= 13, SOON, "nobody is called")
    house.kill("worker1")
    numbers = list(batch.ids)
    forbidden = {number: _forbid(house, number) for number in (*numbers[-2:], *luck.sample(numbers[:-2], 3))}
    house.start("worker1")
    over = len(capped.ids) - CAP  # all but the first tickets of that customer, who answered
    wait_for(lambda: _held(house, capped) == over, SOON, "who was called often enough does not wait")
    batch += house.submit([luck.choice((BRIEF, FLEETING)) for _ in range(20)])
    time.sleep(luck.uniform(0.3, 0.8))  # the moment is the attack: some calls are queued, and wait for their turn
    _post(house, "/api/v1/pause", {"reason": "attack"})
    paused = now_ms()
    house.restart("worker2")
    house.revive()
    everybody = capped + batch
    wait_for(lambda: not _live(house, everybody), SOON, "calls go on for ever")
    waited, resumed = house.unfinished(batch), now_ms()
    _post(house, "/api/v1/resume", {})
    time.sleep(luck.uniform(*KILLED_EVERY))
    house.restart("worker1")
    wait_for(lambda: _is_used_up(house, everybody), 2 * SOON, "the day is not used up")
    broken = [] if waited else ["nobody waited while all was paused"]
    broken += _called_against(house, everybody, forbidden, paused, resumed)
    broken += _beyond(house, everybody, witness)
    broken += _not_as_due(house, everybody, forbidden, unheard(house, everybody, witness.rings(everybody)))
    house.stop([row.batch_id for row in tasks_of(house, everybody) if row.state not in FINAL_TASKS])
    what = "gates: do-not-call, pause, calls a day, at once and to one number, with SIGKILL of workers"
    return Struck(what, everybody, len(house.deaths) + len(forbidden) + 2, broken)


def _same_number(house: House, count: int) -> Batch:
    """So many tickets for one customer, who answers."""
    ticket, batch = house.tickets([FLEETING])[0], Batch()
    for one in range(count):
        made = house.post([ticket | {"ticketNo": f"{ticket['ticketNo']}-{one}"}]).ids
        batch += Batch({f"{number}-{one}" if one else number: batch_id for number, batch_id in made.items()})
    return batch


def _forbid(house: House, number: str) -> int:
    """When the answer came that it is on the do-not-call list."""
    _post(house, "/api/v1/do-not-call", {"number": number, "reason": "attack"})
    return now_ms()


def _post(house: House, path: str, body: object) -> None:
    answer = httpx2.post(house.api + path, json=body, headers={"X-API-Key": KEY}, timeout=10, trust_env=False)
    answer.raise_for_status()


def _held(house: House, batch: Batch) -> int:
    """How many of these tasks the cap holds back."""
    return sum(row.held_by == FREQUENCY and row.state in WAITING_TASKS for row in tasks_of(house, batch))


def _live(house: House, batch: Batch) -> int:
    return sum(row.state in LIVE_CALLS for row in attempts(house, batch))


def _is_used_up(house: House, batch: Batch) -> bool:
    made = Counter(row.caller for row in attempts(house, batch))
    return not _live(house, batch) and len(made) == 2 and min(made.values()) >= DAILY


def _called_against(house: House, batch: Batch, forbidden: dict[str, int], paused: int, resumed: int) -> list[str]:
    """Whoever was dialled although it was forbidden by an answer that came before."""
    left_at = [(row.number, row.dialing_at) for row in attempts(house, batch) if row.dialing_at]
    late = [number[-4:] for number, at in left_at if at > forbidden.get(number, at)]
    meanwhile = sum(paused < at < resumed for _, at in left_at)
    told = f"called although on the do-not-call list: {late}; while all was paused: {meanwhile}"
    return [told] if late or meanwhile else []


def _beyond(house: House, batch: Batch, witness: Witness) -> list[str]:
    """More calls than the limits allow, or fewer than would show that there are any."""
    rows = attempts(house, batch)
    a_day = Counter(row.caller for row in rows)
    to_one = max(Counter(row.number for row in rows).values())
    at_once = {caller: _most_at_once(witness.calls(batch), caller) for caller in a_day}
    kept = set(a_day.values()) == {DAILY} and to_one == CAP and set(at_once.values()) == {AT_ONCE}
    return [] if kept else [f"calls a day {dict(a_day)}, to one number {to_one}, at once {at_once}"]


def _most_at_once(seen: list[dict[str, Any]], caller: str) -> int:
    """By the witness's own clock, from the call's making to its end; who ends in the same millisecond has ended."""
    marks = [mark for call in seen if call["caller"] == caller for mark in (call["states"][0], call["states"][-1])]
    steps = sorted((mark["wall_ms"], 1 if mark["state"] == "placed" else -1) for mark in marks)
    most = live = 0
    for _, step in steps:
        live += step
        most = max(most, live)
    return most


def _not_as_due(house: House, batch: Batch, forbidden: dict[str, int], died: set[int]) -> list[str]:
    """The tasks that neither are completed nor wait, unless they were forbidden or lost their worker."""
    states = states_of(house, batch)
    ends = {number: states[task] for number, task in batch.ids.items() if task not in died}
    good = {TaskState.COMPLETED, *WAITING_TASKS}
    wrong = [
        f"*{number[-4:]}: {state}" for number, state in ends.items() if number not in forbidden and state not in good
    ]
    done = {TaskState.COMPLETED, TaskState.STOPPED}
    wrong += [f"forbidden: {ends[number]}" for number in forbidden.keys() & ends.keys() if ends[number] not in done]
    return [f"tasks that should be completed, wait, or be stopped: {wrong}"] if wrong else []
