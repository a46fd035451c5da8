"""How a thread beside the event loop behaves: audio that is late is heard, and what these threads do can wait a little.

On one core the kernel lets a thread that computes run on for milliseconds after the loop has become ready, and the loop
finds the interpreter taken when it runs at last. So they are less important, and offer both in between.
"""

from __future__ import annotations

import os
import sys
import threading
import time

_NICENESS = 5
"""Not much higher: beside other processes on the core such a thread would hold the interpreter and not get to run."""


def step_back() -> None:
    """The calling thread is less important than the loop from now on. Elsewhere than on Linux it stays what it is."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def give_way() -> None:
    """The loop may go first if it waits; call it after each few tenths of a millisecond of work."""
    time.sleep(0)
