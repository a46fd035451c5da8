"""A worker that is killed at one step of its work: ``celery -A tests.faults.pause_worker worker``.

``FAULT_STEP=name:n`` names the step, and at which passing of it the process gets a SIGKILL. Nothing of this is in the
product: the steps are functions of the workers' own modules, wrapped here from outside, before any task runs.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from workers import app as product
from workers import dial, dispatch, events, record, sweep, transitions

app = product.app

STEPS: dict[str, tuple[Any, str, bool]] = {
    # step: the module, the function in it, and whether the process dies after it (else before)
    "claim: before commit": (dispatch, "claim_tasks", True),
    "claim: after commit": (dispatch, "ring_dials", False),
    "dial: before commit": (dial, "_ask_gates", True),
    "dial: after commit, before startcall": (dial, "_startcall", False),
    "dial: after startcall, before commit": (dial, "place", False),
    "dial: outcome committed, before effects": (transitions, "carry_out", False),
    "event: before commit": (events, "_match", True),
    "event: after commit": (events, "carry_out", False),
    "record: before commit": (record, "_save", True),
    "record: after commit": (record, "carry_out", False),
    "sweep: in the middle": (sweep, "due_work", False),
}


class Step:
    """Counts its passings in all threads, and ends the process at the chosen one."""

    def __init__(self, number: int) -> None:
        self._left = number
        self._lock = threading.Lock()

    def passed(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def wrap(name: str, number: int) -> None:
    """The process dies at passing ``number`` of step ``name``. Raises KeyError, and AttributeError if the step is gone."""
    module, function, after = STEPS[name]
    work: Callable[..., Any] = getattr(module, function)
    step = Step(number)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not after:
            step.passed()
        result = work(*args, **kwargs)
        if after:
            step.passed()
        return result

    setattr(module, function, wrapped)


if asked := os.environ.get("FAULT_STEP"):
    step_name, _, count = asked.rpartition(":")
    wrap(step_name, int(count))
