"""Redis pub/sub: hints for the calls that live here, and what happens in them for the live view.

One subscribed connection a process. Redis away disturbs no call: hints are read again from the briefings when it is
back, and live events are dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import redis
import redis.asyncio

from media.briefing import Briefings
from media.protocol import events
from shared import bus

MAX_WAITING = 500
"""Live events that wait for Redis; the oldest go first. A watcher who missed some sees the next."""
GATHER_SECONDS = 0.1
"""Between two batches: who watches sees no difference, and many calls' events go out at once."""
RECONNECT_SECONDS = (0.5, 1.0, 2.0, 5.0)
"""Pauses between tries; the last one repeats."""
HEED_SECONDS = 1.0
"""After so long a task that swallowed its cancellation is told again to end."""
_UNSPOKEN = frozenset({"trackId", "playId", "timestamp", "duration", "code", "reason", "initiator", "key", "startTime"})
"""Fields of an event that hold no dialogue."""
_PUBLISHED = (
    events.Answer, events.Hangup, events.Speaking, events.Silence, events.AsrFinal, events.Eou, events.TrackStart,
    events.TrackEnd, events.Interruption, events.Error,
)  # fmt: skip

log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()
_hints = msgspec.json.Decoder(bus.Hint)


def _heed_cancellation() -> None:
    """Raises CancelledError if this task was told to end: the client swallows that while it connects."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _run_until_one_fails(*duties: Coroutine[Any, Any, None]) -> None:
    """Runs them side by side, and ends all when one does. Raises what that one raised.

    No TaskGroup: in Python 3.11 and 3.12 one whose task fails leaves its parent marked as being cancelled.
    """
    tasks = [asyncio.get_running_loop().create_task(duty) for duty in duties]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        while pending := [task for task in tasks if not task.done()]:
            for task in pending:
                task.cancel()
            await asyncio.wait(pending, timeout=HEED_SECONDS)
    for failed in [task for task in tasks if not task.cancelled() and task.exception() is not None]:
        failed.result()


class Control:
    """This process's connection to the others."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        briefings: Briefings,
        process: str,
        on_hint: Callable[[str, bus.Hint], None],
        *,
        with_speech: bool = False,
    ) -> None:
        """``on_hint`` takes a call's uuid and what was said of it. ``with_speech``: live events carry the dialogue."""
        self.dropped = 0
        """Live events that were not sent."""
        self.connected = False
        self._client = client
        self._briefings = briefings
        self._on_hint = on_hint
        self._with_speech = with_speech
        self._own = bus.call_channel(process)
        self._watched: set[str] = set()
        self._changed = asyncio.Event()
        self._subscribed: deque[str] = deque()
        """Channels that Redis has confirmed, and whose briefings are to be read again."""
        self._confirmed = asyncio.Event()
        self._outbox: deque[bytes] = deque()
        self._filled = asyncio.Event()

    def watch(self, uuid: str) -> None:
        """Hints for this call are wanted."""
        self._watched.add(uuid)
        self._changed.set()

    def forget(self, uuid: str) -> None:
        """No more."""
        self._watched.discard(uuid)
        self._changed.set()

    def tell(self, uuid: str, event: events.AnyEvent) -> None:
        """Something happened in a call. Never blocks; the oldest is dropped when too much waits."""
        if not isinstance(event, _PUBLISHED):
            return
        data = msgspec.to_builtins(event)
        name = data.pop("event")
        shown = data if self._with_speech else {key: value for key, value in data.items() if key in _UNSPOKEN}
        if len(self._outbox) >= MAX_WAITING:
            self._outbox.popleft()
            self.dropped += 1
        self._outbox.append(_encoder.encode(bus.LiveEvent(uuid=uuid, at=event.timestamp, event=name, data=shown)))
        self._filled.set()

    async def run(self) -> None:
        """Listens and tells, for ever; connects again whenever that breaks."""
        failures = 0
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._connected()
            except (redis.RedisError, OSError) as error:
                if failures == 0 or self.connected:
                    log.warning("Redis is away; calls go on without hints", extra={"error": type(error).__name__})
            self.connected = False
            _heed_cancellation()
            lasted = asyncio.get_running_loop().time() - began
            failures = 0 if lasted > RECONNECT_SECONDS[-1] else failures + 1
            await asyncio.sleep(RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS)) - 1])

    async def _connected(self) -> None:
        pubsub = self._client.pubsub()
        try:
            await pubsub.subscribe(self._own)  # a connection with no channel would have nothing to wait on
            _heed_cancellation()
            self.connected = True
            await _run_until_one_fails(self._listen(pubsub), self._subscribe(pubsub), self._send(), self._catch_up())
        finally:
            self._subscribed.clear()
            await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _listen(self, pubsub: redis.asyncio.client.PubSub) -> None:
        async for message in pubsub.listen():
            self._received(message)

    def _received(self, message: dict[str, Any]) -> None:
        uuid = message["channel"].decode().removeprefix(bus.call_channel(""))
        if message["type"] == "subscribe":
            self._subscribed.append(uuid)
            self._confirmed.set()
        elif message["type"] == "message":
            self._hinted(uuid, message["data"])

    def _hinted(self, uuid: str, data: bytes) -> None:
        try:
            hint = _hints.decode(data)
        except msgspec.DecodeError:
            log.warning("a hint is not as it should be", extra={"uuid": uuid})
            return
        if uuid in self._watched:
            self._on_hint(uuid, hint)

    async def _subscribe(self, pubsub: redis.asyncio.client.PubSub) -> None:
        """Keeps the subscriptions as the calls are."""
        subscribed: set[str] = set()
        self._changed.set()
        while True:
            await self._changed.wait()
            self._changed.clear()
            wanted = set(self._watched)
            if new := wanted - subscribed:
                await pubsub.subscribe(*map(bus.call_channel, new))
            if gone := subscribed - wanted:
                await pubsub.unsubscribe(*map(bus.call_channel, gone))
            subscribed = wanted

    async def _send(self) -> None:
        while True:
            await self._filled.wait()
            self._filled.clear()
            await self._publish()
            await asyncio.sleep(GATHER_SECONDS)

    async def flush(self) -> None:
        """Tells what waits to be told: the process leaves. What Redis does not take now, nobody hears."""
        try:
            await self._publish()
        except (redis.RedisError, OSError):
            return

    async def _publish(self) -> None:
        count = len(self._outbox)
        if not count:
            return
        async with self._client.pipeline(transaction=False) as pipeline:
            for _ in range(count):
                pipeline.publish(bus.LIVE_CHANNEL, self._outbox.popleft())
            self.dropped += count  # unless it arrives
            await pipeline.execute()
            self.dropped -= count

    async def _catch_up(self) -> None:
        """Hints that were said while nobody listened: what they were about is in the briefings.

        They are read when Redis has confirmed a subscription: what is said from then on is heard.
        """
        while True:
            await self._confirmed.wait()
            self._confirmed.clear()
            while self._subscribed:
                uuid = self._subscribed.popleft()
                briefing = await self._briefings.read(uuid) if uuid in self._watched else None
                if briefing is not None and briefing.stop_asked and uuid in self._watched:
                    self._on_hint(uuid, bus.Hint(type="stopped"))
