"""The stream actions of one call, in order, one at a time (phone-system.txt, sections 2.2 to 2.7)."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Protocol

from shared.errors import OutcomeUnknown, PhoneError, Refused, Unplaced

TRIES = 3
"""How often an action that certainly did not arrive is sent; each waits for the client's own time-out."""
PAUSE = 0.3
"""Seconds between two tries."""
CLEAN_SECONDS = 1.0
"""How long our next frames wait for ``clean_stream``: what it flushes is older than that anyway."""

GONE_SECONDS = 1.0
"""A call that is gone refuses everything; by then its socket has closed, which ends it as what it is: hung up."""

log = logging.getLogger(__name__)


class _Answer(Enum):
    """What came of an action."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    """It may not have arrived, or not have been carried out, as often as it was tried."""


_going_on: set[asyncio.Task[None]] = set()
"""Hangups of calls that are over; the loop itself holds tasks weakly. Each ends after TRIES time-outs of the client."""


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
        self._hanging_up = False

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
        self._hanging_up = True
        self._add(self._hangup)

    async def finished(self, seconds: float) -> None:
        """Returns when all is done, or after ``seconds``: what is not done then is given up, but for a hangup. That is
        tried to its end, by itself; if that fails too, the workers hang up when no cdr has come (shared.lifecycle)."""
        if self._task is None:
            return
        await asyncio.wait([self._task], timeout=seconds)
        if self._task.done():
            return
        if self._hanging_up:
            _going_on.add(self._task)
            self._task.add_done_callback(_going_on.discard)
        else:
            self._task.cancel()

    def _add(self, action: Callable[[], Awaitable[None]]) -> None:
        self._waiting.append(action)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="stream-actions")

    async def _run(self) -> None:
        while self._waiting:
            await self._waiting.popleft()()

    async def _start(self, then: Callable[[], None]) -> None:
        """Refused, the stream may be as an earlier session of the call left it: it is stopped, and begun anew."""
        answer = await self._begin()
        if answer is _Answer.REFUSED:
            await self._try("stop_stream", self._phone.stop_stream)
            answer = await self._begin()
        if answer is _Answer.REFUSED:
            await asyncio.sleep(GONE_SECONDS)
        if answer is _Answer.DONE:
            then()
        else:
            self._on_stuck()

    async def _begin(self) -> _Answer:
        answer = await self._try("start_stream", self._phone.start_stream)
        if answer is _Answer.DONE:
            answer = await self._try("stream_playback", self._phone.stream_playback)
        return answer

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

    async def _try(self, name: str, action: Callable[[str], Awaitable[None]]) -> _Answer:
        """Again and again while it may not have arrived. What was refused is not asked for again."""
        for attempt in range(TRIES):
            try:
                await action(self._call_id)
            except Refused as error:
                self._log(name, error)
                return _Answer.REFUSED
            except (Unplaced, OutcomeUnknown) as error:
                self._log(name, error)
                if attempt + 1 < TRIES:
                    await asyncio.sleep(PAUSE)
            else:
                return _Answer.DONE
        return _Answer.FAILED

    def _log(self, name: str, error: Exception) -> None:
        log.warning(
            "a stream action failed",
            extra={"action": name, "call_id": self._call_id, "error": getattr(error, "code", type(error).__name__)},
        )
