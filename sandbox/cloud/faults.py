"""Faults that can be switched on in the stand-in cloud, at start and while it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Service = Literal["asr", "tts", "chat"]

Fault = Literal["hang_start", "hang_stream", "fail", "slow", "close", "garbage", "error_500", "error_429"]
"""`hang_start`: accepts, then says nothing. `hang_stream`: stops in mid-stream, the socket stays open.
`fail`: task-failed (speech), a 400 error (chat). `slow`: every answer five times as late. `close`: drops the connection in
mid-stream. `garbage`: JSON that is none. `error_500`, `error_429`: chat only."""


@dataclass(slots=True)
class Switched:
    fault: Fault
    times: int | None  # how many more tasks or requests it hits; None: until switched off


class Faults:
    """Which fault each service shows at the moment."""

    def __init__(self, initial: Mapping[Service, Fault] | None = None) -> None:
        raise NotImplementedError

    def set(self, service: Service, fault: Fault, times: int | None = None) -> None:
        """Switch `fault` on for the next `times` tasks or requests (None: until cleared)."""
        raise NotImplementedError

    def clear(self, service: Service | None = None) -> None:
        """Switch off one service's fault, or all."""
        raise NotImplementedError

    def take(self, service: Service) -> Fault | None:
        """The fault that the task or request which begins now must show."""
        raise NotImplementedError
