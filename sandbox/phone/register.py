"""The register: which calls there were, under which requestIds, and how often each number was called."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

from sandbox.phone.call import Call
from sandbox.phone.refusals import Refusal
from sandbox.phone.report import call_report, refusal_report

KEPT_CALLS = 10_000
"""Ended calls whose reports are kept, the oldest go first: about 10 KB each, so 100 MB at most."""

KEPT_REQUESTS = 200_000
"""requestIds and numbers of which it is remembered how often they were called: some 60 MB at most."""


@dataclass(slots=True)
class RequestNotes:
    """What was asked for under one requestId."""

    startcalls: int = 0
    call_ids: list[str] = field(default_factory=list)
    refusals: list[dict[str, Any]] = field(default_factory=list)


class Register:
    """Remembers, within bounds, everything that the report tells."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}
        self._ended: deque[str] = deque()
        self._requests: OrderedDict[str, RequestNotes] = OrderedDict()
        self._attempts: OrderedDict[str, int] = OrderedDict()
        self._totals: Counter[str] = Counter()

    @property
    def live(self) -> list[Call]:
        """The calls that have not ended."""
        return [call for call in self._calls.values() if call.state != "ended"]

    def find(self, call_id: str) -> Call | None:
        """The call of this id, also an ended one that is still kept."""
        return self._calls.get(call_id)

    def ask(self, request_id: str) -> None:
        """A startcall came."""
        notes = self._requests.setdefault(request_id, RequestNotes())
        notes.startcalls += 1
        self._totals["startcalls"] += 1
        _trim(self._requests)

    def refuse(self, request_id: str, refusal: Refusal, wall_ms: int) -> None:
        """It was refused: nothing rang."""
        self._requests[request_id].refusals.append({"code": int(refusal.code), "msg": str(refusal), "wall_ms": wall_ms})
        self._totals["refused"] += 1

    def place(self, call: Call) -> None:
        """It made a call."""
        self._requests[call.request.request_id].call_ids.append(call.id)
        self._calls[call.id] = call
        self._totals["placed"] += 1

    def answer(self) -> None:
        """A call was answered."""
        self._totals["answered"] += 1

    def end(self, call: Call) -> None:
        """A call has ended; the oldest ended ones are forgotten."""
        self._totals["ended"] += 1
        self._ended.append(call.id)
        while len(self._ended) > KEPT_CALLS:
            self._calls.pop(self._ended.popleft(), None)

    def attempt(self, number: str) -> int:
        """Count one more call to this number; returns which one it is, from 1."""
        self._attempts[number] = self._attempts.get(number, 0) + 1
        _trim(self._attempts)
        return self._attempts[number]

    def forget(self) -> None:
        """Forget all ended calls, all counts, and how often each number was called. Live calls stay."""
        for call_id in self._ended:
            self._calls.pop(call_id, None)
        self._ended.clear()
        self._totals.clear()
        self._attempts.clear()
        live = {call.request.request_id for call in self._calls.values()}
        for request_id in [key for key in self._requests if key not in live]:
            del self._requests[request_id]

    def report(self) -> dict[str, Any]:
        """Totals and every call, in the order of their placing."""
        totals: dict[str, Any] = {
            name: self._totals[name] for name in ("startcalls", "placed", "refused", "answered", "ended")
        }
        totals["live"] = len(self.live)
        totals["repeated"] = {key: notes.startcalls for key, notes in self._requests.items() if notes.startcalls > 1}
        return {"totals": totals, "calls": [self._report(call) for call in self._calls.values()]}

    def report_of(self, key: str) -> dict[str, Any] | None:
        """The report of a call by its id, or of a requestId's latest call; None if neither is known."""
        call = self._calls.get(key)
        if call is not None:
            return self._report(call)
        notes = self._requests.get(key)
        if notes is None:
            return None
        known = [call_id for call_id in notes.call_ids if call_id in self._calls]
        if known:
            return self._report(self._calls[known[-1]])
        return refusal_report(key, notes.startcalls, notes.refusals)

    def _report(self, call: Call) -> dict[str, Any]:
        notes = self._requests.get(call.request.request_id) or RequestNotes(1, [call.id])
        return call_report(call, notes.startcalls, notes.call_ids)


def _trim(kept: OrderedDict[str, Any]) -> None:
    while len(kept) > KEPT_REQUESTS:
        kept.popitem(last=False)
