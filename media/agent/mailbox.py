"""What is done about a mailbox: it is left alone, or a message is left after its tone."""

from __future__ import annotations

from collections.abc import Callable

from media.agent.alarm import Alarm
from media.agent.templates import Text

MAILBOX_SECONDS = 30.0
"""A mailbox that talks, or plays music, for longer is left without a message."""
TONE_SECONDS = 1.5
"""From the last word of a mailbox to our message: its tone lies in between."""


class Mailbox:
    """One call's, once it turns out that nobody answers it."""

    def __init__(
        self, wait: Alarm, message: Text | None, leave: Callable[[Text], None], hang_up: Callable[[], None]
    ) -> None:
        """``message``: the playbook's, if any. ``leave`` says it and ends the call; ``hang_up`` says nothing."""
        self._wait = wait
        self._message = message
        self._leave = leave
        self._hang_up = hang_up
        self._speaks = False

    def meet(self) -> None:
        """It has been recognised, while it speaks."""
        if self._message is None:
            self._hang_up()
        else:
            self.spoke()

    def spoke(self) -> None:
        """It speaks, or speaks on."""
        self._speaks = True
        self._wait.set(MAILBOX_SECONDS, self._hang_up)

    def fell_silent(self) -> None:
        """Its words are over; perhaps its tone comes now."""
        self._speaks = False
        self._wait.set(TONE_SECONDS, self._leave_message)

    def _leave_message(self) -> None:
        if self._message is not None and not self._speaks:
            self._leave(self._message)
