"""The stream actions of one call, in order, one at a time (phone-system.txt, sections 2.2 to 2.7)."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from shared.errors import OutcomeUnknown, PhoneError, Refused, Unplaced

TRIES = 3
"""How often an action that certainly did not arrive is sent; each waits for the client's own time-out."""
PAUSE = 0.3
"""Seconds between two tries."""
CLEAN_SECONDS = 1.0
"""How long our next frames wait for ``clean_stream``: what it flushes is older than that anyway."""

log = logging.getLogger(__name__)


class StreamActions(Protocol):
    """What a call needs of the phone system's dialog API; shared.phone.client.AsyncPhoneSystem is the real one.

    Each may raise shared.errors.Refused, Unplaced or OutcomeUnknown.
    """

    async def start_stream(self, call_id: str) -> None:
        """Section 2.3."""

    async def stream_playback(self, call_id: str) -> None:
        """Section 2.4."""

    async def clean_stream(self, call_id: str) -> None:
        """Section 2.5."""

    async def stop_stream(self, call_id: str) -> None:
        """Section 2.6."""

    async def file_playback(self, call_id: str, name: str) -> None:
        """Section 2.2."""

    async def hangup(self, call_id: str) -> None:
        """Section 2.7."""


class ActionChain:
    """Runs what is added, in order, in one task that lives only while there is something to do."""

    def __init__(self, call_id: str, phone: StreamActions, on_stuck: Callable[[], None]) -> None:
        """``on_stuck``: the stream could not be started, so nothing can be said on this call."""
        self._call_id = call_id
        self._phone = phone
        self._on_stuck = on_stuck
        self._waiting: deque[Callable[[], Awaitable[None]]] = deque()
        self._task: asyncio.Task[None] | None = None

    def start_stream(self, then: Callable[[], None]) -> None:
        """start_stream and stream_playback; then calls ``then``."""
        self._add(lambda: self._start(then))

    def clean_stream(self, then: Callable[[], None]) -> None:
        """clean_stream; ``then`` is called when it is done, and also when it failed or took too long."""
        self._add(lambda: self._clean(then))

    def play_file(self, name: str) -> None:
        """stop_stream and file_playback."""
        self._add(lambda: self._play_file(name))

    def hangup(self) -> None:
        """hangup, instead of all that waits and of what is under way: a start that hangs must not keep a call open."""
        self._waiting.clear()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
            self._task = None
        self._add(self._hangup)

    async def finished(self, seconds: float) -> None:
        """Returns when all is done, or given up after ``seconds``."""
        if self._task is not None:
            _, late = await asyncio.wait([self._task], timeout=seconds)
            for task in late:
                task.cancel()

    def _add(self, action: Callable[[], Awaitable[None]]) -> None:
        self._waiting.append(action)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="stream-actions")

    async def _run(self) -> None:
        while self._waiting:
            await self._waiting.popleft()()

    async def _start(self, then: Callable[[], None]) -> None:
        for name, action in (
            ("start_stream", self._phone.start_stream),
            ("stream_playback", self._phone.stream_playback),
        ):
            if not await self._try(name, action):
                self._on_stuck()
                return
        then()

    async def _clean(self, then: Callable[[], None]) -> None:
        try:
            async with asyncio.timeout(CLEAN_SECONDS):
                await self._phone.clean_stream(self._call_id)
        except (PhoneError, TimeoutError) as error:
            self._log("clean_stream", error)
        then()

    async def _play_file(self, name: str) -> None:
        await self._try("stop_stream", self._phone.stop_stream)
        await self._try("file_playback", lambda call_id: self._phone.file_playback(call_id, name))

    async def _hangup(self) -> None:
        await self._try("hangup", self._phone.hangup)

    async def _try(self, name: str, action: Callable[[str], Awaitable[None]]) -> bool:
        """A refusal counts as done: the stream is as asked already, or the call is gone and its socket will tell."""
        for attempt in range(TRIES):
            try:
                await action(self._call_id)
            except Refused as error:
                self._log(name, error)
                return True
            except (Unplaced, OutcomeUnknown) as error:
                self._log(name, error)
                if attempt + 1 < TRIES:
                    await asyncio.sleep(PAUSE)
            else:
                return True
        return False

    def _log(self, name: str, error: Exception) -> None:
        log.warning(
            "a stream action failed",
            extra={"action": name, "call_id": self._call_id, "error": getattr(error, "code", type(error).__name__)},
        )
