"""The lifecycle of a call: what a fact makes of it, and what must be done then."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import assert_never

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
    UNKNOWN_GRACE_MS,
    Policy,
)
from shared.lifecycle.states import (
    LIVE_CALLS,
    LOST,
    NO_ANSWER,
    NORMAL_CLEARING,
    ORIGINATOR_CANCEL,
    RANK,
    TEMPORARY_FAILURE,
    CallState,
)


@dataclass(frozen=True)
class Call:
    """What is known of one dial attempt; the columns of a ``calls`` row that the lifecycle reads and writes."""

    uuid: str
    created_at: int
    state: CallState = CallState.QUEUED
    call_id: str = ""
    dialing_at: int | None = None
    rang_at: int | None = None
    """When the phone system said that it rings: an accepted startcall alone says nothing of the customer's phone."""
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

    @property
    def unanswered(self) -> bool:
        """Whether it ended as one that nobody answered: because nothing had said that somebody did, which may still come."""
        return self.state is CallState.ENDED and self.answered_at is None

    @property
    def end_untold(self) -> bool:
        """Whether it was answered, and is over because nothing more was heard of it: when it ended, nobody has told."""
        silent = self.media_ended_at is None and self.cdr_at is None
        return self.state is CallState.ENDED and self.answered_at is not None and silent


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
            known, effects = _rang(call, at, call_id, policy)
            rings = known.state is CallState.RINGING and known.rang_at is None
            return (replace(known, rang_at=at) if rings else known), effects
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
        case AudioLost():
            return _audio_lost(call, fact), NOTHING
        case _:
            assert_never(fact)


def _rang(call: Call, at: int, call_id: str, policy: Policy) -> tuple[Call, Effects]:
    """The phone system has the call: it rings, unless more is known already."""
    known, effects = _identified(call, at, call_id)
    if RANK[known.state] >= RANK[CallState.RINGING]:
        return known, effects
    deadline = known.deadline_at if effects.hang_up else at + policy.ring_timeout_ms
    return replace(known, state=CallState.RINGING, deadline_at=deadline), effects


def _answered(call: Call, at: int, call_id: str, policy: Policy) -> tuple[Call, Effects]:
    known, effects = _identified(call, at, call_id)
    if known.unanswered:
        told, after_all = _answered_after_all(known, at)
        return told, replace(after_all, hang_up=effects.hang_up)
    if RANK[known.state] >= RANK[CallState.ANSWERED]:
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
    answered_at = fact.answered_at if call.answered_at is None else min(call.answered_at, fact.answered_at)
    known = replace(call, media_ended_at=fact.at, answered_at=max(call.created_at, answered_at))
    if known.live:
        return _end(
            replace(known, time_len=_seconds(fact.answered_at, fact.ended_at)), fact.ended_at, fact.at, Outcome.ANSWERED
        )
    length = _seconds(fact.answered_at, fact.ended_at)
    if call.cdr_at is None:
        known = replace(known, ended_at=fact.ended_at, time_len=length)
    elif not call.time_len:
        known = replace(known, ended_at=max(call.ended_at or 0, fact.ended_at), time_len=length)
    if call.unanswered:
        known = replace(known, hangup_cause=NORMAL_CLEARING)
    outcome = Outcome.ANSWERED_AFTER_ALL if call.unanswered else None
    return _maybe_close(known, fact.at), Effects(finish=True, outcome=outcome)


def _audio_lost(call: Call, fact: AudioLost) -> Call:
    """The end of a call whose end was never told is the last that is known of it (reading.md: report only what was told
    or observed)."""
    if not call.end_untold or (call.time_len and fact.last_at <= (call.ended_at or 0)):
        return call
    ended_at = max(fact.last_at, call.answered_at or 0)
    return replace(call, ended_at=ended_at, time_len=_seconds(fact.answered_at, fact.last_at))


def _cdr(call: Call, fact: CdrReceived) -> tuple[Call, Effects]:
    proof = call.unanswered and fact.answer_time is not None
    if (call.cdr_at is not None and not proof) or call.state in (CallState.UNPLACED, CallState.REFUSED):
        return call, NOTHING
    known = replace(
        call,
        cdr_at=call.cdr_at or fact.at,
        call_id=call.call_id or fact.call_id,
        record_file=fact.record_file or call.record_file,
    )
    told = fact.answer_time is not None and fact.end_time is not None and fact.end_time >= fact.answer_time
    if told and (known.live or proof or known.answered_at is not None):
        known = replace(known, time_len=_seconds(fact.answer_time or 0, fact.end_time or 0))
    if proof:
        return _answered_after_all(known, (known.ended_at or 0) - known.time_len * 1000)
    if not known.live:
        return _maybe_close(known, fact.at), NOTHING
    if fact.answer_time is None and known.state is not CallState.ANSWERED:
        return _end(known, fact.at, fact.at, Outcome.NO_ANSWER)
    answered_at = known.answered_at or max(known.created_at, fact.at - known.time_len * 1000)
    return _end(replace(known, answered_at=answered_at), fact.at, fact.at, Outcome.ANSWERED)


def _answered_after_all(call: Call, at: int) -> tuple[Call, Effects]:
    """The record of a call that ended as not answered, and of which it is proven now that somebody picked up.

    It stays over, and what freed its room is not undone; but that nobody answered was a conclusion from silence, and
    the silence is broken. Its task may wait to ring a customer again who has talked (``task.answered_after_all``).
    """
    ended_at = call.ended_at or call.created_at
    answered_at = max(call.created_at, min(at, ended_at))
    told = replace(call, answered_at=answered_at, hangup_cause=NORMAL_CLEARING)
    length = call.time_len or (0 if told.end_untold else _seconds(answered_at, ended_at))
    return replace(told, time_len=length), Effects(finish=True, outcome=Outcome.ANSWERED_AFTER_ALL)


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
        call, effects = _answered(call, at, "", policy)
        if call.hangup_requested_at is None:
            return call, effects
    match call.state:
        case CallState.QUEUED:
            return _not_rung(call, at, CallState.UNPLACED, Outcome.UNPLACED)
        case CallState.DIALING:
            return replace(call, state=CallState.UNKNOWN, deadline_at=_unknown_until(at, policy)), NOTHING
        case CallState.RINGING | CallState.UNKNOWN | CallState.ANSWERED:
            return _hang_up_or_end(call, at)
        case _:
            # Media said that it is over, and no cdr did: should media's hangup have failed, the customer is still there.
            unconfirmed = bool(call.call_id) and call.media_ended_at is not None and call.cdr_at is None
            return replace(call, closed_at=call.closed_at or at, deadline_at=None), Effects(
                finish=call.answered_at is not None, hang_up=unconfirmed
            )


def _hang_up_or_end(call: Call, at: int) -> tuple[Call, Effects]:
    """Asks the phone system to end it; when nothing came of that in time, asks once more and ends it ourselves."""
    if call.call_id and call.hangup_requested_at is None:
        return replace(call, hangup_requested_at=at, deadline_at=at + HANGUP_GRACE_MS), Effects(hang_up=True)
    if call.deadline_at is not None and at < call.deadline_at:
        return call, NOTHING
    outcome = Outcome.LOST
    if call.state is CallState.ANSWERED:
        outcome = Outcome.ANSWERED
    elif call.state is CallState.RINGING and (call.rang_at is not None or call.stop_asked):
        outcome = Outcome.NO_ANSWER
    ended, effects = _end(call, at, at, outcome)
    if ended.end_untold:
        ended = replace(ended, time_len=0)
    return ended, replace(effects, hang_up=bool(call.call_id))


def _unknown_until(at: int, policy: Policy) -> int:
    return at + policy.ring_timeout_ms + UNKNOWN_GRACE_MS


def _seconds(start_ms: int, end_ms: int) -> int:
    """Whole seconds, rounded up (reading.md, timeLen)."""
    return max(0, math.ceil((end_ms - start_ms) / 1000))
