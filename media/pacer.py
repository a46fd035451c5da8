"""One ticker for all calls of a process: absolute deadlines, phase buckets inside 20 ms."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Sink(Protocol):
    """A call that sends. ``frames_due`` is called about every 20 ms and must not block or await."""

    def frames_due(self, now: float) -> None:
        """Sends what is due at ``now`` (monotonic seconds), however many frames that is."""


class Pacer:
    """The one per process."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_failure: Callable[[Sink, Exception], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``on_failure`` hears of a sink that raised; it has been removed then, and the others go on."""
        raise NotImplementedError

    def add(self, sink: Sink) -> None:
        """Ticks ``sink`` from now on, in the emptiest phase."""
        raise NotImplementedError

    def remove(self, sink: Sink) -> None:
        """Stops ticking it; no error if it is not there."""
        raise NotImplementedError

    def stop(self) -> None:
        """Cancels the timer and forgets all sinks."""
        raise NotImplementedError
