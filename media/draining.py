"""How a media process leaves: it takes no more calls than were placed already, lets those finish, and ends what is left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from media.exchange import Exchange
from media.registry import Heart, Registry
from media.relief import Relief
from media.ringing import Ringing

PLACING_SECONDS = 10.0
"""A call that has room when the drain begins may not have been dialled yet, and its socket comes after the answer."""

SAME_WORD_SECONDS = 1.0
"""Signals so close together are one: Ctrl-C, and a supervisor that signals a whole group, reach a process of
``--processes`` by themselves and by its parent. Who means a second one has seen that the first did not suffice."""

log = logging.getLogger(__name__)


def told_once(tell: Callable[[], None], clock: Callable[[], float]) -> Callable[[], None]:
    """A signal's handler that hears the same word but once. ``clock``: seconds that never go back."""
    heard = float("-inf")

    def hear() -> None:
        nonlocal heard
        if clock() - heard >= SAME_WORD_SECONDS:
            heard = clock()
            tell()

    return hear


@dataclass(frozen=True, kw_only=True)
class Drain:
    """One process's."""

    registry: Registry
    exchange: Exchange
    heart: Heart
    ringing: Ringing | None
    """None: phones that ring are not waited for; the sandbox's people may find nobody."""
    relief: Relief
    timeout: float
    """Seconds for live calls to finish."""
    ring_timeout: float
    """Seconds that a phone may ring."""

    async def run(self, signalled: asyncio.Event) -> None:
        """Returns when no call is left. A second signal, or ``timeout``, ends those that are."""
        registry = self.registry
        registry.draining = True
        signalled.clear()
        await self.heart.beat()  # from here on no call is placed for this process
        log.info("media drains", extra={"sessions": registry.sessions, "timeout": int(self.timeout)})
        looking = asyncio.ensure_future(self.relief.run())
        again = asyncio.ensure_future(signalled.wait())
        empty = asyncio.ensure_future(self._empty())
        await asyncio.wait([again, empty], timeout=self.timeout, return_when=asyncio.FIRST_COMPLETED)
        for waiting in (looking, again, empty):
            waiting.cancel()
        left = registry.sessions
        self.exchange.end_all("shutdown")
        await asyncio.sleep(0)
        await self.exchange.closed()
        log.info(
            "media leaves", extra={"sessions_ended": left, "admitted": registry.admitted, "refused": registry.refused}
        )

    async def _empty(self) -> None:
        """No call lives here, none is about to, and no phone rings whose audio would come here."""
        port = self.relief.port
        rung_out = asyncio.get_running_loop().time() + self.ring_timeout + PLACING_SECONDS
        while True:
            await self.relief.look()
            await self._ring_out(rung_out)
            await self.registry.empty()
            if port.listening:
                return
            await port.quiet()
            if not self.registry.sessions and not port.listening:
                return

    async def _ring_out(self, until: float) -> None:
        """Returns when no phone rings whose audio would come here, or at ``until``, by the loop's clock."""
        if self.ringing is not None:
            try:
                async with asyncio.timeout_at(until):
                    await self.ringing.over()
            except TimeoutError:
                log.warning("phones may still ring; nobody will answer them here")
