"""The attacks. Each submits tasks of its own, does its worst with a seed, and leaves the house whole for the next one.

Whether the promises held is for ``tests.faults.verdict`` to say, which waits until everything has come to rest.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import select

from shared.database import reading
from shared.schema import calls, tasks
from tests.faults.house import Batch, House, wait_for
from tests.faults.pause_worker import STEPS
from tests.faults.postgresql import PostgreSQL
from tests.faults.verdict import Verdict, judge

BRIEF, TALKER, ABSENT, FLEETING, REFUSED = "0101", "0001", "0012", "0019", "0013"
PEOPLE = (BRIEF, BRIEF, FLEETING, FLEETING, ABSENT, REFUSED)
MISBEHAVIOURS = tuple(f"{number:04d}" for number in range(31, 48))
"""The sandbox's numbers behind which its phone system misbehaves, each in its own way (sandbox/people/manners.yaml)."""
STEP_WITHIN = 60.0
"""A worker starts within 10 s on a busy machine, and does a call's work within seconds after."""
OUTAGE = 20.0
KILLED_EVERY = (0.2, 1.5)
"""Seconds between two kills: a call of a brief person takes five."""
_STARTCALL = ("", "slow", "broken", "error", "garbage", "empty", "hang", "after_socket")
_EVENTS = ("firstStart", "firstAnswer", "cdr")


def kills(
    house: House, seed: int, blows: int = 20, roles: tuple[str, ...] = ("web", "worker", "beat", "media")
) -> Verdict:
    """SIGKILL of any process at any moment, under load."""
    luck = random.Random(seed)
    batch = Batch()
    for blow in range(blows):
        if blow % 4 == 0:
            batch += house.submit([luck.choice(PEOPLE) for _ in range(8)])
        time.sleep(luck.uniform(*KILLED_EVERY))  # the moment is the attack
        role = luck.choice(roles)
        house.restart(role if role == "web" else f"{role}{luck.choice('12')}")
    return judge(house, batch, f"SIGKILL of {', '.join(roles)} at random moments", blows)


def steps(house: House, seed: int) -> Verdict:
    """One worker alone, which is killed at one step after another of a call's way."""
    luck = random.Random(seed)
    batch = Batch()
    missed = []
    house.end("worker1", "worker2")
    for step in STEPS:
        batch += house.submit([BRIEF, FLEETING, luck.choice(PEOPLE)])
        # One dispatch may claim all there is; every other step is passed for each call.
        asked = f"{step}:{1 if step.startswith('claim') else luck.randint(1, 2)}"
        house.start(
            "worker1", command="celery -A tests.faults.pause_worker --quiet worker -n worker1@%h", FAULT_STEP=asked
        )
        victim = house.processes["worker1"]
        try:
            wait_for(lambda victim=victim: victim.poll() is not None, STEP_WITHIN, asked)  # type: ignore[misc]
        except TimeoutError:
            missed.append(asked)
            house.kill("worker1")
        else:
            assert house.processes.pop("worker1").returncode == -signal.SIGKILL, asked
    house.start("worker1", "worker2")
    verdict = judge(house, batch, "SIGKILL of the worker at each step of a call", len(STEPS))
    return note(verdict, f"steps that were never passed: {missed}" if missed else "")


def redis_outage(house: House, seed: int) -> Verdict:
    """Wiped, killed, and away for 20 s while tickets come in."""
    luck = random.Random(seed)
    batch = house.submit([luck.choice(PEOPLE) for _ in range(12)] + [TALKER])
    blows: tuple[Callable[[], object], ...] = (
        house.redis.flushall,
        lambda: house.restart("redis"),
        lambda: house.kill("redis"),
    )
    for blow in blows:
        time.sleep(luck.uniform(1, 3))
        blow()
        batch += house.submit([luck.choice(PEOPLE) for _ in range(6)])
    until = time.monotonic() + OUTAGE
    while time.monotonic() < until:
        batch += house.submit([luck.choice(PEOPLE)], within=10)
        time.sleep(2)
    house.start("redis")
    wait_for(house.redis_answers, 30, "Redis does not answer")
    return judge(house, batch, "Redis: FLUSHALL, SIGKILL, away for 20 s", len(blows))


def postgresql_outage(house: House, server: PostgreSQL, seed: int) -> Verdict:
    """Restarted without a word, and away for 20 s, with calls in every state."""
    luck = random.Random(seed)
    batch = house.submit([luck.choice(PEOPLE) for _ in range(12)] + [TALKER])
    time.sleep(luck.uniform(1, 3))
    server.stop()
    server.start()
    batch += house.submit([luck.choice(PEOPLE) for _ in range(12)] + [TALKER])
    time.sleep(luck.uniform(1, 3))
    server.stop()
    time.sleep(OUTAGE)
    answered = house.call("/api/aicall/createTasks", house.tickets([BRIEF])) is not None
    server.start()
    batch += house.submit([luck.choice(PEOPLE) for _ in range(6)])
    verdict = judge(house, batch, "PostgreSQL: restarted, away for 20 s", 2)
    return note(verdict, "createTasks claimed success without a database" if answered else "")


def phone_system(house: House, seed: int, drawn: int = 12) -> Verdict:
    """Every misbehaviour that the sandbox knows, then ones drawn by lot: any subset of events lost, doubled, late."""
    luck = random.Random(seed)
    tickets = house.tickets([BRIEF] * drawn)
    for ticket in tickets:
        house.faults(ticket["phone"], **_misbehaviour(luck))
    batch = house.submit(MISBEHAVIOURS) + house.post(tickets)
    verdict = judge(house, batch, "phone system: events, startcall, hangup, socket at fault", len(batch.ids))
    house.faults()
    return verdict


def _misbehaviour(luck: random.Random) -> dict[str, Any]:
    """What goes wrong with one call. Most startcalls answer: what hangs cannot show what events do."""
    return {
        "events_lost": luck.sample(_EVENTS, luck.randint(0, 3)),
        "events_doubled": luck.sample(_EVENTS, luck.randint(0, 3)),
        "events_late": {luck.choice(_EVENTS): luck.uniform(0, 15)},
        "events_shuffled": luck.random() < 0.5,
        "cdr_before_answer": luck.random() < 0.3,
        "clock_skew": luck.choice([-3600.0, 0.0, 3600.0]),
        "startcall": luck.choice(_STARTCALL) if luck.random() < 0.5 else "",
        "hangup_refused": luck.random() < 0.3,
        "audio_cut_after": luck.choice([None, luck.uniform(0.2, 2)]),
        "audio_reopen_after": luck.choice([None, luck.uniform(0, 1)]),
    }


def stops(house: House, seed: int, races: int = 30, size: int = 8) -> Verdict:
    """stopTasks raced against dialing, in batches; two beats ring all the while."""
    luck = random.Random(seed)
    batch, answered = Batch(), dict[int, int]()
    for _ in range(races):
        some = house.submit([luck.choice(PEOPLE) for _ in range(size)])
        batch += some
        time.sleep(luck.uniform(0, 1.2))
        house.stop(list(some.ids.values()))
        answered |= dict.fromkeys(some.ids.values(), time.time_ns() // 1_000_000)
    verdict = judge(house, batch, "stopTasks raced against dialing", races * size)
    with reading(house.engine) as connection:
        rows = connection.execute(
            select(calls.c.batch_id, calls.c.dialing_at).where(
                calls.c.batch_id.in_(list(answered)), calls.c.dialing_at.is_not(None)
            )
        ).all()
    late = [row.batch_id for row in rows if row.dialing_at > answered[row.batch_id]]
    return note(verdict, f"dialled after stopTasks had answered: {late}" if late else "")


def doubled_posts(house: House, seed: int, times: int = 100) -> Verdict:
    """The same batch posted twice at the same moment."""
    luck = random.Random(seed)
    batch, differ = Batch(), 0
    with ThreadPoolExecutor(2) as pool:
        for _ in range(times):
            tickets = house.tickets([luck.choice((FLEETING, REFUSED, ABSENT))])
            barrier = threading.Barrier(2)

            def post(barrier: threading.Barrier = barrier, tickets: list[dict[str, str]] = tickets) -> Batch:
                barrier.wait(30)
                return house.post(tickets)

            first, second = pool.submit(post), pool.submit(post)
            differ += first.result().ids != second.result().ids
            batch += first.result()
    verdict = judge(house, batch, "the same batch posted twice at once", times)
    with reading(house.engine) as connection:
        numbers = connection.execute(select(tasks.c.number).where(tasks.c.number.in_(list(batch.ids)))).scalars().all()
    return note(
        verdict,
        f"{len(numbers) - times} tasks too many, {differ} answers differ" if differ or len(numbers) != times else "",
    )


def media_killed(house: House, seed: int, rounds: int = 2) -> Verdict:
    """Both media processes killed in turn while people talk: their sockets come back to the other one."""
    luck = random.Random(seed)
    batch = Batch()
    for _ in range(rounds):
        some = house.submit([TALKER] * 4)
        batch += some
        wait_for(lambda some=some: len(house.live(some)) == 4, 60, "four people do not talk")  # type: ignore[misc]
        for role in luck.sample(("media1", "media2"), 2):
            time.sleep(luck.uniform(2, 4))
            house.restart(role)
            wait_for(house.ready, 60, "media does not come back")
    verdict = judge(house, batch, "media killed in mid-call", 2 * rounds)
    return note(
        verdict, "" if verdict.words > verdict.answered else "people talked, and hardly a word was written down"
    )


def media_drained(house: House, seed: int) -> Verdict:
    """SIGTERM to one media process after the other while people talk: each lets its calls finish."""
    batch = house.submit([TALKER] * 6)
    wait_for(lambda: len(house.live(batch)) == 6, 60, "six people do not talk")
    leaving = [house.processes.pop(role) for role in ("media1", "media2")]
    house.start("media1", "media2")  # the new ones first, as docs/operations.md says
    wait_for(lambda: house.ready(media=4), 60, "the new media processes do not come up")
    for process in leaving:
        process.terminate()
    codes = [process.wait(90) for process in leaving]
    verdict = judge(house, batch, "media drained with live calls", len(batch.ids))
    lines = [call["audio"]["line"] for call in house.report()["calls"] if call["callee"] in batch.ids]
    torn = [line for line in lines if line["opened"] != 1]
    return note(verdict, f"exit codes {codes}, {len(torn)} calls were torn" if any(codes) or torn else "")


def note(verdict: Verdict, broken: str) -> Verdict:
    """The verdict, with one more thing that did not hold, if it did not."""
    if broken:
        verdict.broken.append(broken)
        verdict.survived = 0
    return verdict
