"""The events that the phone system pushes (phone-system.txt, section 3), as JSON objects. Pure.

The loose types are the document's own: `start_time` is a string, the other times are numbers, `pay_load` is `""` or a list.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from shared.phone.wire import StartCall

CALL_TYPE = "81"
"""The only value that the document shows."""

_MISSING = object()
_BLANK_TIMES: tuple[Any, ...] = (None, 0, "", _MISSING)
"""How phone systems write a time that never came. The document shows none, so each is met."""


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of Unix time; None for what did not happen."""

    start: int
    answer: int | None
    end: int


def event(name: str, call_id: str, request: StartCall, at_ms: int, pay_load: Any = "") -> dict[str, Any]:
    """firstStart and firstAnswer (3.1, 3.2), and the frame of a cdr."""
    return {
        "call_id": call_id,
        "callee": request.callee,
        "caller": request.caller,
        "event_name": name,
        "event_time": at_ms,
        "pay_load": pay_load,
        "request_id": request.request_id,
    }


def cdr(call_id: str, request: StartCall, times: Times, rng: random.Random) -> dict[str, Any]:
    """The cdr of an ended call (3.3). The answer's time is blank in a way drawn by `rng` if there was no answer."""
    record = {
        "answer_time": times.answer if times.answer is not None else rng.choice(_BLANK_TIMES),
        "call_id": call_id,
        "call_type": CALL_TYPE,
        "callee": request.callee,
        "caller": request.caller,
        "end_time": times.end,
        "is_record": 1 if request.is_record else 0,
        "record_file": f"000000000-{call_id}-{request.callee}.wav" if request.is_record and times.answer else "",
        "request_id": request.request_id,
        "start_time": str(times.start),
    }
    present = {field: value for field, value in record.items() if value is not _MISSING}
    return event("cdr", call_id, request, times.end, [present])
