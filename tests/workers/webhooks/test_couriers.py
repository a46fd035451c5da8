"""Couriers: so many for each endpoint, nobody forgotten who was asked for, and all back before the process ends."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest

from workers.webhooks.couriers import PLACES, Couriers

WAIT = 30


@pytest.fixture
def couriers() -> Iterator[Couriers]:
    made = Couriers()
    yield made
    made.close()


class Errand:
    """Work that waits until it is let go, and counts."""

    def __init__(self, willing: bool = True) -> None:
        self.changed = threading.Condition()
        self.begun = 0
        self.go = threading.Event()
        self.willing = willing

    def __call__(self) -> bool:
        with self.changed:
            self.begun += 1
            self.changed.notify_all()
        assert self.go.wait(WAIT)
        return self.willing

    def wait(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.begun >= count, WAIT)


def test_an_endpoint_has_its_places_and_no_more_and_another_has_its_own(couriers: Couriers) -> None:
    slow, other = Errand(), Errand()
    other.go.set()
    for _ in range(PLACES + 3):
        couriers.offer(1, slow)
    slow.wait(PLACES)
    couriers.offer(2, other)
    other.wait(1)
    assert slow.begun == PLACES
    slow.go.set()
    assert couriers.wait_idle(WAIT)


def test_who_was_asked_for_meanwhile_looks_again(couriers: Couriers) -> None:
    errand = Errand()
    for _ in range(PLACES):
        couriers.offer(1, errand)
    errand.wait(PLACES)
    couriers.offer(1, errand)
    couriers.offer(1, errand)
    errand.go.set()
    assert couriers.wait_idle(WAIT)
    assert errand.begun == PLACES + 1


def test_an_endpoint_that_is_to_be_left_alone_is(couriers: Couriers) -> None:
    errand = Errand(willing=False)
    for _ in range(PLACES + 1):
        couriers.offer(1, errand)
    errand.wait(PLACES)
    errand.go.set()
    assert couriers.wait_idle(WAIT)
    assert errand.begun == PLACES


def test_who_gives_up_is_not_followed_by_one_after_the_other_until_the_next_ring() -> None:
    """The second hand of each finds the first one's place free when it asks for a third."""
    left = threading.Semaphore(0)

    class Watched(Couriers):
        def _leave(self, endpoint_id: int, willing: bool) -> bool:
            again = super()._leave(endpoint_id, willing)
            left.release()
            return again

    couriers, begun = Watched(), itertools.count(1)

    def errand() -> bool:
        number = next(begun)
        if number % PLACES != 1:
            assert left.acquire(timeout=WAIT)
        if number < 10:
            couriers.join_in(1, errand)
        return False

    for rings in range(1, 3):
        couriers.offer(1, errand)
        assert couriers.wait_idle(WAIT)
        assert left.acquire(timeout=WAIT)
        assert next(begun) == 1 + rings * PLACES
        begun = itertools.count(1 + rings * PLACES)
    couriers.close()


def test_a_courier_that_fails_frees_its_place_and_is_logged(
    couriers: Couriers, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> bool:
        raise ValueError("a bug")

    for _ in range(PLACES + 2):
        couriers.offer(1, fail)
    assert couriers.wait_idle(WAIT)
    assert "a courier failed" in caplog.text
    errand = Errand()
    errand.go.set()
    couriers.offer(1, errand)
    errand.wait(1)


def test_who_is_out_is_waited_for_and_nobody_else_sets_out() -> None:
    couriers, errand, late = Couriers(), Errand(), Errand()
    couriers.offer(1, errand)
    errand.wait(1)
    couriers.drain()
    couriers.offer(2, late)
    closing = threading.Thread(target=couriers.close)
    closing.start()
    assert closing.is_alive()
    errand.go.set()
    closing.join(WAIT)
    assert not closing.is_alive()
    assert (errand.begun, late.begun) == (1, 0)
