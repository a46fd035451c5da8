"""One call: its states, and the notes from which its report is made."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.people.manner import Manner
from sandbox.phone.clock import Appointment
from sandbox.phone.courier import Mail
from sandbox.phone.events import Times
from sandbox.phone.faults import Faults
from sandbox.phone.line import Line
from sandbox.phone.talk import Talk
from shared.phone.wire import StartCall

MAX_ACTIONS = 2000
"""Requests noted for one call: a robot that is interrupted every second for ten minutes makes fewer."""

State = Literal["placed", "ringing", "answered", "ended"]
Party = Literal["robot", "callee", "phone system"]


@dataclass(frozen=True, slots=True)
class Mark:
    """A state and when it was reached: seconds of the clock, and milliseconds of Unix time."""

    state: State
    at: float
    wall_ms: int


@dataclass(frozen=True, slots=True)
class ActionNote:
    """A request about this call, and what was answered."""

    action: str
    parameters: str
    at: float
    code: int
    message: str


@dataclass(slots=True)
class Call:
    """A call that was placed. Its state only moves forward."""

    id: str
    request: StartCall
    manner_name: str
    manner: Manner
    attempt: int
    """Which of the calls to this number it is, from 1."""
    own_faults: Faults
    luck: float
    """Drawn once, 0 to 1: faults befall the call if their share is above it."""
    rng: random.Random
    mail: Mail
    marks: list[Mark] = field(default_factory=list)
    actions: list[ActionNote] = field(default_factory=list)
    appointments: list[Appointment] = field(default_factory=list)
    talk: Talk | None = None
    line: Line | None = None
    ended_by: Party | None = None
    ended_why: str = ""
    audio_report: bytes | None = None
    """Once the call has ended: the report's part about the talk, as JSON; `talk` is let go then."""
    rang: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the phone rings, or the call has ended before."""
    first_frame: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once an audio frame has gone out, or the call has ended."""

    @property
    def state(self) -> State:
        return self.marks[-1].state

    @property
    def voice(self) -> int:
        """Picks the callee's voice: the same number always speaks alike."""
        return int(self.request.callee[-4:].lstrip("+") or 0)

    def mark(self, state: State) -> Mark | None:
        """When this state was reached, None if it was not."""
        return next((mark for mark in self.marks if mark.state == state), None)

    def note(self, action: str, parameters: str, at: float, code: int, message: str) -> None:
        """Take down a request; more than MAX_ACTIONS are not kept."""
        if len(self.actions) < MAX_ACTIONS:
            self.actions.append(ActionNote(action, parameters, at, code, message))

    def times(self, skew_ms: int) -> Times:
        """The times of an ended call's cdr, by a clock that is `skew_ms` ahead."""
        answered = self.mark("answered")
        ended = self.marks[-1].wall_ms
        first = self.mark("ringing") or self.marks[0]
        return Times(
            start=first.wall_ms + skew_ms,
            answer=answered.wall_ms + skew_ms if answered else None,
            end=ended + skew_ms,
        )

    def summary(self) -> dict[str, Any]:
        """The parts of the report that need no audio."""
        began = (self.mark("answered") or self.marks[0]).at
        return {
            "call_id": self.id,
            "request_id": self.request.request_id,
            "caller": self.request.caller,
            "callee": self.request.callee,
            "exten": self.request.exten,
            "is_record": self.request.is_record,
            "manner": self.manner_name,
            "attempt": self.attempt,
            "state": self.state,
            "states": [{"state": mark.state, "wall_ms": mark.wall_ms} for mark in self.marks],
            "actions": [
                {
                    "action": note.action,
                    "parameters": note.parameters,
                    "at_ms": round((note.at - began) * 1000, 1),
                    "code": note.code,
                    "msg": note.message,
                }
                for note in self.actions
            ],
            "events": [
                {"event": sent.event_name, "tries": sent.tries, "status": sent.status, "outcome": sent.outcome}
                for sent in self.mail.deliveries
            ],
            "ended_by": self.ended_by,
            "ended_why": self.ended_why,
        }
