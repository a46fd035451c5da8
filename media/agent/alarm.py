"""One wait at a time."""

from __future__ import annotations

from collections.abc import Callable

from media.driver import SessionPort, Timer


class Alarm:
    """A timer of the session that can be set again: setting it ends the wait before."""

    def __init__(self, port: SessionPort) -> None:
        self._port = port
        self._timer: Timer | None = None

    def set(self, seconds: float, call: Callable[[], None]) -> None:
        """Calls ``call`` after ``seconds``, and what it was set to before no more."""
        self.clear()
        self._timer = self._port.after(seconds, call)

    def clear(self) -> None:
        """No wait any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
