"""Entry point: ``celery -A workers.app worker`` and ``celery -A workers.app beat``.

A worker consumes every queue with a pool of threads; start more for more. Two beats at once are harmless.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from celery import Celery, signals
from celery.worker.control import inspect_command

from shared import doorbell, logs
from shared.leaving import leave_quickly
from shared.recordings import filesystem_id
from shared.settings import Settings, load
from workers.dial import dial_waiting
from workers.dispatch import dispatch
from workers.errands import Body, Errand
from workers.events import apply_events, audio_started, brief, stop_calls
from workers.house import CONCURRENCY, House, Household
from workers.record import finish_call
from workers.sweep import sweep
from workers.ticks import tick
from workers.webhooks.delivery import send_webhooks

DISPATCH_SECONDS = 1.0
SWEEP_SECONDS = 5.0

_ALONE = frozenset({doorbell.DISPATCH, doorbell.SWEEP, doorbell.WEBHOOKS})
_BODIES: dict[str, Body] = {
    doorbell.DISPATCH: dispatch,
    doorbell.DIAL: dial_waiting,
    doorbell.APPLY_EVENTS: apply_events,
    doorbell.AUDIO_STARTED: audio_started,
    doorbell.BRIEF: brief,
    doorbell.STOP_CALLS: stop_calls,
    doorbell.FINISH_CALL: finish_call,
    doorbell.SWEEP: sweep,
    doorbell.WEBHOOKS: send_webhooks,
}
_CHATTY = ("celery.worker.strategy", "celery.app.trace", "celery.beat")
"""They write a line for every message; Flower shows those."""


def create_app(settings: Settings) -> Celery:
    """The Celery application with every task of ours."""
    app = Celery("waihu", set_as_current=True)
    doorbell.configure(app, settings.redis_url)
    app.conf.update(
        worker_pool="threads",
        worker_concurrency=CONCURRENCY,
        worker_prefetch_multiplier=1,
        task_acks_late=False,
        worker_send_task_events=True,
        result_expires=None,
        timezone="UTC",
        beat_scheduler="workers.ticks:Ticks",
        beat_max_loop_interval=DISPATCH_SECONDS,
        beat_schedule={
            "dispatch": tick(doorbell.DISPATCH, DISPATCH_SECONDS),
            "sweep": tick(doorbell.SWEEP, SWEEP_SECONDS),
        },
    )
    household = Household(lambda: House(settings, concurrency=app.conf.worker_concurrency))
    for name, body in _BODIES.items():
        app.register_task(Errand(name, body, household, alone=name in _ALONE))
    _follow_process(app, household)
    return app


def _follow_process(app: Celery, household: Household) -> None:
    """A worker knows how many threads it was given (-c); told to leave, it takes up no waiting dial, and closes what it opened."""

    def set_up(instance: Any, **_: Any) -> None:
        app.conf.worker_concurrency = instance.concurrency

    def leaving(**_: Any) -> None:
        household.drain()

    def left(**_: Any) -> None:
        household.close()

    signals.celeryd_after_setup.connect(set_up, weak=False)
    signals.worker_shutting_down.connect(leaving, weak=False)
    signals.worker_shutdown.connect(left, weak=False)


@inspect_command()
def waihu_filesystem(_state: Any) -> dict[str, str]:
    """Which recordings directory this worker sees; ``waihu doctor`` asks by Celery's remote control."""
    try:
        return {"ok": filesystem_id(settings.recordings_dir)}
    except OSError as error:
        return {"error": str(error)}


settings = load()
logs.configure_celery(settings, next((name for name in ("beat", "flower") if name in sys.argv), "worker"))
for _name in _CHATTY:
    logging.getLogger(_name).setLevel(logging.WARNING)
app = create_app(settings)
leave_quickly()  # worker, beat and Flower alike
