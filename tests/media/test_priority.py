"""Threads beside the loop let it go first."""

from __future__ import annotations

import os
import sys
import threading

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
    assert after > before or before >= 15, "nobody is less important than 19"
    assert os.getpriority(os.PRIO_PROCESS, 0) == own


def test_whoever_gives_way_lets_a_waiting_thread_have_the_interpreter() -> None:
    """With a switch interval of an hour nobody is made to let go of it: the other thread runs because this one offers."""
    interval = sys.getswitchinterval()
    ran = threading.Event()
    sys.setswitchinterval(3600)
    try:
        other = threading.Thread(target=ran.set)
        other.start()
        for _ in range(100_000):
            if ran.is_set():
                break
            give_way()
    finally:
        sys.setswitchinterval(interval)
    other.join()
    assert ran.is_set()
