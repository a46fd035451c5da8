"""The bulkhead and the hangups: a slow phone system takes its share of threads and no more."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from shared.errors import OutcomeUnknown
from tests.workers.twins import Inline, PhoneTwin
from workers.switchboard import Bulkhead, Hangups, Waiting


@pytest.fixture
def waiting(redis_url: str) -> Iterator[Waiting]:
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        yield Waiting(client)


def nobody() -> None:
    """Who is called where no other thread is."""


def test_what_waits_is_dialled_in_its_order_by_one_thread_until_nothing_waits(waiting: Waiting) -> None:
    bulkhead, seen = Bulkhead(1, waiting), []

    def dial(uuid: str) -> None:
        seen.append(uuid)
        if uuid == "a":
            waiting.put(["c"], 2)

    waiting.put(["a", "b"], 1)
    bulkhead.run(dial, nobody)
    assert seen == ["a", "b", "c"]
    assert waiting.take() == (None, 0)


def test_one_call_waits_once_and_keeps_its_place(waiting: Waiting) -> None:
    waiting.put(["a"], 1)
    waiting.put(["b"], 2)
    waiting.put(["a"], 3)
    assert [waiting.take() for _ in range(3)] == [("a", 1), ("b", 0), (None, 0)]


def test_a_thread_beyond_the_places_leaves_the_work_to_those_that_dial(waiting: Waiting) -> None:
    bulkhead, seen = Bulkhead(1, waiting), []

    def dial(uuid: str) -> None:
        if uuid == "a":
            bulkhead.run(dial, nobody)
            assert seen == []
        seen.append(uuid)

    waiting.put(["a", "b"], 1)
    bulkhead.run(dial, nobody)
    assert seen == ["a", "b"]


def test_a_bell_that_met_a_full_house_is_heard_by_the_thread_that_leaves(redis_url: str) -> None:
    """It may have been rung for calls that came just after the thread had seen that none waits."""

    class Late(Waiting):
        """Whoever finds that nothing waits is a moment too early."""

        rung = False

        def take(self) -> tuple[str | None, int]:
            found = super().take()
            if found[0] is None and not self.rung:
                self.rung = True
                self.put(["b"], 2)
                bulkhead.run(seen.append, nobody)
            return found

    with redis.Redis.from_url(redis_url) as client:
        late, seen = Late(client), []
        bulkhead = Bulkhead(1, late)
        late.put(["a"], 1)
        bulkhead.run(seen.append, nobody)
    assert seen == ["a", "b"]


def test_who_begins_calls_another_as_long_as_more_waits(waiting: Waiting) -> None:
    bulkhead, called = Bulkhead(4, waiting), []

    def call_others() -> None:
        called.append(1)
        bulkhead.run(lambda _uuid: None, call_others)

    waiting.put(["a", "b", "c"], 1)
    bulkhead.run(lambda _uuid: None, call_others)
    assert len(called) == 2
    assert waiting.take() == (None, 0)


def test_an_error_is_raised_and_the_rest_left_to_another_thread(waiting: Waiting) -> None:
    bulkhead, called, seen = Bulkhead(1, waiting), [], []

    def fail(uuid: str) -> None:
        raise ValueError(uuid)

    waiting.put(["a"], 1)
    waiting.put(["b"], 2)
    with pytest.raises(ValueError, match="a"):
        bulkhead.run(fail, lambda: called.append(1))
    assert called == [1, 1]
    bulkhead.run(seen.append, nobody)
    assert seen == ["b"]


def test_a_killed_dial_gives_its_place_back(waiting: Waiting) -> None:
    bulkhead = Bulkhead(1, waiting)

    def killed(_uuid: str) -> None:
        raise SystemExit

    for _ in range(2):
        waiting.put(["a"], 1)
        with pytest.raises(SystemExit):
            bulkhead.run(killed, nobody)


def test_a_process_that_leaves_takes_up_nothing_more(waiting: Waiting) -> None:
    bulkhead, seen = Bulkhead(1, waiting), []

    def dial(uuid: str) -> None:
        bulkhead.close()
        seen.append(uuid)

    waiting.put(["a", "b"], 1)
    bulkhead.run(dial, nobody)
    bulkhead.run(dial, nobody)
    assert seen == ["a"]
    assert waiting.take() == ("b", 0)


def test_many_threads_never_exceed_the_places_and_lose_nothing(waiting: Waiting) -> None:
    bulkheads = [Bulkhead(3, waiting), Bulkhead(2, waiting)]
    lock, seen = threading.Lock(), []
    busy = most = 0

    def dial(uuid: str) -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        with lock:
            seen.append(uuid)
            busy -= 1

    uuids = [f"{index:03d}" for index in range(500)]
    with ThreadPoolExecutor(12) as pool:
        rung = []
        for first in range(0, 500, 10):
            waiting.put(uuids[first : first + 10], first)
            rung += [pool.submit(bulkhead.run, dial, nobody) for bulkhead in bulkheads]
        for future in rung:
            future.result(30)
    assert sorted(seen) == uuids
    assert most <= 5


def test_a_hangup_that_fails_is_logged_without_a_word_too_much(caplog: pytest.LogCaptureFixture) -> None:
    phone = PhoneTwin(hangup_errors=[OutcomeUnknown("13800138000 did not answer")])
    with caplog.at_level(logging.WARNING):
        Hangups(phone, Inline()).ask("call-1")
    [record] = caplog.records
    assert (record.message, record.call_id) == ("hangup failed; the deadline asks again", "call-1")  # type: ignore[attr-defined]
    assert "13800138000" not in str(vars(record))


def test_who_asks_for_a_hangup_does_not_wait_for_it() -> None:
    hold, phone = threading.Event(), PhoneTwin()
    executor = ThreadPoolExecutor(1)
    executor.submit(hold.wait, 30)
    hangups = Hangups(phone, executor)
    hangups.ask("call-1")
    assert phone.hung_up == []
    hold.set()
    hangups.close()
    assert phone.hung_up == ["call-1"]


def test_places_of_hangups_that_are_done_or_failed_are_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.switchboard.WAITING_HANGUPS", 2)
    phone = PhoneTwin(hangup_errors=[OutcomeUnknown("no answer")])
    hangups = Hangups(phone, Inline())
    for number in range(6):
        hangups.ask(f"call-{number}")
    assert phone.hung_up == [f"call-{number}" for number in range(6)]
