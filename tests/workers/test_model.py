"""The whole dialer against a model: any order of work, loss, repetition, crash and wiping, and what must always hold.

One phone system in memory, one clock, two worker houses on one database and one real Redis (design, section 5).
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select

from shared import bus, recordings
from shared.clock import FakeClock
from shared.database import reading
from shared.doorbell import APPLY_EVENTS, AUDIO_STARTED, DIAL, DISPATCH, FINISH_CALL, STOP_CALLS
from shared.errors import OutcomeUnknown, Refused, Unplaced
from shared.ids import CallIds
from shared.lifecycle import FINAL_TASKS, LIVE_CALLS, WAITING_TASKS, stopped
from shared.schema import calls, tasks
from tests.shared.tally_check import wrong_tallies
from tests.table import Verdict, recorded
from tests.workers.conftest import NewDatabase
from tests.workers.counts import count
from tests.workers.twins import CALLER, START_MS, Office, PhoneTwin, cdr
from workers import store
from workers.dial import dial, dial_waiting
from workers.dispatch import dispatch
from workers.events import apply_events, audio_started, brief, stop_calls
from workers.leases import renew_room
from workers.record import finish_call
from workers.room import LEASES_KEY
from workers.sweep import sweep

MAX_CALLS = 3
NUMBERS = [f"1380000000{index}" for index in range(4)]


class Killed(BaseException):
    """A worker process was killed at this point."""


class DialerModel(RuleBasedStateMachine):
    """Rules are what the world may do at any moment; invariants are the promises."""

    new_database: NewDatabase
    redis_url: str
    verdict: Verdict
    """Into which every life of the model is counted."""
    environment: ClassVar = {
        "max_calls": str(MAX_CALLS),
        "callers": f"{CALLER}:concurrency=2,cps=50;0571000002:concurrency=2,cps=50",
        "retry_no_answer": "20s",
        "retry_refused": "20s",
        "max_call_seconds": "120",
    }
    longest_life_seconds = 4_000
    """Three attempts, each as long as ringing, unknown waiting and the longest call may last, and their delays."""

    @initialize()
    def open(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="waihu-model-"))
        self.giving_back = ExitStack()
        database_url = self.giving_back.enter_context(self.new_database(self.directory))
        self.clock = FakeClock(START_MS)
        self.phone = PhoneTwin()
        self.offices = [
            Office(
                self.directory,
                database_url,
                self.redis_url,
                clock=self.clock,
                placer=self.phone,
                **self.environment,
            )
            for _ in range(2)
        ]
        for index, office in enumerate(self.offices):  # the same ids in every run, so that a failure can be replayed
            office.house.ids = CallIds(office.settings.timezone, start=index * 1_000_000)
        self.office = self.offices[0]
        self.office.house.redis.flushall()
        self.batch_ids: list[int] = []
        self.uuids: list[str] = []
        self.event_ids: list[int] = []
        self.stopped: set[int] = set()
        self.talked: set[int] = set()
        """Tasks of which something tells that a customer picked up, told while the call lived."""
        self.finals: dict[int, Any] = {}
        self._heartbeat()

    # --- what people and programs do ---------------------------------------------------------------------------------

    @rule(number=st.sampled_from(NUMBERS), expires=st.one_of(st.none(), st.integers(1, 200)))
    def submit(self, number: str, expires: int | None) -> None:
        expires_at = None if expires is None else self.office.now + expires * 1000
        self.batch_ids.append(self.office.ticket(number, expires_at=expires_at))

    @precondition(lambda self: self.batch_ids)
    @rule(index=st.integers(0, 99), rung=st.booleans())
    def stop(self, index: int, rung: bool) -> None:
        """stopTasks as the api does it; its message may be lost."""
        batch_id = self.batch_ids[index % len(self.batch_ids)]
        with self.office.house.write() as connection:
            row = connection.execute(select(*store.task_columns()).where(tasks.c.batch_id == batch_id)).one()
            before = store.task_of(row)
            store.save_task(connection, before, stopped(before, self.office.now), self.office.now)
        self.stopped.add(batch_id)
        if rung:
            self.office.bell.ring(STOP_CALLS, [batch_id])

    # --- what workers do ---------------------------------------------------------------------------------------------

    @rule(which=st.integers(0, 1))
    def dispatch(self, which: int) -> None:
        dispatch(self.offices[which].house)
        self._note_calls()

    @precondition(lambda self: self.uuids)
    @rule(
        which=st.integers(0, 1),
        index=st.integers(0, 99),
        outcome=st.sampled_from(
            ["placed", "placed", "refused", "unplaced", "unknown", "late", "killed before", "killed after"]
        ),
    )
    def dial(self, which: int, index: int, outcome: str) -> None:
        """Any call, dialled before or not, in either process."""
        uuid = self.uuids[index % len(self.uuids)]
        self.phone.answers = [lambda request_id: self._answer(request_id, outcome)]
        try:
            dial(self.offices[which].house, uuid)
        except Killed:
            pass
        self.phone.answers = []

    @rule(which=st.integers(0, 1))
    def sweep(self, which: int) -> None:
        sweep(self.offices[which].house)

    @rule(seed=st.randoms(use_true_random=False), lost=st.integers(0, 9))
    def deliver(self, seed: Any, lost: int) -> None:
        """Messages arrive in any order; some are lost, one comes twice."""
        messages = self._messages()
        seed.shuffle(messages)
        for name, args in messages[: len(messages) - lost // 5] + messages[:1]:
            self._run(seed.choice(self.offices), name, args)

    # --- what the phone system and media do --------------------------------------------------------------------------

    @precondition(lambda self: self.phone.rings)
    @rule(
        index=st.integers(0, 99),
        name=st.sampled_from(["firstStart", "firstAnswer", "cdr"]),
        answered=st.booleans(),
        named=st.booleans(),
    )
    def event(self, index: int, name: str, answered: bool, named: bool) -> None:
        """An event of a call that rang, in any order, maybe without our id, maybe again."""
        uuid = sorted(self.phone.rings)[index % len(self.phone.rings)]
        payload = cdr(1_000 if answered else None, 9_000) if name == "cdr" else ""
        event_id = self.office.event(name, request_id=uuid if named else "", call_id=f"call-{uuid}", pay_load=payload)
        self.event_ids.append(event_id)
        call = self.office.call(uuid)
        if call.state in LIVE_CALLS and (named or call.call_id) and (name == "firstAnswer" or (payload and answered)):
            self.talked.add(call.batch_id)

    @precondition(lambda self: self.event_ids)
    @rule(which=st.integers(0, 1), chosen=st.lists(st.integers(0, 99), max_size=4))
    def apply(self, which: int, chosen: list[int]) -> None:
        apply_events(self.offices[which].house, [self.event_ids[index % len(self.event_ids)] for index in chosen])

    @precondition(lambda self: self.phone.rings)
    @rule(index=st.integers(0, 99), ended=st.booleans(), told=st.booleans())
    def media(self, index: int, ended: bool, told: bool) -> None:
        """A media session holds a call that rang; it may end, and may be able to say so."""
        uuid = sorted(self.phone.rings)[index % len(self.phone.rings)]
        call = self.office.call(uuid)
        if call.state not in ("dialing", "unknown", "ringing", "answered"):
            return
        house = self.office.house
        path = recordings.part(
            self.office.settings.recordings_dir,
            recordings.stem(uuid, call.created_at, self.office.settings.timezone),
            1,
            "jsonl",
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        lines: list[recordings.Line] = [recordings.Begin(at=self.office.now, call_id=f"call-{uuid}", part=1)]
        if ended:
            lines.append(recordings.End(at=self.office.now, reason="hangup", initiator="callee"))
            house.redis.delete(bus.owner_key(uuid))
        else:
            house.redis.set(bus.owner_key(uuid), b"{}")
        path.write_bytes(b"".join(map(recordings.encode_line, lines)))
        self.talked.add(call.batch_id)
        if told:
            self.office.bell.ring(FINISH_CALL if ended else AUDIO_STARTED, uuid)
        brief(house, f"call-{uuid}")

    # --- what befalls everybody --------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.5, 3, 10, 40]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self._heartbeat()

    @rule()
    def wipe(self) -> None:
        self.office.house.redis.flushall()
        self._heartbeat()

    @invariant()
    def quiet_times_end(self) -> None:
        """They end by Redis's own clock, which no run can repeat: here they last for one step."""
        for key in self.office.house.redis.keys("waihu:rung:*"):
            self.office.house.redis.delete(key)

    # --- what must always hold ---------------------------------------------------------------------------------------

    @invariant()
    def a_step_is_over(self) -> None:
        self.verdict.tried += 1

    @invariant()
    def nobody_is_called_twice(self) -> None:
        assert all(rings == 1 for rings in self.phone.rings.values())

    @invariant()
    def one_live_call_a_task_and_a_number_and_no_more_than_there_is_room(self) -> None:
        live = [call for call in self.office.calls() if call.state in LIVE_CALLS]
        assert all(count == 1 for count in Counter(call.number for call in live).values())
        assert all(count == 1 for count in Counter(call.batch_id for call in live).values())
        dialled = [call for call in live if call.state != "queued"]
        assert len(dialled) <= MAX_CALLS
        assert all(count <= 2 for count in Counter(call.caller for call in dialled).values())

    @invariant()
    def what_is_final_stays_final(self) -> None:
        for batch_id in self.batch_ids:
            task = self.office.task(batch_id)
            if batch_id in self.finals:
                assert task == self.finals[batch_id]
            elif task.state in FINAL_TASKS:
                assert task.final_at is not None
                self.finals[batch_id] = task

    @invariant()
    def every_state_that_is_not_final_has_a_deadline(self) -> None:
        for call in self.office.calls():
            assert (call.deadline_at is not None) == (call.closed_at is None)
        for batch_id in self.batch_ids:
            task = self.office.task(batch_id)
            assert (task.due_at is not None) == (task.state in WAITING_TASKS)
            if task.state not in WAITING_TASKS and task.state not in FINAL_TASKS:
                assert any(call.state in LIVE_CALLS for call in self.office.calls(batch_id))

    @invariant()
    def the_tallies_are_what_counting_finds(self) -> None:
        with reading(self.office.house.engine) as connection:
            assert wrong_tallies(connection) == []

    def teardown(self) -> None:
        """However it came to this: when time passes and workers work, every task becomes final and all room is free."""
        if not hasattr(self, "offices"):
            return
        try:
            self._let_time_pass()
            states = {self.office.task(batch_id).state for batch_id in self.batch_ids}
            assert states <= FINAL_TASKS
            for batch_id in self.stopped:
                assert self.office.task(batch_id).state in FINAL_TASKS
            renew_room(self.office.house)
            assert self.office.house.redis.zcard(LEASES_KEY) == 0
            assert all(call.closed_at is not None for call in self.office.calls())
            assert all(rings == 1 for rings in self.phone.rings.values())
        finally:
            count(self.verdict, self.office)
            for office in self.offices:
                office.close()
            self.giving_back.close()
            shutil.rmtree(self.directory)

    def _let_time_pass(self) -> None:
        for raw in self.office.house.redis.keys("waihu:owner:*"):
            self.office.house.redis.delete(raw)  # media's keys end with media
        for _ in range(self.longest_life_seconds // 20):
            with reading(self.office.house.engine) as connection:
                open_calls = connection.execute(select(func.count()).where(calls.c.closed_at.is_(None))).scalar_one()
            if not open_calls and all(self.office.task(one).state in FINAL_TASKS for one in self.batch_ids):
                return
            self.clock.advance(20)
            self._heartbeat()
            for office in self.offices:
                sweep(office.house)
            self.quiet_times_end()
            while messages := self._messages():
                for name, args in messages:
                    self._run(self.office, name, args)

    def _messages(self) -> list[tuple[str, tuple[Any, ...]]]:
        """What was rung since, each message once."""
        messages = {repr(message): message for office in self.offices for message in office.bell.rung}
        for office in self.offices:
            office.bell.rung = []
        return list(messages.values())

    def _run(self, office: Office, name: str, args: tuple[Any, ...]) -> None:
        bodies: dict[str, Callable[..., None]] = {
            DISPATCH: dispatch,
            DIAL: dial_waiting,
            APPLY_EVENTS: apply_events,
            AUDIO_STARTED: audio_started,
            FINISH_CALL: finish_call,
            STOP_CALLS: stop_calls,
        }
        bodies[name](office.house, *args)
        self._note_calls()

    def _answer(self, request_id: str, outcome: str) -> str:
        """The phone system's answer. Whenever it is asked, the row is committed, and no stop was asked before that."""
        call = self.office.call(request_id)
        assert call.state == "dialing"
        assert call.batch_id not in self.stopped
        assert call.batch_id not in self.talked
        match outcome:
            case "refused":
                raise Refused(1, "no")
            case "unplaced":
                self.phone.rings.pop(request_id)
                raise Unplaced("not a byte")
            case "unknown":
                raise OutcomeUnknown("no answer")
            case "late":
                early = self.office.event("firstAnswer", request_id=request_id, call_id=f"call-{request_id}")
                apply_events(self.office.house, [early])
            case "killed before":
                self.phone.rings.pop(request_id)
                raise Killed
            case "killed after":
                raise Killed
        return f"call-{request_id}"

    def _note_calls(self) -> None:
        self.uuids = [call.uuid for call in self.office.calls()]

    def _heartbeat(self) -> None:
        self.office.media(at=self.office.now)


@pytest.fixture
def model(new_database: NewDatabase, redis_url: str) -> type[DialerModel]:
    return type("Model", (DialerModel,), {"new_database": staticmethod(new_database), "redis_url": redis_url})


@pytest.fixture
def model_on_postgresql(new_postgresql_database: NewDatabase, redis_url: str) -> type[DialerModel]:
    return type(
        "Model", (DialerModel,), {"new_database": staticmethod(new_postgresql_database), "redis_url": redis_url}
    )


@pytest.mark.parametrize(
    ("examples", "steps"), [(15, 30), pytest.param(300, 60, marks=[pytest.mark.slow, pytest.mark.timeout(3_600)])]
)
def test_the_promises_hold_whatever_happens(model: type[DialerModel], examples: int, steps: int) -> None:
    run(model, examples, steps, "SQLite")


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_the_promises_hold_on_postgresql(model_on_postgresql: type[DialerModel]) -> None:
    run(model_on_postgresql, 40, 50, "PostgreSQL")


def run(model: type[DialerModel], examples: int, steps: int, database: str) -> None:
    """The short run is the same every time; a longer one is another every time."""
    with recorded(f"in one process: a model of the dialer, any order of all, on {database}", speech=False) as verdict:
        model.verdict = verdict
        run_state_machine_as_test(
            model,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                derandomize=examples < 20,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
