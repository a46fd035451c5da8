"""The doorbell: Celery messages by name, carrying ids only. SQL is the queue; a lost message is found again by the sweep.

Who rings needs no worker code: names and queues stand here, and ``workers`` registers its tasks under them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from celery import Celery
from kombu import Queue
from kombu.exceptions import OperationalError
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport.redis import Transport
from redis.exceptions import OutOfMemoryError

DISPATCH = "waihu.dispatch"
DIAL = "waihu.dial"
APPLY_EVENTS = "waihu.apply_events"
AUDIO_STARTED = "waihu.audio_started"
BRIEF = "waihu.brief"
STOP_CALLS = "waihu.stop_calls"
FINISH_CALL = "waihu.finish_call"
SWEEP = "waihu.sweep"
WEBHOOKS = "waihu.webhooks"

QUEUE_OF = {
    DISPATCH: "dispatch",
    SWEEP: "dispatch",
    DIAL: "dial",
    APPLY_EVENTS: "events",
    AUDIO_STARTED: "events",
    BRIEF: "events",
    STOP_CALLS: "events",
    FINISH_CALL: "results",
    WEBHOOKS: "webhooks",
}
QUEUES = tuple(Queue(name) for name in ("dispatch", "dial", "events", "results", "webhooks"))
"""Separate, so that a dial backlog never delays an event (design, "Queues")."""

CHUNK = 100
"""Ids in one message where order does not matter: a message costs about 0.7 ms whatever it carries."""

_PROMPT = {"max_retries": 0, "interval_start": 0, "socket_timeout": 2.0}
"""Who rings does not wait for a broker that is away: kombu by itself would go on connecting for 6 s."""

log = logging.getLogger(__name__)


class Broker(Transport):
    """Redis, of which being full is an outage as being away is: a worker connects anew until there is room again.

    To Celery a write that is refused with an OOM error is a failure of its own, which ends the worker.
    """

    connection_errors = (*Transport.connection_errors, OutOfMemoryError)


# By the scheme of the URL: the setting broker_transport is passed over for a socket's (redis+socket://).
TRANSPORT_ALIASES["redis"] = f"{__name__}:{Broker.__name__}"


def configure(app: Celery, redis_url: str) -> None:
    """What producers and workers must agree on, set on ``app``."""
    app.conf.update(
        broker_url=redis_url.replace("unix://", "redis+socket://", 1),
        task_queues=QUEUES,
        task_routes={name: {"queue": queue} for name, queue in QUEUE_OF.items()},
        task_create_missing_queues=False,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # by itself Celery gives up after a hundred, and its worker ends for good
        broker_transport_options={
            "socket_connect_timeout": 1.0,
            "socket_timeout": 5.0,
            "retry_on_timeout": False,
            "visibility_timeout": 3600,
        },
        redis_socket_connect_timeout=1.0,
    )


def open_sender(redis_url: str) -> Celery:
    """An app for whoever only sends: it gives up at once on a broker that is away. Close it."""
    app = Celery("waihu-sender", set_as_current=False)
    configure(app, redis_url)
    app.conf.broker_transport_options = app.conf.broker_transport_options | _PROMPT
    return app


class Doorbell:
    """Rings for the workers. Safe to use from several threads."""

    def __init__(self, redis_url: str) -> None:
        self._app = open_sender(redis_url)

    def ring(self, name: str, *args: Any) -> bool:
        """Sends one message; False if the broker is away, which is logged and otherwise harmless."""
        try:
            self._app.send_task(name, args=args, queue=QUEUE_OF[name], retry=False, ignore_result=True)
        except (OperationalError, OSError) as error:
            log.warning(
                "the doorbell did not ring; the sweep will", extra={"task_name": name, "error": type(error).__name__}
            )
            return False
        return True

    def ring_chunks(self, name: str, ids: Sequence[int | str]) -> bool:
        """Sends ``ids`` in chunks, each as one list argument; False as soon as one could not be sent."""
        return all(self.ring(name, list(ids[start : start + CHUNK])) for start in range(0, len(ids), CHUNK))

    def close(self) -> None:
        self._app.close()
