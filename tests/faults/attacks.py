"""The attacks on processes and on what they are told. Each submits tasks of its own and does its worst with a seed.

Whether the promises held is for ``tests.faults.verdict`` to say, which waits until everything has come to rest: several
attacks may be struck before that.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from sqlalchemy import func, select

from shared.database import reading
from shared.schema import calls, tasks
from tests.faults.house import LOOK_AGAIN, ROLES, Batch, House
from tests.faults.pause import STEPS, VARIABLE
from tests.faults.verdict import Struck
from tests.table import Verdict

BRIEF, HOLDER, STAYER, TALKER = "0101", "0102", "0105", "0001"
ABSENT, FLEETING, REFUSED = "0012", "0019", "0013"
PEOPLE = (BRIEF, BRIEF, FLEETING, FLEETING, ABSENT, REFUSED)
MISBEHAVIOURS = tuple(f"{number:04d}" for number in range(31, 48))
"""The sandbox's numbers behind which its phone system misbehaves, each in its own way (sandbox/people/manners.yaml)."""
STEP_WITHIN = 60.0
"""A process starts within 10 s on a busy machine, and does a call's work within seconds after."""
KILLED_EVERY = (0.2, 1.5)
"""Seconds between two kills: a call of a brief person takes five."""
COME = 6
"""Tickets in each batch beside the kills."""
API_SHARE = 5
API_BACK_WITHIN = 20.0
"""Seconds; the API starts within four where it has a core to itself. Then it is killed again, whoever came or did not."""
PAUSING = {
    "worker": ("worker1", "celery -A tests.faults.pause_worker --quiet worker -n worker1@%h"),
    "beat": ("beat1", "celery -A tests.faults.pause_worker --quiet beat"),
    "media": ("media1", "python -m tests.faults.pause_media"),
    "web": ("web", "gunicorn --config python:deploy.gunicorn_config 'tests.faults.pause_web:create_app()'"),
}
"""By role: the process that plays it alone, and its command."""
_STARTCALL = ("", "slow", "broken", "error", "garbage", "empty", "hang", "after_socket")
_EVENTS = ("firstStart", "firstAnswer", "cdr")


def kills(house: House, seed: int, blows: int = 20, roles: tuple[str, ...] = ROLES) -> Struck:
    """SIGKILL of one process after another at any moment, while tickets come in. A fifth of the blows are for the API,
    without which nobody comes: each time some have come. The other roles have as many each."""
    luck = random.Random(seed)
    others = sorted({role.rstrip("12") for role in roles} - {"web"})
    for_web = blows // API_SHARE
    due = Counter(web=for_web) + Counter(others[blow % len(others)] for blow in range(blows - for_web))
    over, came, before = threading.Event(), threading.Event(), len(house.deaths)
    with ThreadPoolExecutor(1) as pool:
        people = pool.submit(_come, house, random.Random(seed), over, came)
        try:
            while due:
                time.sleep(luck.uniform(*KILLED_EVERY))  # the moment is the attack
                kind = _next_kind(luck, due, came)
                due -= Counter([kind])
                house.restart(luck.choice([role for role in roles if role.rstrip("12") == kind]))
        finally:
            over.set()
        batch = people.result(2 * STEP_WITHIN)
    return Struck(
        f"SIGKILL of web, {', '.join(others)} at random moments, seed {seed}", batch, len(house.deaths) - before
    )


def _next_kind(luck: random.Random, due: Counter[str], came: threading.Event) -> str:
    """A role by lot, as likely as it has blows to come; not the API while nobody has come since its last."""
    ready = due if came.is_set() else due - Counter(web=due["web"])
    if not ready:
        came.wait(API_BACK_WITHIN)
        ready = due
    kind = luck.choices(list(ready), list(ready.values()))[0]
    if kind == "web":
        came.clear()
    return kind


def steps(house: House, seed: int, roles: tuple[str, ...] = tuple(PAUSING), *, alone: bool = True) -> Struck:
    """One process of each role dies at one step of a call's way after another, while people come and go: alone, so that
    nobody but its next life can go on from there; or beside the role's other processes, which do."""
    luck = random.Random(seed)
    victims_of = {process for process, _ in PAUSING.values()}
    going = [role for role in house.roles if alone or role in victims_of]
    house.end(*(role for role in going if role.startswith(("worker", "beat"))))
    for role in going:
        if role.startswith(("media", "web")):
            house.kill(role)
    victims = [Victim(house, role, luck) for role in roles]
    batch, over = Batch(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        people = pool.submit(_come_and_stop, house, random.Random(seed), over)
        try:
            while [victim for victim in victims if not victim.look()] and not people.done():
                time.sleep(LOOK_AGAIN)
        finally:
            over.set()
        batch = people.result(2 * STEP_WITHIN)
    house.revive()
    company = "" if alone else ", beside others"
    struck = Struck(
        f"SIGKILL of {', '.join(roles)} at each step of a call{company}", batch, sum(one.deaths for one in victims)
    )
    missed = [step for victim in victims for step in victim.missed]
    struck.broken += [f"steps that were never passed: {missed}"] if missed else []
    return struck


class Victim:
    """One role's only process: killed at each of its steps in turn, and started again as a supervisor would."""

    def __init__(self, house: House, role: str, luck: random.Random) -> None:
        self.deaths = 0
        self.missed: list[str] = []
        self._house = house
        self._luck = luck
        self._process, self._command = PAUSING[role]
        self._coming = list(STEPS[role])
        self._asked = ""
        self._next()

    def look(self) -> bool:
        """Whether all its steps are done, and it lives as the product has it."""
        if not self._asked:
            return True
        if self._house.processes[self._process].poll() is not None:
            died_of = self._house.processes.pop(self._process).returncode
            assert died_of == -signal.SIGKILL, f"{self._asked}: exit code {died_of}"
            self._house.deaths.append((time.time_ns() // 1_000_000, self._process))
            self.deaths += 1
            self._next()
        elif time.monotonic() > self._until:
            self.missed.append(self._asked)
            self._house.kill(self._process)
            self._next()
        return False

    def _next(self) -> None:
        """One dispatch may claim all there is, and a recording may get no second line; other steps come for each call."""
        self._until = time.monotonic() + STEP_WITHIN
        self._asked = ""
        if not self._coming:
            self._house.start(self._process)
            return
        step = self._coming.pop(0)
        often = step.startswith(("dial", "event", "record:", "tick"))
        self._asked = f"{step}:{self._luck.randint(1, 2) if often else 1}"
        self._house.start(self._process, command=self._command, **{VARIABLE: self._asked})


def _come(house: House, luck: random.Random, over: threading.Event, came: threading.Event) -> Batch:
    """Some tickets a second after those before, whoever is killed meanwhile: who is not answered sends them again."""
    batch = Batch()
    while not over.wait(1):
        batch += house.submit([luck.choice((*PEOPLE, TALKER)) for _ in range(COME)], within=STEP_WITHIN)
        came.set()
    return batch


def _come_and_stop(house: House, luck: random.Random, over: threading.Event) -> Batch:
    """Tickets come in, and each time somebody's is stopped, so that every request and every step has its turn."""
    batch = Batch()
    while not over.wait(1):
        some = house.submit([BRIEF, FLEETING, luck.choice(PEOPLE), TALKER], within=2 * STEP_WITHIN)
        batch += some
        over.wait(4)
        house.stop(
            [batch_id for number, batch_id in some.ids.items() if number.endswith(TALKER)], within=2 * STEP_WITHIN
        )
    return batch


def phone_system(house: House, seed: int, drawn: int = 12) -> Struck:
    """Every misbehaviour that the sandbox knows, then ones drawn by lot: any subset of events lost, doubled, late."""
    luck = random.Random(seed)
    tickets = house.tickets([BRIEF] * drawn)
    for ticket in tickets:
        house.faults(ticket["phone"], **_misbehaviour(luck))
    batch = house.submit(MISBEHAVIOURS) + house.post(tickets)
    return Struck("phone system: events, startcall, hangup, socket at fault", batch, len(batch.ids))


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


def stops(house: House, seed: int, races: int = 30, size: int = 8) -> Struck:
    """stopTasks raced against dialing, in batches; two beats ring all the while."""
    luck = random.Random(seed)
    batch, answered = Batch(), dict[int, int]()
    for _ in range(races):
        some = house.submit([luck.choice(PEOPLE) for _ in range(size)])
        batch += some
        time.sleep(luck.uniform(0, 1.2))  # the moment is the attack
        house.stop(list(some.ids.values()))
        answered |= dict.fromkeys(some.ids.values(), time.time_ns() // 1_000_000)

    def dialled_late(_verdict: Verdict) -> str:
        dialled = select(calls.c.batch_id, calls.c.dialing_at).where(
            calls.c.batch_id.in_(list(answered)), calls.c.dialing_at.is_not(None)
        )
        with reading(house.engine) as connection:
            rows = connection.execute(dialled).all()
        late = [row.batch_id for row in rows if row.dialing_at > answered[row.batch_id]]
        return f"dialled after stopTasks had answered: {late}" if late else ""

    return Struck("stopTasks raced against dialing", batch, len(answered), checks=[dialled_late])


def doubled_posts(house: House, seed: int, times: int = 100, large: int = 5) -> Struck:
    """The same batch posted twice at the same moment: of one ticket mostly, and some of hundreds, nearly all of which
    are stopped again."""
    luck = random.Random(seed)
    batch, doubled, differ = Batch(), 0, 0
    sizes = [1] * (times - large) + [luck.randint(100, 400) for _ in range(large)]
    luck.shuffle(sizes)
    with ThreadPoolExecutor(2) as pool:
        for size in sizes:
            tickets = house.tickets([luck.choice((FLEETING, REFUSED, ABSENT)) for _ in range(size)])
            barrier = threading.Barrier(2)

            def post(barrier: threading.Barrier = barrier, tickets: list[dict[str, str]] = tickets) -> Batch:
                barrier.wait(30)
                return house.post(tickets)

            answers: list[Future[Batch]] = [pool.submit(post), pool.submit(post)]
            first, second = (answer.result() for answer in answers)
            doubled += 1
            differ += first.ids != second.ids
            batch += first
            if size > 1:
                house.stop(list(first.ids.values()))

    def made_twice(_verdict: Verdict) -> str:
        mine = tasks.c.number.in_(list(batch.ids))
        with reading(house.engine) as connection:
            made = int(connection.execute(select(func.count()).select_from(tasks).where(mine)).scalar_one())
        return f"{made - sum(sizes)} tasks too many, {differ} answers differ" if differ or made != sum(sizes) else ""

    return Struck("the same batch posted twice at once", batch, doubled, checks=[made_twice])
