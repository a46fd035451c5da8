"""The circuit breaker: its script on a real Redis, shared by several clients, and what dispatch and dial make of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from shared.breaker import BREAKER_KEY, BreakerRule, Standing, look
from shared.clock import FakeClock
from shared.doorbell import DISPATCH
from shared.errors import OutcomeUnknown, Refused, Unplaced
from tests.workers.twins import Office
from workers.breaker import TRY_MARGIN_MS, Breaker, Outcome, Pass
from workers.dial import dial
from workers.dispatch import dispatch
from workers.events import stop_calls
from workers.sweep import sweep

RULE = BreakerRule(failures=3, within_ms=30_000, rest_ms=15_000)
TIMEOUT_MS = 10_000
PLACED, FAILED, REFUSED = Outcome


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def join(redis_url: str, clock: FakeClock) -> Iterator[Callable[[], Breaker]]:
    """Breakers of several processes: each has a client of its own."""
    clients: list[redis.Redis] = []

    def one() -> Breaker:
        clients.append(redis.Redis.from_url(redis_url))
        return Breaker(clients[-1], RULE, TIMEOUT_MS, clock)

    yield one
    for client in clients:
        client.close()


def let(breaker: Breaker, *outcomes: Outcome) -> None:
    """Calls that are let through one after another, and come out so."""
    for outcome in outcomes:
        granted = breaker.admit()
        assert granted is not None
        breaker.record(granted, outcome)


def test_failures_in_a_row_open_it_for_all_processes(join: Callable[[], Breaker], clock: FakeClock) -> None:
    one, other = join(), join()
    let(one, FAILED, REFUSED)
    assert other.standing() is Standing.CLOSED
    let(other, FAILED)
    assert one.standing() is other.standing() is Standing.OPEN
    assert one.admit() is other.admit() is None
    clock.advance(14.999)
    assert one.admit() is None
    clock.advance(0.001)
    assert one.standing() is Standing.HALF_OPEN


def test_a_placed_call_ends_the_count(join: Callable[[], Breaker]) -> None:
    breaker = join()
    let(breaker, FAILED, FAILED, PLACED, FAILED, FAILED, PLACED)
    assert breaker.standing() is Standing.CLOSED


def test_failures_that_are_far_apart_are_no_row(join: Callable[[], Breaker], clock: FakeClock) -> None:
    breaker = join()
    let(breaker, FAILED, FAILED)
    clock.advance(30.001)
    let(breaker, FAILED, FAILED)
    assert breaker.standing() is Standing.CLOSED
    let(breaker, FAILED)
    assert breaker.standing() is Standing.OPEN


def test_of_many_processes_exactly_one_tries(join: Callable[[], Breaker], clock: FakeClock) -> None:
    breakers = [join() for _ in range(6)]
    let(breakers[0], FAILED, FAILED, FAILED)
    clock.advance(15)
    start, granted = threading.Barrier(6), []

    def ask(breaker: Breaker) -> None:
        start.wait(30)
        granted.append(breaker.admit())

    threads = [threading.Thread(target=ask, args=(breaker,)) for breaker in breakers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(granted, key=str) == [None] * 5 + [Pass.TRY]
    assert breakers[0].standing() is Standing.TRYING
    assert breakers[1].record(Pass.TRY, PLACED)
    assert breakers[2].admit() is Pass.GO


def test_a_try_that_fails_lets_it_rest_again(join: Callable[[], Breaker], clock: FakeClock) -> None:
    breaker = join()
    let(breaker, FAILED, FAILED, FAILED)
    clock.advance(15)
    let(breaker, FAILED)
    assert breaker.standing() is Standing.OPEN
    clock.advance(15)
    let(breaker, PLACED)
    assert breaker.admit() is Pass.GO


@pytest.mark.parametrize(("first", "after"), [(FAILED, Standing.CLOSED), (REFUSED, Standing.OPEN)])
def test_a_refused_try_shows_that_the_phone_system_is_there_but_not_that_it_places_calls(
    join: Callable[[], Breaker], clock: FakeClock, first: Outcome, after: Standing
) -> None:
    breaker = join()
    let(breaker, first, first, first)
    clock.advance(15)
    let(breaker, REFUSED)
    assert breaker.standing() is after
    if after is Standing.CLOSED:
        assert breaker.admit() is Pass.WATCH


def test_a_try_that_nobody_tells_of_or_that_is_taken_back_gives_way_to_another(
    join: Callable[[], Breaker], clock: FakeClock
) -> None:
    breaker = join()
    let(breaker, FAILED, FAILED, FAILED)
    clock.advance(15)
    assert breaker.admit() is Pass.TRY
    clock.advance((TIMEOUT_MS + TRY_MARGIN_MS) / 1000)
    assert breaker.admit() is Pass.TRY
    breaker.withdraw(Pass.TRY)
    assert breaker.admit() is Pass.TRY


def test_calls_that_left_before_it_opened_say_nothing_of_now(join: Callable[[], Breaker], clock: FakeClock) -> None:
    breaker = join()
    early = breaker.admit()
    assert early is Pass.GO
    let(breaker, FAILED, FAILED, FAILED)
    watched = Pass.WATCH
    for outcome in Outcome:
        breaker.record(watched, outcome)
    assert breaker.standing() is Standing.OPEN
    clock.advance(15)
    breaker.record(watched, PLACED)
    assert breaker.standing() is Standing.HALF_OPEN


def test_a_wiped_redis_has_forgotten_and_learns_again(join: Callable[[], Breaker], redis_url: str) -> None:
    breaker = join()
    let(breaker, FAILED, FAILED, FAILED)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    assert breaker.admit() is Pass.GO
    let(breaker, FAILED, FAILED, FAILED)
    assert breaker.admit() is None


def test_a_redis_that_is_away_lets_nothing_through_and_outcomes_are_never_lost_to_it(clock: FakeClock) -> None:
    with redis.Redis.from_url("unix:///nowhere/redis.sock") as client:
        breaker = Breaker(client, RULE, TIMEOUT_MS, clock)
        for question in (breaker.admit, breaker.standing):
            with pytest.raises(redis.ConnectionError):
                question()
        assert breaker.record(Pass.WATCH, FAILED) is False
        breaker.withdraw(Pass.TRY)


def test_without_a_rule_nobody_is_asked() -> None:
    with redis.Redis.from_url("unix:///nowhere/redis.sock") as client:
        breaker = Breaker(client, None, TIMEOUT_MS)
        assert breaker.admit() is Pass.GO
        assert breaker.standing() is Standing.CLOSED
        assert breaker.record(Pass.GO, FAILED) is False


def test_it_goes_by_the_servers_clock_and_is_seen_by_others(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        breaker = Breaker(client, RULE, TIMEOUT_MS)
        let(breaker, REFUSED, REFUSED, REFUSED)
        seen = look(client)
        assert (seen.standing, seen.cause) == (Standing.OPEN, "refused")
        seconds, _ = client.time()
        assert seen.until is not None
        assert 0 < seen.until - int(seconds) * 1000 <= 17_000
        assert breaker.standing() is Standing.OPEN
        assert client.pttl(BREAKER_KEY) > 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from(["call", "wait", "lose"]), st.sampled_from(Outcome)), max_size=40))
def test_whatever_happens_it_neither_stays_open_for_ever_nor_opens_for_nothing(
    redis_url: str, steps: list[tuple[str, Outcome]]
) -> None:
    clock = FakeClock()
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        breaker, streak = Breaker(client, RULE, TIMEOUT_MS, clock), 0
        for step, outcome in steps:
            if step == "wait":
                clock.advance(5)
                continue
            was_closed, granted = breaker.standing() is Standing.CLOSED, breaker.admit()
            assert (granted is not None) or not was_closed
            if granted is None or step == "lose":
                continue
            streak = 0 if outcome is PLACED else streak + 1
            breaker.record(granted, outcome)
            if was_closed and breaker.standing() is Standing.OPEN:
                assert streak >= RULE.failures
        clock.advance((RULE.rest_ms + TIMEOUT_MS + TRY_MARGIN_MS) / 1000)
        assert breaker.standing() in (Standing.CLOSED, Standing.HALF_OPEN)
        granted = breaker.admit()
        assert granted is not None
        breaker.record(granted, PLACED)
        assert breaker.standing() is Standing.CLOSED


# --- at work ---------------------------------------------------------------------------------------------------------


def dial_all(office: Office) -> None:
    dispatch(office.house)
    for call in office.calls():
        if call.state == "queued":
            dial(office.house, call.uuid)


@pytest.mark.parametrize("error", [Unplaced("away"), OutcomeUnknown("hm"), Refused(7, "no")])
def test_a_phone_system_that_fails_again_and_again_is_left_alone_and_the_rest_waits(
    open_office: Callable[..., Office], error: Exception
) -> None:
    office = open_office(breaker="failures=3,within=30s,rest=15s", retry_refused="1m")
    office.media()
    batch_ids = office.tickets(8)
    office.phone.answers = [error] * 8
    dial_all(office)
    assert len(office.phone.requests) == 3
    waiting = [task for task in map(office.task, batch_ids) if task.state == "pending"]
    assert len(waiting) >= 5
    assert {task.attempts for task in waiting} == {0}
    office.advance(10)
    office.media()
    sweep(office.house)
    dispatch(office.house)
    assert office.bell.take(DISPATCH)
    assert len([call for call in office.calls() if call.state == "queued"]) == 0


def test_one_call_tries_and_then_all_go_on(open_office: Callable[..., Office]) -> None:
    office = open_office(breaker="failures=3,within=30s,rest=15s")
    office.media()
    batch_ids = office.tickets(8)
    office.phone.answers = [Unplaced("away")] * 4
    dial_all(office)
    for tries in (4, 5):
        office.advance(15)
        office.media()
        sweep(office.house)
        dial_all(office)
        assert len(office.phone.requests) == tries  # the first try fails too
    office.bell.take(DISPATCH)
    office.advance(5)
    dial_all(office)
    assert {office.task(batch_id).state for batch_id in batch_ids} == {"dialing"}
    assert all(rings == 1 for rings in office.phone.rings.values())


def test_a_try_that_was_stopped_leaves_its_turn_to_another(open_office: Callable[..., Office]) -> None:
    office = open_office(breaker="failures=1,within=30s,rest=15s")
    office.media()
    first, second = office.tickets(2)
    office.phone.answers = [Unplaced("away")]
    dispatch(office.house)
    [one, other] = office.calls()
    dial(office.house, one.uuid)
    office.advance(15)
    office.media()
    sweep(office.house)
    asked = office.house.breaker.admit

    def stopped_meanwhile() -> Pass | None:
        granted = asked()
        office.set_task(other.batch_id, stop_requested_at=office.now, state="stopping")
        return granted

    office.house.breaker.admit = stopped_meanwhile  # type: ignore[method-assign]
    dial(office.house, other.uuid)
    office.house.breaker.admit = asked  # type: ignore[method-assign]
    stop_calls(office.house, [other.batch_id])
    assert {office.task(first).state, office.task(second).state} == {"pending", "stopped"}
    assert office.house.breaker.admit() is Pass.TRY


def test_a_try_whose_call_cannot_be_committed_leaves_its_turn_to_another(
    open_office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is away at the very moment in which startcall is ready to leave: nothing has left."""
    office = open_office(breaker="failures=1,within=30s,rest=15s")
    office.media()
    office.tickets(2)
    office.phone.answers = [Unplaced("away")]
    dispatch(office.house)
    first, second = office.dials()
    dial(office.house, first)
    office.advance(15)
    office.media()
    sweep(office.house)
    commit = office.house.commit

    def away(work: object) -> object:
        raise OperationalError("update calls", {}, Exception("connection refused"))

    monkeypatch.setattr(office.house, "commit", away)
    with pytest.raises(OperationalError):
        dial(office.house, second)
    assert office.house.breaker.standing() is Standing.HALF_OPEN
    monkeypatch.setattr(office.house, "commit", commit)
    dial(office.house, second)
    assert office.phone.rings[second] == 1


def test_unanswered_calls_never_open_it(open_office: Callable[..., Office]) -> None:
    office = open_office(breaker="failures=1,within=30s,rest=15s")
    office.media()
    office.tickets(5)
    dial_all(office)
    office.advance(61)
    sweep(office.house)
    assert office.house.breaker.standing() is Standing.CLOSED
    assert len(office.phone.rings) == 5
