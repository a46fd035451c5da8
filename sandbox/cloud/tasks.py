"""What the two speech services share: DashScope's task protocol as a task sees it.

Events and errors as in Alibaba Cloud Model Studio's references "Paraformer server events" and "CosyVoice server events".
"""

import json
from dataclasses import dataclass
from typing import Any, Protocol

Json = dict[str, Any]


class TaskFailure(Exception):
    """A task can't go on; `code` and the message go into its task-failed event."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


GONE = (1011, "the service has gone away")
"""The close code and reason of a connection that a fault drops."""


class Channel(Protocol):
    """The connection of a task."""

    async def send(self, message: str | bytes) -> None:
        """Send a text or binary message; returns silently if the peer has gone."""

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Close the connection."""


@dataclass(frozen=True, slots=True)
class Reporter:
    """Sends the events of one task."""

    channel: Channel
    task_id: str

    async def event(self, name: str, payload: Json | None = None) -> None:
        await self._send({"event": name, "attributes": {}}, payload)

    async def failed(self, failure: TaskFailure) -> None:
        header = {"event": "task-failed", "error_code": failure.code, "error_message": str(failure), "attributes": {}}
        await self._send(header, None)

    async def garbage(self) -> None:
        await self.channel.send('{"header": {"task_id": "' + self.task_id + '", "event": "result-gen')

    async def _send(self, header: Json, payload: Json | None) -> None:
        message = {"header": {"task_id": self.task_id, **header}, "payload": payload or {}}
        await self.channel.send(json.dumps(message, ensure_ascii=False))


class Task(Protocol):
    """One task, from run-task to its end. Methods raise TaskFailure."""

    @property
    def finished(self) -> bool:
        """Whether task-finished was sent: another task may begin."""

    async def start(self) -> None:
        """run-task was accepted."""

    async def text(self, text: str) -> None:
        """continue-task."""

    async def audio(self, audio: bytes) -> None:
        """A binary message."""

    async def finish(self) -> None:
        """finish-task; the task sends what it still has, then task-finished."""

    def cancel(self) -> None:
        """The connection has gone."""


class HungTask:
    """A task that takes everything and says nothing."""

    finished = False

    async def start(self) -> None:
        pass

    async def text(self, text: str) -> None:
        pass

    async def audio(self, audio: bytes) -> None:
        pass

    async def finish(self) -> None:
        pass

    def cancel(self) -> None:
        pass


def sample_rate(parameters: Json, default: int, lowest: int = 8000, highest: int = 48000) -> int:
    """The parameter `sample_rate`. Raises TaskFailure if it isn't a rate that is served."""
    rate = parameters.get("sample_rate", default)
    if isinstance(rate, bool) or not isinstance(rate, int) or not lowest <= rate <= highest:
        raise TaskFailure("InvalidParameter", f"sample_rate: expected {lowest} to {highest}, got {rate!r}")
    return rate


def number(parameters: Json, name: str, default: float, lowest: float, highest: float) -> float:
    """A number among the parameters. Raises TaskFailure if it is none or out of range."""
    value = parameters.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
        raise TaskFailure(
            "InvalidParameter", f"{name}: expected a number from {lowest:g} to {highest:g}, got {value!r}"
        )
    return float(value)
