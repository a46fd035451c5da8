"""The lifecycle of calls and tasks: pure functions from what is known and what was told to what holds now.

Facts come in any order, twice, or never. A call's state only rises in rank; a fact that says nothing new changes
nothing; a final state never changes, though later facts may add to its record. Nothing here does I/O or reads a clock:
every fact carries its time (milliseconds since 1970, our clock). What must be done is returned as effects.

    call: queued -> dialing -> ringing -> answered -> ended, or unplaced | refused | unknown (live) | lost
    task: pending -> queued -> dialing -> in_call -> completed | not_connected | failed | unknown;
          retry_wait between attempts; stopping -> stopped; expired
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, replace
from typing import assert_never


class CallState(enum.StrEnum):
    QUEUED = "queued"
    DIALING = "dialing"
    UNKNOWN = "unknown"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"
    UNPLACED = "unplaced"
    REFUSED = "refused"
    LOST = "lost"


class TaskState(enum.StrEnum):
    PENDING = "pending"
    QUEUED = "queued"
    DIALING = "dialing"
    IN_CALL = "in_call"
    RETRY_WAIT = "retry_wait"
    COMPLETED = "completed"
    NOT_CONNECTED = "not_connected"
    FAILED = "failed"
    UNKNOWN = "unknown"
    STOPPING = "stopping"
    STOPPED = "stopped"
    EXPIRED = "expired"


_RANK = {
    CallState.QUEUED: 0,
    CallState.DIALING: 1,
    CallState.UNKNOWN: 2,
    CallState.RINGING: 3,
    CallState.ANSWERED: 4,
    CallState.ENDED: 9,
    CallState.UNPLACED: 9,
    CallState.REFUSED: 9,
    CallState.LOST: 9,
}
LIVE_CALLS = frozenset(state for state, rank in _RANK.items() if rank < 9)
"""While a call is in one of these its number and its task may not be dialled again."""

FINAL_TASKS = frozenset(
    {
        TaskState.COMPLETED,
        TaskState.NOT_CONNECTED,
        TaskState.FAILED,
        TaskState.UNKNOWN,
        TaskState.STOPPED,
        TaskState.EXPIRED,
    }
)
WAITING_TASKS = frozenset({TaskState.PENDING, TaskState.RETRY_WAIT})
"""States without a live call: dispatch may claim them, stopTasks ends them at once."""

STATUS_TEXT = {
    TaskState.PENDING: "待拨打",
    TaskState.QUEUED: "排队中",
    TaskState.DIALING: "呼叫中",
    TaskState.IN_CALL: "通话中",
    TaskState.RETRY_WAIT: "待重拨",
    TaskState.COMPLETED: "已完成",
    TaskState.NOT_CONNECTED: "未接通",
    TaskState.FAILED: "失败",
    TaskState.STOPPING: "停止中",
    TaskState.STOPPED: "已停止",
    TaskState.EXPIRED: "已过期",
    TaskState.UNKNOWN: "结果未知",
}
"""What calltask/list calls each state (reading.md, "taskType ... status")."""

NORMAL_CLEARING = "NORMAL_CLEARING:sip:200"
NO_ANSWER = "NO_ANSWER:sip:480"
TEMPORARY_FAILURE = "NORMAL_TEMPORARY_FAILURE:sip:503"
LOST = "LOST:sip:0"
ORIGINATOR_CANCEL = "ORIGINATOR_CANCEL:sip:487"

QUEUED_WAIT_MS = 60_000
"""A queued call whose dial message was lost (Redis wiped, worker killed) goes back to its task after this long."""
DIALING_MARGIN_MS = 15_000
"""Beyond the HTTP time-out of startcall: only a killed worker leaves a call in dialing for longer."""
UNKNOWN_GRACE_MS = 30_000
"""Beyond the ring time-out: what rang unseen has stopped ringing, and an event that was late has come."""
HANGUP_GRACE_MS = 15_000
"""From our hangup to the cdr that should follow it; then we end the call ourselves."""
CALL_GRACE_MS = 30_000
"""Beyond the longest conversation: media hangs up by itself first."""
CLOSE_AFTER_MS = 30_000
"""From the first end signal to closing the record without the second (design, section 2)."""
UNPLACED_WAIT_MS = 5_000
"""Before a task whose startcall could not leave is due again, so that a dead phone system is not hammered."""


@dataclass(frozen=True)
class Policy:
    """What the settings say about time and retries; durations in milliseconds."""

    ring_timeout_ms: int = 60_000
    max_call_ms: int = 600_000
    startcall_timeout_ms: int = 10_000
    retry_no_answer_ms: tuple[int, ...] = ()
    retry_refused_ms: tuple[int, ...] = ()
    retry_unknown_ms: tuple[int, ...] = ()
    """Counted against all attempts of the task; empty: what nobody knows to have rung is never dialled again."""


@dataclass(frozen=True)
class Call:
    """What is known of one dial attempt; the columns of a ``calls`` row that the lifecycle reads and writes."""

    uuid: str
    created_at: int
    state: CallState = CallState.QUEUED
    call_id: str = ""
    dialing_at: int | None = None
    answered_at: int | None = None
    ended_at: int | None = None
    media_ended_at: int | None = None
    cdr_at: int | None = None
    closed_at: int | None = None
    hangup_requested_at: int | None = None
    stop_asked: bool = False
    hangup_cause: str = ""
    time_len: int = 0
    record_file: str = ""
    deadline_at: int | None = None

    @property
    def live(self) -> bool:
        return self.state in LIVE_CALLS

    @property
    def listed(self) -> bool:
        """Whether it is a record: it may have left the house, and has ended."""
        return self.state in (CallState.ENDED, CallState.REFUSED, CallState.LOST)


# --- facts -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Placed:
    """startcall was answered with code 0 and the call's id."""

    at: int
    call_id: str


@dataclass(frozen=True)
class Refused:
    """startcall was answered with a non-zero code: nothing rang."""

    at: int


@dataclass(frozen=True)
class Unplaced:
    """Not a byte of startcall left, or the dial was called off before it."""

    at: int


@dataclass(frozen=True)
class OutcomeUnknown:
    """startcall may have left and was not answered readably."""

    at: int


@dataclass(frozen=True)
class Started:
    """The event firstStart."""

    at: int
    call_id: str = ""


@dataclass(frozen=True)
class Answered:
    """The event firstAnswer, or an audio frame: either proves that somebody picked up."""

    at: int
    call_id: str = ""


@dataclass(frozen=True)
class MediaEnded:
    """The call's media session is over. ``answered_at`` and ``ended_at`` are media's observations, our clock."""

    at: int
    answered_at: int
    ended_at: int


@dataclass(frozen=True)
class CdrReceived:
    """The cdr. Times are the phone system's own clock and give durations only."""

    at: int
    call_id: str = ""
    answer_time: int | None = None
    end_time: int | None = None
    record_file: str = ""


@dataclass(frozen=True)
class StopAsked:
    """stopTasks was called for the call's task."""

    at: int


@dataclass(frozen=True)
class DeadlinePassed:
    """``deadline_at`` is over. ``audio_flows``: a media session of this call lives, whatever the events say."""

    at: int
    audio_flows: bool = False


@dataclass(frozen=True)
class MediaGone:
    """The call is answered, but no media session has held it for longer than a reconnect takes."""

    at: int


Fact = (
    Placed
    | Refused
    | Unplaced
    | OutcomeUnknown
    | Started
    | Answered
    | MediaEnded
    | CdrReceived
    | StopAsked
    | DeadlinePassed
    | MediaGone
)


# --- effects ---------------------------------------------------------------------------------------------------------


class Outcome(enum.StrEnum):
    """How an attempt came out, as far as it can be known; what the task is settled with."""

    ANSWERED = "answered"
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


# --- the call --------------------------------------------------------------------------------------------------------


def dialing(call: Call, at: int, policy: Policy) -> Call:
    """``call`` as committed just before startcall leaves. Raises ValueError unless it is queued."""
    if call.state is not CallState.QUEUED:
        raise ValueError(f"expected a queued call, got {call.state}: it may have been dialled already")
    deadline = at + policy.startcall_timeout_ms + DIALING_MARGIN_MS
    return replace(call, state=CallState.DIALING, dialing_at=at, deadline_at=deadline)


def apply(call: Call, fact: Fact, policy: Policy) -> tuple[Call, Effects]:
    """The call after ``fact``, and what must be done. A fact that says nothing new returns the same call and NOTHING."""
    match fact:
        case Placed(at, call_id):
            return _rang(call, at, call_id, policy)
        case Started(at, call_id):
            return _rang(call, at, call_id, policy)
        case Answered(at, call_id):
            return _answered(call, at, call_id, policy)
        case Refused(at):
            return _not_rung(call, at, CallState.REFUSED, Outcome.REFUSED)
        case Unplaced(at):
            return _not_rung(call, at, CallState.UNPLACED, Outcome.UNPLACED)
        case OutcomeUnknown(at):
            if call.state is not CallState.DIALING:
                return call, NOTHING
            return replace(call, state=CallState.UNKNOWN, deadline_at=_unknown_until(at, policy)), NOTHING
        case MediaEnded():
            return _media_ended(call, fact)
        case CdrReceived():
            return _cdr(call, fact)
        case StopAsked(at):
            return _stop(call, at)
        case DeadlinePassed(at, audio_flows):
            return _deadline(call, at, audio_flows, policy)
        case MediaGone(at):
            return _hang_up_or_end(call, at) if call.state is CallState.ANSWERED else (call, NOTHING)
        case _:
            assert_never(fact)


def _rang(call: Call, at: int, call_id: str, policy: Policy) -> tuple[Call, Effects]:
    """The phone system has the call: it rings, unless more is known already."""
    known, effects = _identified(call, at, call_id)
    if _RANK[known.state] >= _RANK[CallState.RINGING]:
        return known, effects
    deadline = known.deadline_at if effects.hang_up else at + policy.ring_timeout_ms
    return replace(known, state=CallState.RINGING, deadline_at=deadline), effects


def _answered(call: Call, at: int, call_id: str, policy: Policy) -> tuple[Call, Effects]:
    known, effects = _identified(call, at, call_id)
    if _RANK[known.state] >= _RANK[CallState.ANSWERED]:
        return known, effects
    deadline = known.deadline_at if known.hangup_requested_at else at + policy.max_call_ms + CALL_GRACE_MS
    return replace(known, state=CallState.ANSWERED, answered_at=at, deadline_at=deadline), effects


def _identified(call: Call, at: int, call_id: str) -> tuple[Call, Effects]:
    """The call with the phone system's id, learned once; a stop that waited for the id is carried out now."""
    if not call_id or call.call_id:
        return call, NOTHING
    known = replace(call, call_id=call_id)
    if not known.live:
        return known, Effects(hang_up=_given_up(known))
    if known.stop_asked and known.hangup_requested_at is None:
        hung_up = replace(known, hangup_requested_at=at, deadline_at=at + HANGUP_GRACE_MS)
        return hung_up, Effects(hang_up=True, brief=True)
    return known, Effects(brief=True)


def _given_up(call: Call) -> bool:
    """It was ended without a word from the phone system or media: should it live after all, nobody is there to talk."""
    return not call.live and call.cdr_at is None and call.media_ended_at is None


def _not_rung(call: Call, at: int, state: CallState, outcome: Outcome) -> tuple[Call, Effects]:
    """Refused or unplaced, believed only while nothing says that the phone rang all the same."""
    if call.state not in (CallState.QUEUED, CallState.DIALING):
        return call, NOTHING
    cause = TEMPORARY_FAILURE if state is CallState.REFUSED else ""
    ended = replace(call, state=state, ended_at=at, closed_at=at, hangup_cause=cause, deadline_at=None)
    return ended, Effects(free_room=True, outcome=outcome)


def _media_ended(call: Call, fact: MediaEnded) -> tuple[Call, Effects]:
    if call.media_ended_at is not None or call.state in (CallState.UNPLACED, CallState.REFUSED, CallState.LOST):
        return call, NOTHING
    known = replace(call, media_ended_at=fact.at, answered_at=call.answered_at or fact.answered_at)
    if known.live:
        return _end(
            replace(known, time_len=_seconds(fact.answered_at, fact.ended_at)), fact.ended_at, fact.at, Outcome.ANSWERED
        )
    return _maybe_close(known, fact.at), Effects(finish=True)


def _cdr(call: Call, fact: CdrReceived) -> tuple[Call, Effects]:
    if call.cdr_at is not None or call.state in (CallState.UNPLACED, CallState.REFUSED):
        return call, NOTHING
    known = replace(
        call, cdr_at=fact.at, call_id=call.call_id or fact.call_id, record_file=fact.record_file or call.record_file
    )
    told = fact.answer_time is not None and fact.end_time is not None and fact.end_time >= fact.answer_time
    if told and (known.live or known.answered_at is not None):
        known = replace(known, time_len=_seconds(fact.answer_time or 0, fact.end_time or 0))
    if not known.live:
        return _maybe_close(known, fact.at), NOTHING
    if fact.answer_time is None and known.state is not CallState.ANSWERED:
        return _end(known, fact.at, fact.at, Outcome.NO_ANSWER)
    answered_at = known.answered_at or max(known.created_at, fact.at - known.time_len * 1000)
    return _end(replace(known, answered_at=answered_at), fact.at, fact.at, Outcome.ANSWERED)


def _end(call: Call, ended_at: int, at: int, outcome: Outcome) -> tuple[Call, Effects]:
    """The first end signal: the call is over, its room is free, its task is settled; the record may still grow."""
    answered = outcome is Outcome.ANSWERED
    cause = (
        NORMAL_CLEARING
        if answered
        else LOST
        if outcome is Outcome.LOST
        else ORIGINATOR_CANCEL
        if call.stop_asked
        else NO_ANSWER
    )
    length = call.time_len or (_seconds(call.answered_at, ended_at) if answered and call.answered_at is not None else 0)
    ended = replace(
        call,
        state=CallState.LOST if outcome is Outcome.LOST else CallState.ENDED,
        ended_at=max(ended_at, call.created_at, call.answered_at or 0),
        hangup_cause=cause,
        time_len=length if answered else 0,
        deadline_at=at + CLOSE_AFTER_MS,
    )
    return _maybe_close(ended, at), Effects(free_room=True, finish=answered, outcome=outcome)


def _maybe_close(call: Call, at: int) -> Call:
    """Closed once both end signals are in; a call that nobody answered has but one."""
    both = call.media_ended_at is not None and call.cdr_at is not None
    if call.closed_at is None and (both or call.answered_at is None):
        return replace(call, closed_at=at, deadline_at=None)
    return call


def _stop(call: Call, at: int) -> tuple[Call, Effects]:
    if call.stop_asked or not call.live:
        return call, NOTHING
    asked = replace(call, stop_asked=True)
    if asked.state is CallState.QUEUED:
        return _not_rung(asked, at, CallState.UNPLACED, Outcome.UNPLACED)
    if not asked.call_id or asked.hangup_requested_at is not None:
        return asked, NOTHING
    return replace(asked, hangup_requested_at=at, deadline_at=at + HANGUP_GRACE_MS), Effects(hang_up=True)


def _deadline(call: Call, at: int, audio_flows: bool, policy: Policy) -> tuple[Call, Effects]:
    if call.deadline_at is None or at < call.deadline_at:
        return call, NOTHING
    if audio_flows and call.live and call.state is not CallState.ANSWERED:
        return _answered(call, at, "", policy)
    match call.state:
        case CallState.QUEUED:
            return _not_rung(call, at, CallState.UNPLACED, Outcome.UNPLACED)
        case CallState.DIALING:
            return replace(call, state=CallState.UNKNOWN, deadline_at=_unknown_until(at, policy)), NOTHING
        case CallState.RINGING | CallState.UNKNOWN | CallState.ANSWERED:
            return _hang_up_or_end(call, at)
        case _:
            return replace(call, closed_at=call.closed_at or at, deadline_at=None), Effects(
                finish=call.answered_at is not None
            )


def _hang_up_or_end(call: Call, at: int) -> tuple[Call, Effects]:
    """Asks the phone system to end it; when nothing came of that in time, asks once more and ends it ourselves."""
    if call.call_id and call.hangup_requested_at is None:
        return replace(call, hangup_requested_at=at, deadline_at=at + HANGUP_GRACE_MS), Effects(hang_up=True)
    if call.deadline_at is not None and at < call.deadline_at:
        return call, NOTHING
    outcome = {CallState.ANSWERED: Outcome.ANSWERED, CallState.RINGING: Outcome.NO_ANSWER}.get(call.state, Outcome.LOST)
    ended, effects = _end(call, at, at, outcome)
    return ended, replace(effects, hang_up=bool(call.call_id))


def _unknown_until(at: int, policy: Policy) -> int:
    return at + policy.ring_timeout_ms + UNKNOWN_GRACE_MS


def _seconds(start_ms: int, end_ms: int) -> int:
    """Whole seconds, rounded up (reading.md, timeLen)."""
    return max(0, math.ceil((end_ms - start_ms) / 1000))


# --- the task --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """The columns of a ``tasks`` row that the lifecycle reads and writes."""

    batch_id: int
    state: TaskState = TaskState.PENDING
    stop_requested_at: int | None = None
    connected: bool | None = None
    due_at: int | None = None
    final_at: int | None = None
    attempts: int = 0
    no_answers: int = 0
    refusals: int = 0


def follow(task: Task, call: Call) -> Task:
    """The task while its call lives: dialing, in call, or stopping once a stop was asked."""
    if task.state in FINAL_TASKS or not call.live:
        return task
    if task.stop_requested_at is not None:
        return replace(task, state=TaskState.STOPPING)
    states = {CallState.QUEUED: TaskState.QUEUED, CallState.ANSWERED: TaskState.IN_CALL}
    return replace(task, state=states.get(call.state, TaskState.DIALING))


def settle(task: Task, outcome: Outcome, at: int, policy: Policy) -> Task:
    """The task after an attempt came out so: final, waiting for a retry, or due again. Final tasks stay as they are."""
    if task.state in FINAL_TASKS:
        return task
    spent = replace(
        task,
        attempts=task.attempts + (outcome is not Outcome.UNPLACED),
        no_answers=task.no_answers + (outcome is Outcome.NO_ANSWER),
        refusals=task.refusals + (outcome is Outcome.REFUSED),
    )
    connected = {Outcome.ANSWERED: True, Outcome.LOST: None}.get(outcome, False)
    if spent.stop_requested_at is not None:
        return _final(spent, TaskState.STOPPED, connected, at)
    match outcome:
        case Outcome.ANSWERED:
            return _final(spent, TaskState.COMPLETED, True, at)
        case Outcome.UNPLACED:
            return replace(spent, state=TaskState.PENDING, due_at=at + UNPLACED_WAIT_MS)
        case Outcome.NO_ANSWER:
            return _retry(spent, policy.retry_no_answer_ms, spent.no_answers, TaskState.NOT_CONNECTED, False, at)
        case Outcome.REFUSED:
            return _retry(spent, policy.retry_refused_ms, spent.refusals, TaskState.FAILED, False, at)
        case Outcome.LOST:
            return _retry(spent, policy.retry_unknown_ms, spent.attempts, TaskState.UNKNOWN, None, at)
        case _:
            assert_never(outcome)


def stopped(task: Task, at: int) -> Task:
    """The task once a stop is asked for: final if nothing of it lives, else stopping. Final tasks stay as they are."""
    if task.state in FINAL_TASKS:
        return task
    asked = replace(task, stop_requested_at=task.stop_requested_at or at)
    if asked.state in WAITING_TASKS:
        return _final(asked, TaskState.STOPPED, False, at)
    return replace(asked, state=TaskState.STOPPING)


def expired(task: Task, at: int) -> Task:
    """A waiting task whose ``expiresAt`` has passed; any other stays as it is."""
    return _final(task, TaskState.EXPIRED, False, at) if task.state in WAITING_TASKS else task


def _retry(task: Task, delays: tuple[int, ...], used: int, end: TaskState, connected: bool | None, at: int) -> Task:
    if used > len(delays):
        return _final(task, end, connected, at)
    return replace(task, state=TaskState.RETRY_WAIT, due_at=at + delays[used - 1])


def _final(task: Task, state: TaskState, connected: bool | None, at: int) -> Task:
    return replace(task, state=state, connected=connected, final_at=at, due_at=None)
