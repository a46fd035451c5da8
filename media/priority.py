"""How a thread beside the event loop behaves: audio that is late is heard, and what these threads do can wait a little.

On one core the kernel lets a thread that computes run on for milliseconds after the loop has become ready, and the loop
finds the interpreter taken when it runs at last. So they are less important, and offer both in between.
"""

from __future__ import annotations

import os
import sys
import threading
import time

_NICER = 5
"""Than its process. Not much more: beside other processes on the core it would hold the interpreter and not get to run."""
_NICEST = 19


def step_back() -> None:
    """The calling thread is less important than the loop from now on. Elsewhere than on Linux it stays what it is."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = min(_NICEST, os.getpriority(os.PRIO_PROCESS, thread) + _NICER)
        os.setpriority(os.PRIO_PROCESS, thread, niceness)


def give_way() -> None:
    """The loop may go first if it waits; call it after each few tenths of a millisecond of work."""
    time.sleep(0)
