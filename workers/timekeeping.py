"""Tells media what time it is: the workers know it from the database, which media has not."""

from __future__ import annotations

import socket

from shared import bus
from shared.clock import skew_problem
from workers.house import House

SLOW_MS = 10
"""An answer that took longer tells Redis' time too vaguely where somebody has told it better lately."""


def tell_time(house: House) -> None:
    """Writes what Redis' clock lacks of the house's. Raises redis.RedisError, and what SQLAlchemy raises if the house's
    time was never told."""
    sent = house.clock.now_ms()
    theirs = bus.ms_of(house.redis.time())
    received = house.clock.now_ms()
    lacks = (sent + received) // 2 - theirs
    house.redis.set(bus.CLOCK_KEY, lacks, ex=bus.CLOCK_TTL_SECONDS, nx=received - sent > SLOW_MS)
    skew = house.clock.skew_ms()
    if skew is not None and skew_problem(skew):
        house.redis.set(bus.SKEW_PREFIX + socket.gethostname(), skew, ex=bus.SKEW_TTL_SECONDS)
