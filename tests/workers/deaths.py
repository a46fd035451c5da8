"""Every step at which a worker touches the world outside its memory, numbered; at any of them it may be killed.

A step lies before a transaction commits and after it has, before a command reaches Redis and before its answer is
read, before and after a message is sent, a startcall or hangup leaves and is answered. Between two steps a process
only computes, and its death there is its death at the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis
from sqlalchemy import Connection

from tests.workers.twins import BellTwin, Inline, Office, PhoneTwin
from workers.switchboard import Hangups


class Killed(BaseException):
    """The process is gone."""


class Steps:
    """Counts the steps of one process, and ends it at the chosen one.

    ``strike``: what happens there instead of the process's death.
    """

    def __init__(self, chosen: int | None = None, strike: Callable[[], None] | None = None) -> None:
        self.names: list[str] = []
        """Of the steps it passed, in order."""
        self.settled: set[str] = set()
        """The requestIds of startcalls whose answer it lived to commit."""
        self._answered: set[str] = set()
        self._chosen = chosen
        self._strike = strike
        self._dead = False
        self.struck = False
        """Whether it came to the chosen step."""

    def passed(self, name: str) -> None:
        """Raises Killed at the chosen step, and ever after: what is dead cleans nothing up."""
        if self._dead:
            raise Killed(name)
        self.names.append(name)
        if len(self.names) != self._chosen:
            return
        self.struck = True
        if self._strike is not None:
            self._strike()
            return
        self._dead = True
        raise Killed(name)

    def hear(self, request_id: str) -> None:
        """The answer to this startcall; what it says is known to all after the next commit."""
        self._answered.add(request_id)

    def watch(self, office: Office) -> None:
        """From now on every step of this office counts."""
        house = office.house
        house.write = self._writing(house.write)  # type: ignore[method-assign]
        house.redis.execute_command = self._around("redis", house.redis.execute_command)  # type: ignore[method-assign]
        house.redis.pipeline = self._pipelines(house.redis.pipeline)  # type: ignore[method-assign]
        house.bell = _Bell(office.bell, self)
        house.placer = _Phone(office.phone, self)
        house.hangups = Hangups(house.placer, Inline())

    def _writing(self, write: Callable[[], Any]) -> Callable[[], Any]:
        @contextmanager
        def writing() -> Iterator[Connection]:
            with write() as connection:
                yield connection
                self.passed("before a commit")
            self.settled |= self._answered
            self.passed("after a commit")

        return writing

    def _around(self, what: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.passed(f"{what}: before {args[0] if args else 'a pipeline'}")
            answer = work(*args, **kwargs)
            self.passed(f"{what}: after {args[0] if args else 'a pipeline'}")
            return answer

        return wrapped

    def _pipelines(self, make: Callable[..., redis.client.Pipeline]) -> Callable[..., redis.client.Pipeline]:
        def made(*args: Any, **kwargs: Any) -> redis.client.Pipeline:
            pipeline = make(*args, **kwargs)
            pipeline.execute = self._around("redis", pipeline.execute)  # type: ignore[method-assign]
            return pipeline

        return made


class _Bell:
    """A message counts as sent between the two steps."""

    def __init__(self, bell: BellTwin, steps: Steps) -> None:
        self._bell, self._steps = bell, steps

    def ring(self, name: str, *args: object) -> bool:
        self._steps.passed(f"before {name} is rung")
        sent = self._bell.ring(name, *args)
        self._steps.passed(f"after {name} was rung")
        return sent

    def ring_chunks(self, name: str, ids: Sequence[int | str]) -> bool:
        return self.ring(name, list(ids))


class _Phone:
    """The phone system hears what left after the first step; its answer is heard after the second."""

    def __init__(self, phone: PhoneTwin, steps: Steps) -> None:
        self._phone, self._steps = phone, steps

    def startcall(self, caller: str, callee: str, exten: str, request_id: str, *, leaving: Callable[[], None]) -> str:
        def left() -> None:
            leaving()
            self._steps.passed("before startcall")

        self._steps.passed("before connecting")
        try:
            return self._phone.startcall(caller, callee, exten, request_id, leaving=left)
        finally:
            self._steps.passed("after startcall")
            self._steps.hear(request_id)

    def hangup(self, call_id: str) -> None:
        self._steps.passed("before hangup")
        self._phone.hangup(call_id)
        self._steps.passed("after hangup")
