"""What follows from a fact once the new state is stored."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Outcome(enum.StrEnum):
    """How an attempt came out, as far as it can be known; what the task is settled with."""

    ANSWERED = "answered"
    ANSWERED_AFTER_ALL = "answered_after_all"
    """Of an attempt that came out as NO_ANSWER before: its task was settled with that."""
    NO_ANSWER = "no_answer"
    REFUSED = "refused"
    UNPLACED = "unplaced"
    LOST = "lost"


@dataclass(frozen=True)
class Effects:
    """What has to happen once the new state is stored. Each is safe to do twice."""

    hang_up: bool = False
    """Ask the phone system to end the call (its call_id is known)."""
    brief: bool = False
    """Write the briefing under the call id that became known."""
    free_room: bool = False
    """Give back the lease, and ring for the next dispatch."""
    finish: bool = False
    """Join transcript and recording into the record."""
    outcome: Outcome | None = None
    """Settle the task with this."""


NOTHING = Effects()
