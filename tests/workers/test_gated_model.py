"""The dialer's model once more, with every gate at work: whatever happens, nobody is called whom a gate protects.

Whenever the phone system is asked for a call, each gate is asked from outside, by what the test itself did and counted.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from sqlalchemy import delete, insert

from shared.breaker import Standing
from shared.doorbell import STOP_CALLS
from shared.lifecycle import FINAL_TASKS
from shared.schema import pauses
from shared.suppression import PERSON, suppress
from shared.window import parse_hours
from tests.table import recorded
from tests.workers.conftest import NewDatabase
from tests.workers.test_model import NUMBERS, DialerModel
from tests.workers.twins import CALLER, cdr
from workers.events import apply_events

WINDOW = ",".join(
    f"{minute // 60}:{minute % 60:02}-{(minute + 1) // 60}:{(minute + 1) % 60:02}" for minute in range(723, 1_380, 2)
)
"""Open for every other minute, from 12:03 on: the model begins at 12:03:58."""
MOST, SPAN_MS = 2, 120_000
DAILY = 4
OTHER = "0571000002"


class GatedModel(DialerModel):
    environment: ClassVar = DialerModel.environment | {
        "callers": f"{CALLER}:concurrency=2,cps=50,daily={DAILY};{OTHER}:concurrency=2,cps=50",
        "call_window": WINDOW,
        "frequency_cap": f"{MOST}/{SPAN_MS // 1000}s",
        "breaker": "failures=2,within=30s,rest=15s",
        "retry_by_type": "回*: unknown=20s",
    }
    longest_life_seconds = 4 * 3600

    def open(self) -> None:
        super().open()
        self.unwanted: set[str] = set()
        self.paused: set[str] = set()
        self.rang: dict[str, list[int]] = defaultdict(list)
        self.used = 0

    def submit_more(self) -> None:
        self.batch_ids += [self.office.ticket(number) for number in NUMBERS]

    def put_on_list(self, number: str, rung: bool) -> None:
        """As the api does it, or finish_call; its message may be lost."""
        with self.office.house.write() as connection:
            live = suppress(connection, [number], PERSON, self.office.now)
        self.unwanted.add(number)
        if rung and live:
            self.office.bell.ring_chunks(STOP_CALLS, live)

    def work(self, which: int, outcome: str) -> None:
        """A dispatch and all its dials: so that enough is asked of the phone system."""
        self.dispatch(which)
        for index, call in enumerate(self.office.calls()):
            if call.state == "queued":
                self.dial(1 - which, index, outcome)

    def nobody_answers(self, seconds: int) -> None:
        """All phones that ring stop, and some time passes."""
        for call in self.office.calls():
            if call.state in ("ringing", "unknown"):
                self.event_ids.append(self.office.event("cdr", request_id=call.uuid, pay_load=cdr(None, 9_000)))
                apply_events(self.office.house, self.event_ids[-1:])
        self.wait(seconds)
        self.sweep(0)

    def pause(self, ticket_type: str) -> None:
        if ticket_type not in self.paused:
            with self.office.house.write() as connection:
                connection.execute(insert(pauses).values(ticket_type=ticket_type, created_at=self.office.now))
        self.paused.add(ticket_type)

    def resume(self) -> None:
        with self.office.house.write() as connection:
            connection.execute(delete(pauses))
        self.paused.clear()

    def _answer(self, request_id: str, outcome: str) -> str:
        call, now = self.office.call(request_id), self.office.now
        assert call.number not in self.unwanted
        assert not self.paused & {"", "回访"}
        assert parse_hours(WINDOW).is_open(now, self.office.settings.timezone)
        assert sum(now - SPAN_MS < at for at in self.rang[call.number]) < MOST
        assert self.office.house.breaker.standing() is not Standing.OPEN
        self.used += call.caller == CALLER and outcome != "unplaced"
        assert self.used <= DAILY
        if outcome in ("placed", "unknown", "late", "killed after"):
            self.rang[call.number].append(now)
        return super()._answer(request_id, outcome)

    def teardown(self) -> None:
        if hasattr(self, "paused"):
            self.resume()
        super().teardown()

    def _let_time_pass(self) -> None:
        super()._let_time_pass()
        for batch_id in self.batch_ids:
            task: Any = self.office.task(batch_id)
            assert task.state in FINAL_TASKS
            assert task.connected is not None or task.state == "unknown" or task.attempts


def step(model: GatedModel, chance: random.Random) -> None:
    """Something happens, what gets calls made more often than the rest; and what must always hold is looked at."""
    which, index = chance.randrange(2), chance.randrange(100)
    outcomes = ["placed"] * 5 + ["unknown", "refused", "unplaced", "late", "killed before", "killed after"]
    happenings: list[tuple[int, Callable[[], object]]] = [
        (6, lambda: model.work(which, chance.choice(outcomes[:8]))),
        (5, lambda: model.nobody_answers(chance.choice([1, 20, 70, 130]))),
        (2, model.submit_more),
        (1, lambda: model.submit(chance.choice(NUMBERS), chance.choice([None, 90]))),
        (1, lambda: model.put_on_list(chance.choice(NUMBERS[:2]), chance.random() < 0.5)),
        (1, lambda: model.pause(chance.choice(["", "回访", "别的"]))),
        (2, model.resume),
        (3, lambda: model.dispatch(which)),
        (1, lambda: model.sweep(which)),
        (1, lambda: model.deliver(chance, chance.randrange(10))),
        (1, lambda: model.wait(chance.choice([0.5, 3, 10, 40]))),
        (1, model.wipe),
    ]
    if model.batch_ids:
        happenings.append((1, lambda: model.stop(index, chance.random() < 0.5)))
    if model.uuids:
        happenings.append((2, lambda: model.dial(which, index, chance.choice(outcomes))))
    if model.phone.rings:
        happenings.append((1, lambda: model.media(index, chance.random() < 0.5, chance.random() < 0.5)))
        name = chance.choice(["firstStart", "firstAnswer", "cdr"])
        happenings.append((1, lambda: model.event(index, name, chance.random() < 0.5, chance.random() < 0.5)))
    if model.event_ids:
        happenings.append((1, lambda: model.apply(which, [chance.randrange(100) for _ in range(3)])))
    weights = [weight for weight, _ in happenings]
    chance.choices([happening for _, happening in happenings], weights)[0]()
    model.a_step_is_over()
    model.quiet_times_end()
    model.nobody_is_called_twice()
    model.one_live_call_a_task_and_a_number_and_no_more_than_there_is_room()
    model.what_is_final_stays_final()
    model.every_state_that_is_not_final_has_a_deadline()


def play(new_database: NewDatabase, redis_url: str, seed: int, steps: int) -> int:
    """One life of the model; how many calls were asked for."""
    kind = type("Model", (GatedModel,), {"new_database": staticmethod(new_database), "redis_url": redis_url})
    model, chance = kind(), random.Random(seed)
    with recorded(
        "in one process: a model of the dialer with every gate at work, on SQLite", speech=False
    ) as model.verdict:
        model.open()
        try:
            for _ in range(steps):
                step(model, chance)
            return len(model.phone.requests)
        finally:
            model.teardown()


@pytest.mark.parametrize("seed", range(12))
def test_no_gate_is_ever_passed(new_database: NewDatabase, redis_url: str, seed: int) -> None:
    assert play(new_database, redis_url, seed, steps=60) > 0


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1_000, 1_080, 20))
def test_no_gate_is_ever_passed_in_many_longer_lives(new_database: NewDatabase, redis_url: str, first: int) -> None:
    for seed in range(first, first + 20):
        play(new_database, redis_url, seed, steps=80)
