"""The local supervisor: starts a whole house in order, keeps it alive, and ends it in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from deploy.child import Child, Output
from deploy.live import live_calls
from deploy.plan import SET, Plan, Service
from deploy.readiness import QUESTIONS
from shared.database import upgrade

READY_WITHIN = 90.0
"""Seconds for everything to come up: a busy two-core machine takes 15."""
ASK_AGAIN = 0.25
GIVE_UP_DEATHS = 3
"""A process that died so often before it was ready will not come up by itself."""
GRACE = 30.0
"""Seconds between SIGTERM and SIGKILL, which is for what hangs: an idle process ends within one, a busy machine's in
ten, a request or a task that is under way takes what it takes."""
TALK = 8.0
"""Seconds that the sandbox's people have to finish what they say; they may be hung up on."""
PARTING = 15.0
"""Seconds that media has to hang up on whoever is left, and to write the end of those calls, after a second SIGTERM."""
FIRST = ("redis",)
"""What all others need at once."""
STOP_ORDER = (("beat", "flower", "worker"), ("media",), ("web",), ("sandbox",), ("redis",))
"""Nothing new is dialled; calls end; their events are stored; then what they all stood on."""


class StartFailed(Exception):
    """A process did not come up; the message holds its last words."""


class House:
    """The processes of a plan, as an asynchronous context manager. For the main thread's event loop."""

    def __init__(
        self,
        plan: Plan,
        output: Output,
        *,
        migrate: Callable[[str], None] = upgrade,
        count_live: Callable[[str], int] = live_calls,
    ) -> None:
        """``count_live``: how many calls live, by the database at this URL; 0 if it does not tell."""
        self.plan = plan
        self.children: dict[str, Child] = {}
        self._output = output
        self._migrate = migrate
        self._count_live = count_live
        self._hurry = False

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Redis, the schema, then all others at once. Returns when each is ready; raises StartFailed."""
        services = self.plan.services
        await self._bring_up([service for service in services if service.name in FIRST])
        self._output.note("bringing the database's schema up to date")
        await asyncio.to_thread(self._migrate, self.plan.settings.database_url)
        await self._bring_up([service for service in services if service.name not in FIRST])

    async def stop(self) -> None:
        """Ends all, in order. Returns once nothing is left; ``hurry`` shortens it."""
        if "media" in self.children and not self._hurry:
            await self._tell_of_live_calls()
        for names in STOP_ORDER:
            await self._end([name for name in names if name in self.children])
        await self._end(list(self.children))

    async def _end(self, names: list[str]) -> None:
        partings = {"media": 0.0 if self._hurry else PARTING}
        await asyncio.gather(*(self.children[name].stop(self._grace(name), partings.get(name, 0.0)) for name in names))
        for name in names:
            del self.children[name]

    def hurry(self) -> None:
        """Ends everything at once: the second Ctrl-C."""
        self._hurry = True
        for child in self.children.values():
            child.cut()

    def _grace(self, name: str) -> float:
        """Media lets real customers finish; people of the sandbox may be hung up on, unless a setting says otherwise."""
        if self._hurry:
            return 0.0
        settings = self.plan.settings
        waits = "phone" not in settings.standins or settings.sources["drain_timeout"] in SET
        if name == "media":
            return settings.drain_timeout + TALK if waits else TALK
        return GRACE

    async def _tell_of_live_calls(self) -> None:
        """Whoever pressed Ctrl-C knows what is waited for, and for how long."""
        live = await asyncio.to_thread(self._count_live, self.plan.settings.database_url)
        if live:
            are = "call is" if live == 1 else "calls are"
            self._output.note(
                f"{live} {are} live; waiting up to {self._grace('media'):g} s, then hanging up on who is left; "
                "Ctrl-C again leaves at once"
            )

    async def _bring_up(self, services: Iterable[Service]) -> None:
        started = []
        for service in services:
            environment = {**self.plan.environment, **service.environment}
            child = Child(
                service.name, service.command, environment, self.plan.directory, self._output, nice=service.nice
            )
            self.children[service.name] = child
            child.start()
            started.append(child)
        waiting = {child.name: asyncio.create_task(self._until_ready(child)) for child in started}
        try:
            async with asyncio.timeout(READY_WITHIN):
                for task in asyncio.as_completed(list(waiting.values())):
                    name = await task
                    waiting.pop(name)
                    self._output.note(f"{name} is ready" + (f", waiting for {', '.join(waiting)}" if waiting else ""))
        except TimeoutError:
            name = next(iter(waiting))
            raise StartFailed(_last_words(self.children[name], f"was not ready within {READY_WITHIN:g} s")) from None
        finally:
            for left in waiting.values():
                left.cancel()

    async def _until_ready(self, child: Child) -> str:
        question = QUESTIONS.get(child.name)
        while True:
            if child.deaths >= GIVE_UP_DEATHS:
                raise StartFailed(_last_words(child, f"died {child.deaths} times"))
            if child.pid is not None:
                missing = await asyncio.to_thread(question, self.plan) if question else ""
                if not missing:
                    return child.name
            await asyncio.sleep(ASK_AGAIN)


def _last_words(child: Child, what: str) -> str:
    said = "\n".join(f"  {line}" for line in child.last_lines) or "  (nothing)"
    return f"{child.name} {what}. Its last words:\n{said}"
