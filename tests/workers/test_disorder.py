"""What the phone system tells comes doubled, shuffled, hours late or never, by a clock that is an hour off: drawn by lot.

Whatever is told in whatever order, a call rings once, its task and record become final by the deadlines, and what was
told until then decides.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from shared.database import reading
from shared.doorbell import APPLY_EVENTS, AUDIO_STARTED
from shared.errors import OutcomeUnknown
from shared.lifecycle import FINAL_TASKS
from shared.schema import phone_events
from tests.table import recorded
from tests.workers.counts import count
from tests.workers.lives import LOOK_SECONDS, pass_time, work
from tests.workers.twins import Office, cdr
from workers.dispatch import dispatch
from workers.events import apply_events, audio_started
from workers.room import LEASES_KEY
from workers.sweep import sweep

CALLS = 12
"""Of one seed, all at once: their events come in among each other."""
HOUR_MS = 3_600_000
LATENESS = ((0, 0), (0, 5_000), (60_000, 300_000), (HOUR_MS, 3 * HOUR_MS))
"""Milliseconds, from and to: at once, as networks have it, minutes, hours."""
LONGEST = 2_000
"""Looks until everything was told and is at rest."""


class Rumours:
    """What is told of the calls that ring, and when. ``proven``: calls of which something told that they were answered,
    while their task was not final; ``named``: those of which anything was told by then."""

    def __init__(self, office: Office, luck: random.Random) -> None:
        self.office = office
        self.luck = luck
        self.told = 0
        """How often anything was told, early, late or again."""
        self.proven: set[str] = set()
        self.named: set[str] = set()
        self.rumoured: set[str] = set()
        """Calls whose socket came before anybody knew its call_id: it proves the answer if that is told in time."""
        self.recorded: dict[str, int] = {}
        """Seconds of talk of the calls whose cdr was told, late or not."""
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def startcall(self, uuid: str) -> str:
        """The phone rings; what will be told of it is drawn now, and some of it comes before startcall's answer."""
        luck = self.luck
        picked_up = luck.random() < 0.6
        talk, skew = luck.randint(1, 50), luck.choice((-HOUR_MS, 0, HOUR_MS))
        timed = picked_up and luck.random() < 0.6  # a cdr may leave the time of the answer out
        answer_ms = self.office.now + 4_000 + skew if timed else None
        end_ms = self.office.now + 4_000 + skew + talk * 1000
        for name, after in (("firstStart", 0), ("firstAnswer", 4_000), ("cdr", 4_000 + talk * 1000)):
            if name == "firstAnswer" and not picked_up:
                continue
            payload: Any = cdr(answer_ms, end_ms) if name == "cdr" else ""
            for _ in range(luck.choice((0, 1, 1, 1, 2, 3))):
                after = 0 if luck.random() < 0.2 else after
                self._later(after, lambda name=name, payload=payload: self._tell(uuid, name, payload, timed, talk))  # type: ignore[misc]
        if picked_up and luck.random() < 0.5:
            self._later(4_000, lambda: self._sound(uuid))
        if luck.random() < 0.5:
            self.come()
            for ids in self.office.bell.take(APPLY_EVENTS):
                apply_events(self.office.house, ids)
            for identity in self.office.bell.take(AUDIO_STARTED):
                audio_started(self.office.house, identity)
        if luck.random() < 0.2:
            raise OutcomeUnknown("no answer")
        return f"call-{uuid}"

    def come(self) -> None:
        """What is due is told; what the workers are rung for waits until somebody works."""
        while self._waiting and self._waiting[0][0] <= self.office.now:
            heapq.heappop(self._waiting)[2]()
            self.told += 1

    def seconds_to_next(self) -> float | None:
        """None: everything was told."""
        return (self._waiting[0][0] - self.office.now) / 1000 if self._waiting else None

    def _later(self, after: int, tell: Callable[[], None]) -> None:
        due = self.office.now + after + self.luck.randint(*self.luck.choice(LATENESS))
        heapq.heappush(self._waiting, (due, next(self._order), tell))

    def _tell(self, uuid: str, name: str, payload: Any, timed: bool, talk: int) -> None:
        proof = name == "firstAnswer" or (name == "cdr" and timed)
        self._note(uuid, proof=proof)
        if name == "cdr" and timed:
            self.recorded[uuid] = talk
        event_id = self.office.event(name, request_id=uuid, call_id=f"call-{uuid}", pay_load=payload)
        self.office.bell.ring(APPLY_EVENTS, [event_id])

    def _sound(self, uuid: str) -> None:
        """An audio socket opens; its call is known by the phone system's id only."""
        if self.office.call(uuid).call_id:
            self._note(uuid, proof=True)
        else:
            self.rumoured.add(uuid)
        self.office.bell.ring(AUDIO_STARTED, f"call-{uuid}")

    def _note(self, uuid: str, *, proof: bool) -> None:
        call = self.office.call(uuid)
        if self.office.task(call.batch_id).state in FINAL_TASKS or call.ended_at is not None:
            return
        self.named.add(uuid)
        if proof:
            self.proven.add(uuid)


@pytest.mark.parametrize("seed", [*range(6), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(6, 20))])
def test_whatever_is_told_when_and_how_often(open_office: Callable[..., Office], seed: int) -> None:
    office = open_office(ring_timeout="30s", max_call_seconds="60")
    office.media()
    rumours = Rumours(office, random.Random(seed))
    with recorded("in one process: events lost, again and again, hours late or early", speech=False) as verdict:
        try:
            live(office, rumours)
        finally:
            verdict.tried = rumours.told
            count(verdict, office)
        judge(office, rumours)


def live(office: Office, rumours: Rumours) -> None:
    """Calls are made and told of, until everything was told and is at rest."""
    batch_ids = office.tickets(CALLS)
    office.phone.answers = [rumours.startcall] * CALLS
    finals: dict[int, Any] = {}
    for _ in range(LONGEST):
        sweep(office.house)
        dispatch(office.house)
        work(office)
        rumours.come()
        work(office)
        for batch_id in batch_ids:
            task = office.task(batch_id)
            if task.state in FINAL_TASKS:
                assert finals.setdefault(batch_id, task) == task
        coming = rumours.seconds_to_next()
        resting = at_rest(office, batch_ids)
        if resting and coming is None:
            break
        pass_time(office, LOOK_SECONDS if not resting or coming is None else max(coming, LOOK_SECONDS))
    else:
        pytest.fail("it never comes to rest")


def at_rest(office: Office, batch_ids: list[int]) -> bool:
    if not all(office.task(one).state in FINAL_TASKS for one in batch_ids):
        return False
    with reading(office.house.engine) as connection:
        waiting = connection.execute(select(func.count()).where(phone_events.c.applied_at.is_(None))).scalar_one()
    return not waiting and all(call.closed_at for call in office.calls())


def judge(office: Office, rumours: Rumours) -> None:
    assert set(office.phone.rings.values()) == {1}
    assert len(office.phone.rings) == CALLS
    assert office.house.redis.zcard(LEASES_KEY) == 0
    for call in office.calls():
        told = (call.uuid in rumours.proven, call.uuid in rumours.named)
        state = office.task(call.batch_id).state
        if call.uuid in rumours.proven or (call.uuid in rumours.rumoured and state == "completed"):
            assert state == "completed", told
        elif call.uuid not in rumours.named:
            assert state == "unknown", told
        else:
            assert state == "not_connected", told
        if call.uuid in rumours.recorded and call.uuid in rumours.proven:
            assert (call.time_len, call.record_file) == (rumours.recorded[call.uuid], "vendor.wav")
