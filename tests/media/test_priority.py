"""Threads beside the loop let it go first."""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest

from media.priority import give_way, step_back


def _in_thread(work: list[int]) -> None:
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    step_back()
    work += [before, os.getpriority(os.PRIO_PROCESS, threading.get_native_id())]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a niceness for each thread")
def test_a_thread_that_steps_back_leaves_the_others_as_they_were() -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    seen: list[int] = []
    thread = threading.Thread(target=_in_thread, args=(seen,))
    thread.start()
    thread.join()
    before, after = seen
    assert before == own
    assert after == min(19, before + 5)
    assert os.getpriority(os.PRIO_PROCESS, 0) == own


def test_whoever_gives_way_lets_a_waiting_thread_have_the_interpreter() -> None:
    """With a switch interval of an hour nobody is made to let go of it: the other thread runs because this one offers."""
    interval = sys.getswitchinterval()
    gate, ran = threading.Lock(), []

    def wait() -> None:
        with gate:
            ran.append(True)

    gate.acquire()
    other = threading.Thread(target=wait)
    other.start()
    time.sleep(0.05)  # it stands before the gate then; if not yet, it has a longer way, and the test proves as much
    sys.setswitchinterval(3600)
    try:
        gate.release()
        for _ in range(100_000):
            if ran:
                break
            give_way()
        offered = bool(ran)
    finally:
        sys.setswitchinterval(interval)
    other.join()
    assert offered
