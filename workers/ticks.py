"""What beat sends, by a clock that nobody sets: neither a wall clock that is put back nor hosts that differ hold it up.

Celery's own way to let a tick expire compares the sender's wall clock with the receiver's. Where these differ by an hour,
either no tick is ever too old or all are. So a tick is not sent at all while those before it wait.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from celery.beat import Scheduler, SchedulingError
from celery.schedules import schedule
from kombu.exceptions import OperationalError

from shared.bus import open_redis
from shared.doorbell import QUEUE_OF

MOST_WAITING = 30
"""Messages in a tick's queue: ten seconds of two beats' ticks, which workers that live take up at once. After an outage
there is no backlog of more."""

log = logging.getLogger(__name__)


def steady(monotonic: Callable[[], float] = time.monotonic) -> Callable[[], datetime]:
    """A clock that starts right, as far as the machine knows, and then only goes forward."""
    began, zero = datetime.now(UTC), monotonic()
    return lambda: began + timedelta(seconds=monotonic() - zero)


_now = steady()


def tick(name: str, seconds: float) -> dict[str, Any]:
    """An entry of the beat's schedule."""
    options = {"queue": QUEUE_OF[name], "ignore_result": True}
    return {"task": name, "schedule": schedule(timedelta(seconds=seconds), nowfun=_now), "options": options}


class Ticks(Scheduler):
    """Celery's scheduler in memory: every tick may be lost or doubled."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._redis: Any = None
        self._away = False

    def apply_async(self, entry: Any, producer: Any = None, advance: bool = True, **kwargs: Any) -> Any:
        """As Celery's; nothing is sent while too much waits, or Redis is away. That is said once and not at every tick."""
        try:
            sent = self._send(entry, producer=producer, advance=advance, **kwargs)
        except (redis.RedisError, SchedulingError) as error:
            cause = (error.__cause__ or error.__context__) if isinstance(error, SchedulingError) else error
            if not isinstance(cause, redis.RedisError | OperationalError | OSError):
                raise
            if not self._away:
                log.warning("Redis is away; no tick is sent", extra={"error": type(cause).__name__})
            self._away = True
            return None
        if self._away:
            log.info("ticks are sent again")
        self._away = False
        return sent

    def _send(self, entry: Any, **kwargs: Any) -> Any:
        if self._redis is None:
            self._redis = open_redis(self.app.conf.broker_url.replace("redis+socket://", "unix://", 1))
        if self._redis.llen(entry.options["queue"]) >= MOST_WAITING:
            log.info("nobody takes up what beat sends", extra={"task_name": entry.task})
            return None
        return super().apply_async(entry, **kwargs)
