"""Media is told what time it is before anybody can be called, and whenever it asks what a call is about."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from shared import bus
from shared.clock import FakeClock
from tests.workers.twins import Office
from workers.events import brief
from workers.leases import rebuild_room
from workers.sweep import sweep
from workers.timekeeping import SLOW_MS, tell_time


class SkewedClock(FakeClock):
    """Of a host whose own clock is an hour ahead; the house's goes on by ``slow`` milliseconds at each look."""

    slow = 0

    def now_ms(self) -> int:
        self.advance(self.slow / 1000)
        return super().now_ms()

    def skew_ms(self) -> int | None:
        return 3_600_000


def told(office: Office) -> int:
    """What the house's time is by what media is told, against what it is, in milliseconds."""
    lacks = office.house.redis.get(bus.CLOCK_KEY)
    assert lacks is not None
    return bus.ms_of(office.house.redis.time()) + int(lacks) - office.house.clock.now_ms()


@pytest.mark.parametrize("tell", [sweep, rebuild_room, tell_time, lambda house: brief(house, "nobody's")])
def test_media_is_told(office: Office, tell: Callable[[object], object]) -> None:
    tell(office.house)
    assert told(office) == pytest.approx(0, abs=1_000)
    assert not list(office.house.redis.scan_iter(f"{bus.SKEW_PREFIX}*"))


def test_what_took_long_is_told_only_where_nothing_is_known(open_office: Callable[..., Office]) -> None:
    clock = SkewedClock()
    office = open_office(clock=clock)
    clock.slow = SLOW_MS + 1
    tell_time(office.house)
    first = office.house.redis.get(bus.CLOCK_KEY)
    assert first is not None
    tell_time(office.house)
    assert office.house.redis.get(bus.CLOCK_KEY) == first
    clock.slow = 0
    tell_time(office.house)
    assert office.house.redis.get(bus.CLOCK_KEY) != first


def test_a_host_whose_clock_is_wrong_is_named_for_doctor(open_office: Callable[..., Office]) -> None:
    office = open_office(clock=SkewedClock())
    tell_time(office.house)
    assert office.house.redis.get(bus.SKEW_PREFIX + socket.gethostname()) == b"3600000"
