"""Processes that are killed at one step of their work. Nothing of this is in the product.

The steps are functions of the product's own modules, wrapped here from outside before any work begins; the module and
the number of the passing come by ``FAULT_STEP=name:n``. ``tests.faults.pause_worker`` (worker and beat), ``pause_web`` and
``pause_media`` start the product with one of them wrapped.
"""

from __future__ import annotations

import importlib
import os
import signal
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

VARIABLE = "FAULT_STEP"


class Step(NamedTuple):
    """A function by its module and its name in it; the process dies after it, else before."""

    module: str
    function: str
    after: bool = False


STEPS: dict[str, dict[str, Step]] = {
    "worker": {
        "claim: before commit": Step("workers.dispatch", "claim_tasks", after=True),
        "claim: after commit": Step("workers.dispatch", "ring_dials"),
        "dial: before commit": Step("workers.dial", "_ask_gates", after=True),
        "dial: after commit, before startcall's first byte": Step("workers.dial", "_commit_dialing", after=True),
        "dial: after startcall, before commit": Step("workers.dial", "place"),
        "dial: outcome committed, before effects": Step("workers.transitions", "carry_out"),
        "event: before commit": Step("workers.events", "_match", after=True),
        "event: after commit": Step("workers.events", "carry_out"),
        "record: before commit": Step("workers.record", "_save", after=True),
        "record: after commit": Step("workers.record", "carry_out"),
        "sweep: in the middle": Step("workers.sweep", "due_work"),
    },
    "media": {
        "socket: before its call is looked up": Step("media.exchange", "Exchange._look_up"),
        "recording: opened": Step("media.recorder", "Recorder._open", after=True),
        "session: made": Step("media.exchange", "Exchange._session", after=True),
        "recording: a line is written": Step("media.part", "PartFiles.append_line", after=True),
        "recording: audio is written": Step("media.part", "PartFiles.write", after=True),
        "end: before it is written": Step("media.session.transcript", "Transcript.end"),
        "end: before the recording is closed": Step("media.recorder", "Recording.finish"),
        "end: after the recording is closed": Step("media.recorder", "Recording.finish", after=True),
        "end: told, before the call is let go": Step("media.owner", "Owners.release"),
    },
    "web": {
        "createTasks: before commit": Step("api.intake", "insert_tasks", after=True),
        "createTasks: after commit, before the answer": Step("api.intake", "take_in", after=True),
        "event: before commit": Step("api.inbox", "_row", after=True),
        "event: after commit, before the answer": Step("api.inbox", "store", after=True),
        "stopTasks: before commit": Step("api.stopping", "stop_tasks", after=True),
        "stopTasks: after commit, before the answer": Step("api.stopping", "stop", after=True),
    },
    "beat": {
        "tick: before it is sent": Step("celery.beat", "Scheduler.apply_async"),
        "tick: after it was sent": Step("celery.beat", "Scheduler.apply_async", after=True),
    },
}
"""By role, in the order of a call's way."""


def find(step: Step) -> tuple[Any, str, Callable[..., Any]]:
    """Who holds the function, its name there, and itself. Raises ImportError or AttributeError if the step is gone."""
    *path, name = step.function.split(".")
    holder: Any = importlib.import_module(step.module)
    for part in path:
        holder = getattr(holder, part)
    return holder, name, getattr(holder, name)


def prepare(*roles: str) -> None:
    """Wraps the step that the environment names, if it names one of these roles' steps."""
    name, _, number = os.environ.get(VARIABLE, "").rpartition(":")
    for role in roles:
        if name in STEPS[role]:
            _wrap(STEPS[role][name], int(number))


def _wrap(step: Step, number: int) -> None:
    holder, name, work = find(step)
    left, lock = [number], threading.Lock()

    def passed() -> None:
        """Counts in all threads. The whole process group ends: gunicorn's, of which this is but one."""
        with lock:
            left[0] -= 1
            if left[0] == 0:
                os.killpg(0, signal.SIGKILL)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not step.after:
            passed()
        result = work(*args, **kwargs)
        if step.after:
            passed()
        return result

    setattr(holder, name, wrapped)
