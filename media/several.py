"""Several media processes behind one port, as one: ``python -m media.main --processes N``."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from contextlib import suppress

LIVED_SECONDS = 10.0
"""Who ends sooner never served: a setting is wrong, or the port is taken."""
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
"""Between two starts of one that ends again and again."""
LOOK_SECONDS = 0.1

log = logging.getLogger(__name__)


class Siblings:
    """Processes like this one. One that dies is started again, and the calls of the others go on meanwhile."""

    def __init__(self, count: int, lived: float = LIVED_SECONDS) -> None:
        """``lived``: seconds after which a process has served, for tests."""
        self._count = count
        self._lived = lived
        self._began: dict[int, float] = {}
        """When each that lives was started, by its process id."""
        self._told = False
        self._pause = 0.0

    def run(self) -> int:
        """Until told to leave; the worst of their exit codes. Only one that never served ends all the others, and its
        code is the one that counts.

        Told to, each leaves in its own time: a second word would end the calls of those that take longer. Raises OSError
        if the first of them cannot be started.
        """
        signal.signal(signal.SIGTERM, self._forward)
        signal.signal(signal.SIGINT, self._forward)
        for _ in range(self._count):
            self._start()
        cause = worst = 0
        while self._began:
            pid, status = os.wait()
            lived = time.monotonic() - self._began.pop(pid)
            code = abs(os.waitstatus_to_exitcode(status))
            if not self._told and lived < self._lived and not self._pause:
                cause = code
                self._forward(signal.SIGTERM, None)
            if self._told or not self._start_again(code, lived):
                worst = max(worst, code)
        return cause or worst

    def _start(self) -> None:
        pid = os.posix_spawn(sys.executable, [sys.executable, "-m", "media.main"], os.environ)
        self._began[pid] = time.monotonic()
        if self._told:  # in this very moment: whoever forwarded it did not know of this one
            os.kill(pid, signal.SIGTERM)

    def _start_again(self, code: int, lived: float) -> bool:
        """After a pause, longer each time if it keeps on ending; False if told to leave meanwhile."""
        if lived >= self._lived:
            self._pause = 0.0
        while not self._told:
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS) or FIRST_PAUSE_SECONDS
            log.error("a media process ended; it starts again", extra={"code": code, "pause": self._pause})
            due = time.monotonic() + self._pause
            while not self._told and time.monotonic() < due:
                time.sleep(LOOK_SECONDS)
            try:
                if not self._told:
                    self._start()
                    return True
            except OSError as error:
                log.error("a media process cannot be started", extra={"error": str(error)})
        return False

    def _forward(self, number: int, _frame: object) -> None:
        self._told = True
        for pid in self._began:
            with suppress(ProcessLookupError):  # it was waited for a moment ago
                os.kill(pid, number)
