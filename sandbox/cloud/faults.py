"""Faults that can be switched on in the stand-in cloud, at start and while it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Service = Literal["asr", "tts", "chat"]

Fault = Literal[
    "hang_start",  # takes the task or request, then says nothing
    "hang_stream",  # stops in mid-stream, the connection stays open
    "fail",  # an error instead of a start: task-failed, or a 400
    "fail_stream",  # an error in mid-stream
    "slow",  # every answer five times as late
    "close",  # drops the connection in mid-stream
    "garbage",  # one message in the stream is not JSON
    "error_500",  # chat only: an HTTP 500
    "error_429",  # chat only: an HTTP 429 with Retry-After
]

SERVICES: tuple[str, ...] = get_args(Service)
_CHAT_ONLY = ("error_500", "error_429")


@dataclass(slots=True)
class _Switched:
    fault: Fault
    times: int | None


class Faults:
    """Which fault each service shows at the moment. One event loop's; not for several threads."""

    def __init__(self, initial: Mapping[Service, Fault] | None = None) -> None:
        self._on: dict[Service, _Switched] = {}
        for service, fault in (initial or {}).items():
            self.set(service, fault)

    def set(self, service: Service, fault: Fault, times: int | None = None) -> None:
        """Switch `fault` on for the next `times` tasks or requests (None: until cleared).

        Raises ValueError, naming what is known, for a service or fault that isn't, or `times` below 1.
        """
        if service not in SERVICES:
            raise ValueError(f"expected a service of {', '.join(SERVICES)}, got {service!r}")
        known = [name for name in get_args(Fault) if service == "chat" or name not in _CHAT_ONLY]
        if fault not in known:
            raise ValueError(f"expected a fault of {', '.join(known)} for {service}, got {fault!r}")
        if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
            raise ValueError(f"expected times to be a whole number from 1 or null, got {times!r}")
        self._on[service] = _Switched(fault, times)

    def clear(self, service: Service | None = None) -> None:
        """Switch off one service's fault, or all. Tasks and requests that have begun keep theirs."""
        if service is None:
            self._on.clear()
        else:
            self._on.pop(service, None)

    def take(self, service: Service) -> Fault | None:
        """The fault that the task or request which begins now must show."""
        switched = self._on.get(service)
        if switched is None:
            return None
        if switched.times is not None:
            switched.times -= 1
            if not switched.times:
                del self._on[service]
        return switched.fault

    def shown(self) -> dict[str, dict[str, object]]:
        """What is switched on, for people and programs to read."""
        return {name: {"fault": on.fault, "times": on.times} for name, on in self._on.items()}
