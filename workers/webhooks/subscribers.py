"""Whether anybody wants to be told of finished tasks, remembered for a few seconds."""

from __future__ import annotations

import threading

from sqlalchemy import Engine, select

from shared.clock import Clock
from shared.database import reading
from shared.schema import webhook_endpoints

FRESH_SECONDS = 5.0
"""As often as the sweep comes by, which rings for what was due meanwhile."""


class Subscribers:
    """Saves a house without webhooks a message for every call. Only ever a hint: what is due stands in SQL."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._any = False

    def any(self) -> bool:
        """Whether an endpoint was registered a few seconds ago. Raises DBAPIError."""
        with self._lock:
            now = self._clock.monotonic()
            if now - self._asked_at >= FRESH_SECONDS:
                statement = select(webhook_endpoints.c.id).where(webhook_endpoints.c.disabled_at.is_(None)).limit(1)
                with reading(self._engine) as connection:
                    self._any = connection.execute(statement).first() is not None
                self._asked_at = now
            return self._any
