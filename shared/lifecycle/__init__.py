"""The lifecycle of calls and tasks: pure functions from what is known and what was told to what holds now.

Facts come in any order, twice, or never. A call's state only rises in rank; a fact that says nothing new changes
nothing; a final state never changes, though later facts may add to its record. Nothing here does I/O or reads a clock:
every fact carries its time (milliseconds since 1970, our clock). What must be done is returned as effects.

    call: queued -> dialing -> ringing -> answered -> ended, or unplaced | refused | unknown (live) | lost
    task: pending -> queued -> dialing -> in_call -> completed | not_connected | failed | unknown;
          retry_wait between attempts; stopping -> stopped; expired
"""

from __future__ import annotations

from shared.lifecycle.call import Call, apply, dialing
from shared.lifecycle.effects import NOTHING, Effects, Outcome
from shared.lifecycle.facts import (
    Answered,
    AudioLost,
    CdrReceived,
    DeadlinePassed,
    Fact,
    MediaEnded,
    MediaGone,
    OutcomeUnknown,
    Placed,
    Refused,
    Started,
    StopAsked,
    Unplaced,
)
from shared.lifecycle.policy import (
    CALL_GRACE_MS,
    CLOSE_AFTER_MS,
    DIALING_MARGIN_MS,
    HANGUP_GRACE_MS,
    QUEUED_WAIT_MS,
    UNKNOWN_GRACE_MS,
    UNPLACED_WAIT_MS,
    Policy,
)
from shared.lifecycle.states import (
    FINAL_TASKS,
    LIVE_CALLS,
    LOST,
    NO_ANSWER,
    NORMAL_CLEARING,
    ORIGINATOR_CANCEL,
    RANK,
    STATUS_TEXT,
    TEMPORARY_FAILURE,
    WAITING_TASKS,
    CallState,
    TaskState,
)
from shared.lifecycle.task import Task, expired, follow, settle, stopped

__all__ = [
    "CALL_GRACE_MS",
    "CLOSE_AFTER_MS",
    "DIALING_MARGIN_MS",
    "FINAL_TASKS",
    "HANGUP_GRACE_MS",
    "LIVE_CALLS",
    "LOST",
    "NORMAL_CLEARING",
    "NOTHING",
    "NO_ANSWER",
    "ORIGINATOR_CANCEL",
    "QUEUED_WAIT_MS",
    "RANK",
    "STATUS_TEXT",
    "TEMPORARY_FAILURE",
    "UNKNOWN_GRACE_MS",
    "UNPLACED_WAIT_MS",
    "WAITING_TASKS",
    "Answered",
    "AudioLost",
    "Call",
    "CallState",
    "CdrReceived",
    "DeadlinePassed",
    "Effects",
    "Fact",
    "MediaEnded",
    "MediaGone",
    "Outcome",
    "OutcomeUnknown",
    "Placed",
    "Policy",
    "Refused",
    "Started",
    "StopAsked",
    "Task",
    "TaskState",
    "Unplaced",
    "apply",
    "dialing",
    "expired",
    "follow",
    "settle",
    "stopped",
]
