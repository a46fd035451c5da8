"""Our goodbye, while it is said and after: who is answered all the same, and how long the line is held."""

from __future__ import annotations

from collections.abc import Callable, Set

from media.agent.alarm import Alarm
from media.agent.answer import Answer
from media.agent.intents import Intent
from media.agent.manners import asks_to_wait, wants_an_answer
from media.agent.scripted import says_goodbye
from media.agent.speaking import Speaking
from shared.clock import Clock

CUT_GOODBYE_SECONDS = 3.0
"""When our goodbye is over, or was talked over, so long for the customer's next word; then the call ends."""
LAST_WORDS_SECONDS = 12.0
"""For all of them: longer than anybody asks a question, and a television does not keep the line."""
MAX_REVIVALS = 3
"""Times in one call that what is said after our goodbye is answered."""


class Parting:
    """One call's."""

    def __init__(
        self,
        wait: Alarm,
        clock: Clock,
        voice: Speaking,
        *,
        say_on: Callable[[], bool],
        revive: Callable[[str], None],
        hang_up: Callable[[], None],
    ) -> None:
        """``say_on``: nothing but a noise has cut us; the rest is said if that may be, else it returns False.

        ``revive``: the goodbye is taken back, and this answered. ``hang_up`` ends the call.
        """
        self._wait = wait
        self._clock = clock
        self._voice = voice
        self._say_on = say_on
        self._revive = revive
        self._hang_up = hang_up
        self._until = 0.0
        self._revivals = 0
        self._heard = True
        """Whether the customer heard it for a goodbye before cutting in."""
        self._said_over = ""
        """Said over our goodbye, which has not stopped yet, and to be answered."""
        self.final = False
        """Nothing is answered any more: we cannot, or the time is up."""

    @property
    def revived(self) -> bool:
        """The goodbye was said once, and taken back."""
        return self._revivals > 0

    @property
    def _open(self) -> bool:
        """Whether what is said now would be answered."""
        return not self.final and self._revivals < MAX_REVIVALS

    def understood(self, text: str, *, customer_speaks: bool) -> None:
        """Words have been recognised. Who asks us to wait need not talk over the rest, though it is heard out otherwise.

        ``customer_speaks``: the turn they belong to is not over.
        """
        if not self._voice.speaks:
            self._hold_on()
        elif customer_speaks and self._open and asks_to_wait(text):
            self._voice.interrupt()

    def spoken(self, said: str, found: Set[Intent]) -> None:
        """A turn. What is more than a courtesy still gets its answer; and who did not hear the goodbye for one, hears it."""
        speaking = self._voice.speaks
        if self._open and wants_an_answer(said, found):
            if speaking:
                self._said_over = said
                self._voice.interrupt()
            else:
                self._answer(said)
        elif not speaking and (Intent.GOODBYE in found or self._heard or not self._say_on()):
            self._hang_up()

    def interrupted(self, heard: str) -> None:
        """It was cut, when so much of it was heard."""
        self._heard = says_goodbye(heard)
        self._hold()

    def ended(self, goodbye: Answer, *, customer_speaks: bool) -> None:
        """Our voice is over. If the ``customer_speaks`` just then, the next words are waited for."""
        said, self._said_over = self._said_over, ""
        if said:
            self._answer(said)
        elif goodbye.cut and not goodbye.failed:
            return  # whoever cut it is waited for
        else:
            self._heard = True
            if customer_speaks and self._open and not goodbye.failed:
                self._hold()
            else:
                self._hang_up()

    def _answer(self, said: str) -> None:
        self._revivals += 1
        self._revive(said)

    def _hold(self) -> None:
        """The customer speaks, and is not talked over."""
        self._until = self._clock.monotonic() + LAST_WORDS_SECONDS
        self._hold_on()

    def _hold_on(self) -> None:
        """There are new words, so that it is no noise."""
        rest = max(0.0, self._until - self._clock.monotonic())
        self._wait.set(min(CUT_GOODBYE_SECONDS, rest), self._hang_up)
