"""The bulkhead and the hangups: a slow phone system takes its share of threads and no more."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.errors import OutcomeUnknown
from tests.workers.twins import Inline, PhoneTwin
from workers.switchboard import Bulkhead, Hangups


def test_a_dial_beyond_the_places_is_taken_up_by_one_that_ends() -> None:
    bulkhead, seen = Bulkhead(1), []

    def dial(uuid: str) -> None:
        if uuid == "a":
            for other in ("b", "c", "b"):
                bulkhead.run([other], dial)
        seen.append(uuid)

    bulkhead.run(["a"], dial)
    assert seen == ["a", "b", "c"]
    bulkhead.run(["b"], dial)
    assert seen == ["a", "b", "c", "b"]


def test_one_call_is_never_dialled_twice_at_once() -> None:
    bulkhead, seen = Bulkhead(4), []

    def dial(uuid: str) -> None:
        seen.append(uuid)
        bulkhead.run([uuid], dial)

    bulkhead.run(["a"], dial)
    assert seen == ["a"]


def test_what_finds_no_place_to_wait_is_left_to_the_sweep() -> None:
    bulkhead, seen = Bulkhead(1, waiting=1), []

    def dial(uuid: str) -> None:
        if uuid == "a":
            bulkhead.run(["b"], dial)
            bulkhead.run(["c"], dial)
        seen.append(uuid)

    bulkhead.run(["a"], dial)
    assert seen == ["a", "b"]
    bulkhead.run(["c"], dial)
    assert seen == ["a", "b", "c"]


def test_an_error_leaves_no_waiting_call_behind_and_is_raised_in_the_end() -> None:
    bulkhead, seen = Bulkhead(1), []

    def dial(uuid: str) -> None:
        seen.append(uuid)
        if uuid == "a":
            bulkhead.run(["b"], dial)
            raise ValueError(uuid)

    with pytest.raises(ValueError, match="a"):
        bulkhead.run(["a"], dial)
    assert seen == ["a", "b"]
    bulkhead.run(["c"], dial)
    assert seen == ["a", "b", "c"]


def test_a_killed_dial_gives_its_place_back() -> None:
    bulkhead = Bulkhead(1)

    def killed(_uuid: str) -> None:
        raise SystemExit

    for _ in range(2):
        with pytest.raises(SystemExit):
            bulkhead.run(["a"], killed)


def test_a_process_that_leaves_takes_up_nothing_more() -> None:
    bulkhead, seen = Bulkhead(1), []

    def dial(uuid: str) -> None:
        bulkhead.run(["b"], dial)
        bulkhead.close()
        seen.append(uuid)

    bulkhead.run(["a"], dial)
    bulkhead.run(["c"], dial)
    assert seen == ["a"]


def test_many_threads_never_exceed_the_places_and_lose_nothing() -> None:
    bulkhead = Bulkhead(3, waiting=1_000)
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

    with ThreadPoolExecutor(12) as pool:
        for future in [pool.submit(bulkhead.run, [str(index)], dial) for index in range(500)]:
            future.result(30)
    assert sorted(seen, key=int) == [str(index) for index in range(500)]
    assert most <= 3


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
