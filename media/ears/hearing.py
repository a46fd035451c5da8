"""The one listening thread of a process: it looks at all calls together and tells the loop what changed."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable

from media.ears.bank import BankStats, EarBank, Event, SpeechChange
from media.ears.ears import Ears, Listener
from media.ears.hysteresis import SpeechRule
from media.ears.vad import SpeechModel
from media.priority import give_way, step_back

LOOK_EVERY_S = 0.016
"""Half a window: a verdict waits 8 ms on average, and a batch holds half of all calls."""
JOIN_S = 5.0
"""How long ``stop`` waits for the thread: one batch takes milliseconds."""

_log = logging.getLogger(__name__)


class Hearing:
    """Owns the rings, the gates, the VAD rows and the thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        capacity: int = 256,
        model: Callable[[int], SpeechModel] = SpeechModel,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Loads the model (about 50 ms).

        ``capacity``: calls at once; a row each of 160 KiB, whose memory is taken when first used. A closed call's row
        is free again after the next look, so leave room for those that close and open within 16 ms.
        Raises ModelMissingError.
        """
        self._loop = loop
        self._clock = clock
        self._bank = EarBank(capacity, model(capacity), give_way)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ears", daemon=True)
        self.failures = 0
        """Looks that raised. The calls go on; ASR text alone then ends turns and interrupts."""

    @property
    def stats(self) -> BankStats:
        """What was looked at, judged and lost since the start."""
        return self._bank.stats

    def start(self) -> None:
        """Starts the thread. Once."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and waits for it."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)

    def open(self, listener: Listener, now: float, rule: SpeechRule | None = None, dtmf: bool = True) -> Ears:
        """Ears for one call whose timeline begins at ``now``. Raises EarsFullError when ``capacity`` are in use."""
        return Ears(self._bank, listener, now, rule or SpeechRule(), dtmf)

    def _run(self) -> None:
        step_back()
        due = self._clock()
        while not self._stopping.wait(max(0.0, due - self._clock())):
            due = max(due + LOOK_EVERY_S, self._clock())
            try:
                events = self._bank.look()
            except Exception:  # noqa: BLE001 - the thread's boundary: deaf for one look is better than deaf for good
                self.failures += 1
                if self.failures & (self.failures - 1) == 0:
                    _log.exception("looking at the calls' audio failed", extra={"failures": self.failures})
                continue
            if events and not self._tell(events):
                return

    def _tell(self, events: list[Event]) -> bool:
        try:
            self._loop.call_soon_threadsafe(_deliver, self._loop, events)
        except RuntimeError:  # the loop was closed before this thread was stopped: nobody is left to tell
            return False
        return True


def _deliver(loop: asyncio.AbstractEventLoop, events: list[Event]) -> None:
    """On the loop. A call that closed meanwhile is not told; one whose listener raises does not harm the others."""
    for event in events:
        ears = event.owner
        if not isinstance(ears, Ears) or ears.listener is None:
            continue
        try:
            if isinstance(event, SpeechChange):
                ears.speaking = event.speaking
                (ears.listener.speech_started if event.speaking else ears.listener.speech_ended)(event.sample)
            else:
                ears.listener.dtmf(event.digit, event.sample)
        except Exception as error:  # noqa: BLE001 - handed to the loop's handler, as asyncio does with callbacks
            loop.call_exception_handler({"message": "a call's listener raised", "exception": error})
