"""Carries events to the callback URL: in order for each call, tried again as a real vendor does, faults included.

A thread with an event loop of its own does the work: hundreds of events a second cost more time than the audio can spare.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import httpx2
import msgspec
import uvloop

from sandbox.phone.faults import Faults
from sandbox.phone.settings import PhoneSettings

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 64
"""Connections to the callback URL at once: a slow receiver shall not eat the process's file descriptors."""

MAX_BACKOFF = 15.0
"""Seconds between two tries at most."""


@dataclass(slots=True)
class Delivery:
    """What became of one sending of an event, for the report."""

    event_name: str
    tries: int = 0
    status: int | None = None
    """The HTTP status of the last answer; None if none came."""
    outcome: str = "waiting"
    """waiting, delivered, given up, lost (a fault), dropped (the phone system was closed first), no callback url."""


@dataclass(slots=True)
class Mail:
    """The events of one call. Only the courier's thread writes here; others may read `deliveries`."""

    rng: random.Random
    deliveries: list[Delivery] = field(default_factory=list)
    queue: deque[tuple[dict[str, Any], Faults]] = field(default_factory=deque)
    """What waits for the event before it: the few events of one call."""
    held: tuple[dict[str, Any], Faults] | None = None
    """A firstAnswer that waits for the cdr."""
    running: bool = False
    """Whether somebody works on the queue."""


class Courier:
    """Sends events in the background until it is closed."""

    def __init__(self, url: str | None, headers: dict[str, str], settings: PhoneSettings) -> None:
        self._url = url
        self._settings = settings
        self._tasks: set[asyncio.Task[None]] = set()
        self._client = httpx2.AsyncClient(
            headers={"Content-Type": "application/json", **headers},
            timeout=settings.event_timeout,
            limits=httpx2.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS),
            trust_env=False,
        )
        self._turns = asyncio.Semaphore(MAX_CONNECTIONS)  # the client's own queue slows down with every one who waits
        self._loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="courier", daemon=True)
        self._thread.start()

    def send(self, mail: Mail, event: dict[str, Any], faults: Faults) -> None:
        """Hand over an event of a call; returns at once."""
        self._loop.call_soon_threadsafe(self._take, mail, event, faults)

    async def close(self) -> None:
        """Give up what is not delivered, and end the thread."""
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._finish(), self._loop))
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()

    # ---- what follows runs in the thread

    def _take(self, mail: Mail, event: dict[str, Any], faults: Faults) -> None:
        name = event["event_name"]
        if self._url is None or faults.loses(name):
            mail.deliveries.append(Delivery(name, outcome="no callback url" if self._url is None else "lost"))
            return
        if faults.cdr_before_answer and name == "firstAnswer":
            mail.held = (event, faults)
            return
        for _ in range(2 if faults.doubles(name) else 1):
            self._accept(mail, event, faults)
        if name == "cdr" and mail.held is not None:
            self._accept(mail, *mail.held)
            mail.held = None

    def _accept(self, mail: Mail, event: dict[str, Any], faults: Faults) -> None:
        if faults.events_shuffled:
            wait = mail.rng.uniform(0, faults.shuffle_within)
            self._spawn(self._deliver(mail, event, faults.delay(event["event_name"]) + wait))
            return
        mail.queue.append((event, faults))
        if not mail.running:
            mail.running = True
            self._spawn(self._drain(mail))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self, mail: Mail) -> None:
        while mail.queue:
            event, faults = mail.queue.popleft()
            await self._deliver(mail, event, faults.delay(event["event_name"]))
        mail.running = False

    async def _deliver(self, mail: Mail, event: dict[str, Any], wait: float) -> None:
        delivery = Delivery(event["event_name"])
        mail.deliveries.append(delivery)
        try:
            if wait:
                await asyncio.sleep(wait)
            await self._try_all(delivery, event)
        except asyncio.CancelledError:
            delivery.outcome = "dropped"
            raise

    async def _try_all(self, delivery: Delivery, event: dict[str, Any]) -> None:
        body = msgspec.json.encode(event)
        pause = self._settings.event_retry
        for _ in range(self._settings.event_tries):
            if delivery.tries:
                await asyncio.sleep(pause)
                pause = min(pause * 2, MAX_BACKOFF)
            delivery.tries += 1
            if await self._try(delivery, body):
                delivery.outcome = "delivered"
                return
        delivery.outcome = "given up"
        log.warning("an event was given up", extra={"call_id": event["call_id"], "event_name": delivery.event_name})

    async def _try(self, delivery: Delivery, body: bytes) -> bool:
        """One POST. Only a 2xx is a success: whatever else comes, a vendor sends the event again."""
        assert self._url is not None, "events without a callback URL are not tried"
        try:
            async with self._turns:
                answer = await self._client.post(self._url, content=body)
        except httpx2.HTTPError as error:
            delivery.status = None
            log.debug("the callback url did not answer", extra={"error": type(error).__name__})
            return False
        delivery.status = answer.status_code
        return answer.is_success

    async def _finish(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()
