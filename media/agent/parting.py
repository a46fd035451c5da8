"""After our goodbye: who is answered all the same, and how long the line is held for what is still being said."""

from __future__ import annotations

from collections.abc import Callable

from media.agent.alarm import Alarm
from shared.clock import Clock

CUT_GOODBYE_SECONDS = 3.0
"""When our goodbye is over, or was talked over, so long for the customer's next word; then the call ends."""
LAST_WORDS_SECONDS = 12.0
"""For all of them: longer than anybody asks a question, and a television does not keep the line."""
MAX_REVIVALS = 3
"""Times in one call that what is said after our goodbye is answered."""


class Parting:
    """One call's."""

    def __init__(self, wait: Alarm, clock: Clock, hang_up: Callable[[], None]) -> None:
        self._wait = wait
        self._clock = clock
        self._hang_up = hang_up
        self._until = 0.0
        self._revivals = 0
        self.final = False
        """Nothing is answered any more: we cannot, or the time is up."""
        self.goodbye_heard = True
        """Whether the customer heard it before cutting in."""

    @property
    def open(self) -> bool:
        """Whether what is said now would be answered."""
        return not self.final and self._revivals < MAX_REVIVALS

    @property
    def revived(self) -> bool:
        """The goodbye was said once."""
        return self._revivals > 0

    def revive(self) -> None:
        """It is answered."""
        self._revivals += 1

    def hold(self) -> None:
        """Our voice is over, and the customer speaks."""
        self._until = self._clock.monotonic() + LAST_WORDS_SECONDS
        self.hold_on()

    def hold_on(self) -> None:
        """There are new words, so that it is no noise."""
        rest = max(0.0, self._until - self._clock.monotonic())
        self._wait.set(min(CUT_GOODBYE_SECONDS, rest), self._hang_up)
