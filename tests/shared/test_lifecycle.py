"""The lifecycle: facts in any order, twice or never, and what comes of calls and tasks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import lifecycle as life
from shared.lifecycle import Call, CallState, Effects, Outcome, Policy, Task, TaskState

T0 = 1_767_153_838_953
POLICY = Policy(retry_no_answer_ms=(1_800_000, 7_200_000), retry_refused_ms=(60_000,))
NONE_LEFT = Policy()
UUID = "2508162111590110001"
ID = "bbd910fc-e5fd-11f0-a660-525400eaab18"


def queued() -> Call:
    return Call(uuid=UUID, created_at=T0, deadline_at=T0 + life.QUEUED_WAIT_MS)


def after(*facts: life.Fact, call: Call | None = None) -> tuple[Call, list[Effects]]:
    """A call that was dialled, after these facts, and the effects of each."""
    current = call or life.dialing(queued(), T0, POLICY)
    effects = []
    for fact in facts:
        current, effect = life.apply(current, fact, POLICY)
        effects.append(effect)
    return current, effects


def settled(task: Task, outcome: Outcome, policy: Policy = NONE_LEFT) -> Task:
    return life.settle(task, outcome, T0, policy)


# --- the ordinary way --------------------------------------------------------------------------------------------------


def test_an_answered_call_goes_through_all_states_and_closes_at_the_second_end() -> None:
    call = life.dialing(queued(), T0, POLICY)
    call, effects = life.apply(call, life.Placed(T0 + 100, ID), POLICY)
    assert (call.state, effects) == (CallState.RINGING, Effects(brief=True))
    call, effects = life.apply(call, life.Answered(T0 + 5_000, ID), POLICY)
    assert (call.state, effects) == (CallState.ANSWERED, life.NOTHING)
    call, effects = life.apply(call, life.MediaEnded(T0 + 12_400, T0 + 5_000, T0 + 12_300), POLICY)
    assert (call.state, call.closed_at) == (CallState.ENDED, None)
    assert effects == Effects(free_room=True, finish=True, outcome=Outcome.ANSWERED)
    assert (call.time_len, call.hangup_cause) == (8, "NORMAL_CLEARING:sip:200")
    call, effects = life.apply(call, life.CdrReceived(T0 + 13_000, ID, 1_000, 8_500, "theirs.wav"), POLICY)
    assert (call.closed_at, call.record_file, call.time_len, effects) == (T0 + 13_000, "theirs.wav", 8, life.NOTHING)


def test_the_cdr_may_end_the_call_first_and_its_clock_gives_durations_only() -> None:
    call, effects = after(
        life.Placed(T0, ID), life.Answered(T0 + 2_000, ID), life.CdrReceived(T0 + 9_000, ID, 10**12, 10**12 + 6_001)
    )
    assert (call.state, call.time_len, call.ended_at, call.closed_at) == (CallState.ENDED, 7, T0 + 9_000, None)
    assert effects[-1] == Effects(free_room=True, finish=True, outcome=Outcome.ANSWERED)
    call, effects = after(life.MediaEnded(T0 + 9_500, T0 + 2_000, T0 + 9_000), call=call)
    assert (call.closed_at, call.time_len) == (T0 + 9_500, 7)
    assert effects == [Effects(finish=True)]


@pytest.mark.parametrize(("heard", "answered"), [(T0 + 2_000, T0 + 2_000), (T0 + 70_000, T0 + 60_000), (T0 - 9, T0)])
def test_who_heard_of_the_answer_first_tells_when_it_was(heard: int, answered: int) -> None:
    call, _ = after(life.Placed(T0, ID), life.Answered(T0 + 60_000), life.MediaEnded(T0 + 90_000, heard, T0 + 90_000))
    assert call.answered_at == answered


def test_the_record_closes_without_the_second_end_after_its_wait() -> None:
    call, _ = after(life.Placed(T0, ID), life.Answered(T0, ID), life.MediaEnded(T0 + 5_000, T0, T0 + 5_000))
    assert call.deadline_at == T0 + 5_000 + life.CLOSE_AFTER_MS
    call, effects = after(life.DeadlinePassed(call.deadline_at), call=call)
    assert (call.closed_at, call.deadline_at) == (T0 + 35_000, None)
    assert effects == [Effects(finish=True, hang_up=True)], "nothing says that media's hangup came through"


def test_a_call_whose_end_the_cdr_confirmed_is_not_hung_up_again() -> None:
    call, _ = after(life.Placed(T0, ID), life.Answered(T0, ID), life.CdrReceived(T0 + 5_000, ID, 1_000, 6_000))
    call, effects = after(life.DeadlinePassed(T0 + 5_000 + life.CLOSE_AFTER_MS), call=call)
    assert (call.closed_at, effects) == (T0 + 35_000, [Effects(finish=True)])


def test_an_audio_frame_alone_proves_the_answer() -> None:
    call, _ = after(life.Answered(T0 + 1, ID))
    assert (call.state, call.call_id) == (CallState.ANSWERED, ID)


def test_events_that_overtake_the_answer_to_startcall_are_not_undone_by_it() -> None:
    call, effects = after(life.Answered(T0 + 1, ID), life.Placed(T0 + 2, ID), life.Started(T0 + 3, ID))
    assert call.state is CallState.ANSWERED
    assert effects[1:] == [life.NOTHING, life.NOTHING]


@pytest.mark.parametrize("proof", [life.Started(T0 + 9, ID), life.Answered(T0 + 9, ID)])
def test_a_refusal_is_not_believed_once_the_phone_rang(proof: life.Fact) -> None:
    call, effects = after(proof, life.Refused(T0 + 10), life.Unplaced(T0 + 11), life.OutcomeUnknown(T0 + 12))
    assert call.live
    assert effects[1:] == [life.NOTHING] * 3


def test_only_a_queued_call_may_be_dialled() -> None:
    dialled = life.dialing(queued(), T0, POLICY)
    for state in set(CallState) - {CallState.QUEUED}:
        with pytest.raises(ValueError, match="dialled already"):
            life.dialing(replace(dialled, state=state), T0, POLICY)


# --- unknown -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fact", "state"),
    [
        (life.Started(T0 + 9, ID), CallState.RINGING),
        (life.Answered(T0 + 9, ID), CallState.ANSWERED),
        (life.MediaEnded(T0 + 9, T0 + 1, T0 + 8), CallState.ENDED),
        (life.CdrReceived(T0 + 9, ID, None, 5), CallState.ENDED),
    ],
)
def test_an_unknown_outcome_is_settled_by_any_event(fact: life.Fact, state: CallState) -> None:
    call, _ = after(life.OutcomeUnknown(T0 + 1))
    assert (call.state, call.live) == (CallState.UNKNOWN, True)
    assert after(fact, call=call)[0].state is state


def test_an_unknown_outcome_that_stays_so_is_lost_without_another_call() -> None:
    call, _ = after(life.OutcomeUnknown(T0 + 1))
    assert call.deadline_at == T0 + 1 + POLICY.ring_timeout_ms + life.UNKNOWN_GRACE_MS
    call, effects = after(life.DeadlinePassed(call.deadline_at), call=call)
    assert (call.state, call.hangup_cause, call.time_len) == (CallState.LOST, "LOST:sip:0", 0)
    assert effects == [Effects(free_room=True, outcome=Outcome.LOST)]
    assert settled(Task(1, TaskState.DIALING), Outcome.LOST, POLICY).state is TaskState.UNKNOWN


def test_a_startcall_whose_worker_died_becomes_unknown_and_is_never_taken_for_unplaced() -> None:
    call = life.dialing(queued(), T0, POLICY)
    call, effects = life.apply(call, life.DeadlinePassed(call.deadline_at or 0), POLICY)
    assert (call.state, effects) == (CallState.UNKNOWN, life.NOTHING)


# --- deadlines ---------------------------------------------------------------------------------------------------------


def test_a_phone_that_rings_too_long_is_hung_up_and_then_counts_as_not_answered() -> None:
    call, _ = after(life.Placed(T0, ID), life.Started(T0 + 20, ID))
    assert (call.deadline_at, call.rang_at) == (T0 + POLICY.ring_timeout_ms, T0 + 20)
    call, effects = after(life.DeadlinePassed(call.deadline_at), call=call)
    assert (call.state, effects) == (CallState.RINGING, [Effects(hang_up=True)])
    call, effects = after(life.DeadlinePassed(call.deadline_at or 0), call=call)
    assert (call.state, call.hangup_cause) == (CallState.ENDED, "NO_ANSWER:sip:480")
    assert effects == [Effects(hang_up=True, free_room=True, outcome=Outcome.NO_ANSWER)]


def test_of_an_accepted_call_nothing_is_known_while_nothing_is_told() -> None:
    """Somebody may have answered it, and every event and the audio been lost: it is not one that was not answered."""
    call, _ = after(life.Placed(T0, ID))
    call, effects = after(life.DeadlinePassed(call.deadline_at or 0), call=call)
    assert (call.state, effects) == (CallState.RINGING, [Effects(hang_up=True)])
    call, effects = after(life.DeadlinePassed(call.deadline_at or 0), call=call)
    assert (call.state, call.hangup_cause) == (CallState.LOST, "LOST:sip:0")
    assert effects == [Effects(hang_up=True, free_room=True, outcome=Outcome.LOST)]


def test_a_call_that_was_stopped_while_nothing_was_told_counts_as_stopped() -> None:
    call, _ = after(life.Placed(T0, ID), life.StopAsked(T0 + 1))
    ended, _ = after(life.DeadlinePassed(call.deadline_at or 0), call=call)
    assert (ended.state, ended.hangup_cause) == (CallState.ENDED, "ORIGINATOR_CANCEL:sip:487")


def test_that_it_rings_is_noted_once() -> None:
    call, _ = after(life.Placed(T0, ID), life.Started(T0 + 20, ID))
    again, effects = after(life.Started(T0 + 900, ID), call=call)
    assert (again, effects) == (call, [life.NOTHING])


def test_a_call_given_up_that_turns_out_to_live_is_hung_up() -> None:
    lost, _ = after(life.OutcomeUnknown(T0), life.DeadlinePassed(T0 + 10**9))
    told, effects = after(life.Started(T0 + 10**9 + 1, ID), call=lost)
    assert (told.state, told.call_id, effects) == (CallState.LOST, ID, [Effects(hang_up=True)])


def test_the_ring_deadline_never_ends_a_call_whose_audio_flows() -> None:
    for call in (after(life.Placed(T0, ID))[0], after(life.OutcomeUnknown(T0))[0], after()[0]):
        told, effects = after(life.DeadlinePassed(call.deadline_at or 0, audio_flows=True), call=call)
        assert told.state is CallState.ANSWERED
        assert not any(effect.hang_up or effect.outcome for effect in effects)


def test_a_call_that_talks_on_after_our_hangup_is_ended_when_its_grace_is_over() -> None:
    """The hangup was asked for while it rang, and somebody picked up all the same: the stop stands."""
    call, _ = after(life.Placed(T0, ID), life.StopAsked(T0 + 1))
    ended, effects = after(life.DeadlinePassed(call.deadline_at or 0, audio_flows=True), call=call)
    assert (ended.state, ended.answered_at) == (CallState.ENDED, call.deadline_at)
    assert effects == [Effects(hang_up=True, free_room=True, finish=True, outcome=Outcome.ANSWERED)]


def test_a_deadline_that_has_not_come_changes_nothing() -> None:
    call, _ = after(life.Placed(T0, ID))
    assert after(life.DeadlinePassed((call.deadline_at or 0) - 1), call=call) == (call, [life.NOTHING])


def test_an_answered_call_that_no_session_holds_is_hung_up_once() -> None:
    call, _ = after(life.Placed(T0, ID), life.Answered(T0, ID))
    call, effects = after(life.MediaGone(T0 + 1_000), life.MediaGone(T0 + 2_000), call=call)
    assert effects == [Effects(hang_up=True), life.NOTHING]
    call, effects = after(life.DeadlinePassed(call.deadline_at or 0), call=call)
    assert (call.state, effects[0].outcome) == (CallState.ENDED, Outcome.ANSWERED)


def answered_and_lost() -> Call:
    call, _ = after(life.Placed(T0, ID), life.Answered(T0 + 100, ID), life.MediaGone(T0 + 300_000))
    call, _ = after(life.DeadlinePassed(call.deadline_at or 0), call=call)
    return call


def test_an_answered_call_whose_end_was_never_told_has_no_length_yet() -> None:
    call = answered_and_lost()
    assert (call.state, call.hangup_cause, call.time_len) == (CallState.ENDED, "NORMAL_CLEARING:sip:200", 0)
    assert call.end_untold


def test_its_end_is_the_last_audio_that_is_known() -> None:
    call = answered_and_lost()
    for fact in (life.AudioLost(T0 + 400_000, T0 + 200, T0 + 14_600), life.AudioLost(T0 + 500_000, T0 + 200, T0 + 200)):
        call, effects = life.apply(call, fact, POLICY)
        assert (call.time_len, call.ended_at, call.hangup_cause) == (15, T0 + 14_600, "NORMAL_CLEARING:sip:200")
        assert effects == life.NOTHING


@pytest.mark.parametrize("told", [life.CdrReceived(T0 + 9, ID, 1_000, 6_000), life.MediaEnded(T0 + 9, T0, T0 + 5_000)])
def test_an_end_that_is_told_late_is_believed(told: life.Fact) -> None:
    call, _ = life.apply(answered_and_lost(), told, POLICY)
    assert (call.hangup_cause, call.time_len, call.end_untold) == ("NORMAL_CLEARING:sip:200", 5, False)
    assert life.apply(call, life.AudioLost(T0 + 10**6, T0, T0 + 1_000), POLICY) == (call, life.NOTHING)


def test_what_media_left_says_nothing_of_a_call_that_lives() -> None:
    call, _ = after(life.Placed(T0, ID), life.Answered(T0, ID))
    assert life.apply(call, life.AudioLost(T0 + 9, T0, T0 + 5), POLICY) == (call, life.NOTHING)


# --- answered after all -----------------------------------------------------------------------------------------------

PROOFS = [
    (life.Answered(T0 + 4_000, ID), 16),
    (life.MediaEnded(T0 + 21_000, T0 + 4_000, T0 + 19_500), 16),
    (life.CdrReceived(T0 + 21_000, ID, 1_000, 13_000), 12),
]


@pytest.mark.parametrize(("proof", "seconds"), PROOFS)
def test_a_proof_of_the_answer_sets_a_record_right_that_ended_as_not_answered(proof: life.Fact, seconds: int) -> None:
    call, effects = after(life.Placed(T0, ID), life.CdrReceived(T0 + 20_000, ID))
    assert (call.hangup_cause, effects[-1].outcome) == ("NO_ANSWER:sip:480", Outcome.NO_ANSWER)
    told, effects = after(proof, proof, call=call)
    assert (told.state, told.hangup_cause, told.time_len) == (CallState.ENDED, "NORMAL_CLEARING:sip:200", seconds)
    assert (told.ended_at, told.closed_at, told.cdr_at) == (T0 + 20_000, call.closed_at, call.cdr_at)
    assert effects == [Effects(finish=True, outcome=Outcome.ANSWERED_AFTER_ALL), life.NOTHING]


@pytest.mark.parametrize(
    ("proof", "seconds", "ended"),
    [
        (life.Answered(T0 + 200_000, ID), 0, 75_000),
        (life.MediaEnded(T0 + 200_000, T0 + 70_000, T0 + 190_500), 121, 190_500),
        (life.CdrReceived(T0 + 200_000, ID, 1_000, 13_000), 12, 75_000),
    ],
)
def test_so_it_does_where_only_a_deadline_had_said_that_nobody_answered(
    proof: life.Fact, seconds: int, ended: int
) -> None:
    call, _ = after(life.Placed(T0, ID), life.Started(T0, ID), life.DeadlinePassed(T0 + 60_000))
    call, _ = after(life.DeadlinePassed(T0 + 75_000), call=call)
    assert call.unanswered
    told, effects = after(proof, call=call)
    assert (told.time_len, told.ended_at, told.hangup_cause) == (seconds, T0 + ended, "NORMAL_CLEARING:sip:200")
    assert (told.answered_at or 0) <= (told.ended_at or 0)
    assert effects == [Effects(finish=True, outcome=Outcome.ANSWERED_AFTER_ALL)]


def test_a_proof_that_comes_after_the_end_has_its_length_from_media() -> None:
    call, _ = after(life.Placed(T0, ID), life.CdrReceived(T0 + 20_000, ID), life.Answered(T0 + 30_000, ID))
    assert (call.answered_at, call.time_len) == (T0 + 20_000, 0)
    call, effects = after(life.MediaEnded(T0 + 40_000, T0 + 5_000, T0 + 19_000), call=call)
    assert (call.answered_at, call.time_len, effects) == (T0 + 5_000, 14, [Effects(finish=True)])


def test_a_call_that_was_stopped_in_a_talk_of_which_nobody_knew_was_answered() -> None:
    call, _ = after(life.Placed(T0, ID), life.StopAsked(T0 + 5_000), life.CdrReceived(T0 + 6_000, ID))
    assert call.hangup_cause == "ORIGINATOR_CANCEL:sip:487"
    call, _ = after(life.MediaEnded(T0 + 7_000, T0 + 1_000, T0 + 6_000), call=call)
    assert (call.hangup_cause, call.time_len) == ("NORMAL_CLEARING:sip:200", 5)


@pytest.mark.parametrize("state", [CallState.REFUSED, CallState.UNPLACED, CallState.LOST])
def test_calls_that_ended_in_other_ways_stay_as_they_are(state: CallState) -> None:
    call = replace(queued(), state=state, ended_at=T0, closed_at=T0, deadline_at=None, call_id=ID)
    for fact in (life.Answered(T0 + 9, ID), life.MediaEnded(T0 + 9, T0, T0 + 5)):
        assert life.apply(call, fact, POLICY) == (call, life.NOTHING)


def missed(**changes: object) -> Task:
    """A task whose only attempt seemed not to be answered."""
    return replace(settled(Task(1, TaskState.DIALING), Outcome.NO_ANSWER, POLICY), **changes)  # type: ignore[arg-type]


def test_whoever_talked_is_not_rung_again() -> None:
    task = settled(missed(), Outcome.ANSWERED_AFTER_ALL)
    assert (task.state, task.connected, task.due_at, task.final_at) == (TaskState.COMPLETED, True, None, T0)
    assert (task.attempts, task.no_answers) == (1, 0)


@pytest.mark.parametrize("state", sorted(life.FINAL_TASKS))
def test_a_task_that_is_final_stays_so_whatever_is_heard_later(state: TaskState) -> None:
    task = missed(state=state, due_at=None, final_at=T0 - 1)
    assert settled(task, Outcome.ANSWERED_AFTER_ALL) == task


@pytest.mark.parametrize("state", [TaskState.QUEUED, TaskState.DIALING, TaskState.IN_CALL, TaskState.STOPPING])
@pytest.mark.parametrize("outcome", [Outcome.NO_ANSWER, Outcome.REFUSED, Outcome.UNPLACED, Outcome.LOST])
def test_a_task_with_another_call_stays_with_it_and_has_none_after_it(state: TaskState, outcome: Outcome) -> None:
    asked = T0 if state is TaskState.STOPPING else None
    task = settled(missed(state=state, due_at=None, stop_requested_at=asked), Outcome.ANSWERED_AFTER_ALL)
    assert (task.state, task.connected, task.final_at) == (state, True, None)
    ended = settled(task, outcome, POLICY)
    assert ended.state is (TaskState.STOPPED if asked else TaskState.COMPLETED)
    assert (ended.connected, ended.due_at) == (True, None)


def test_a_task_that_a_person_had_dialled_again_is_dialled_again() -> None:
    redialled = Task(1, attempts=1, due_at=T0)
    assert settled(redialled, Outcome.ANSWERED_AFTER_ALL) == redialled


# --- stopping ----------------------------------------------------------------------------------------------------------


def test_a_stop_before_the_dial_calls_it_off() -> None:
    call, effects = life.apply(queued(), life.StopAsked(T0 + 1), POLICY)
    assert (call.state, effects) == (CallState.UNPLACED, Effects(free_room=True, outcome=Outcome.UNPLACED))


def test_a_stop_during_startcall_hangs_up_as_soon_as_the_id_is_known() -> None:
    call, effects = after(life.StopAsked(T0 + 1), life.Placed(T0 + 2, ID))
    assert effects == [life.NOTHING, Effects(hang_up=True, brief=True)]
    assert call.deadline_at == T0 + 2 + life.HANGUP_GRACE_MS
    assert life.apply(call, life.CdrReceived(T0 + 3, ID), POLICY)[0].hangup_cause == "ORIGINATOR_CANCEL:sip:487"


def test_a_stop_during_the_talk_hangs_up_once() -> None:
    call, effects = after(life.Placed(T0, ID), life.Answered(T0, ID), life.StopAsked(T0 + 5), life.StopAsked(T0 + 6))
    assert effects[2:] == [Effects(hang_up=True), life.NOTHING]
    ended, _ = life.apply(call, life.MediaEnded(T0 + 900, T0, T0 + 900), POLICY)
    assert ended.hangup_cause == "NORMAL_CLEARING:sip:200"


# --- the table of reading.md -------------------------------------------------------------------------------------------

TABLE = [
    ("answered, ended", [life.Placed(T0, ID), life.Answered(T0, ID), life.MediaEnded(T0 + 9, T0, T0 + 9)], "已完成", True, "NORMAL_CLEARING:sip:200"),
    ("rang, not answered", [life.Placed(T0, ID), life.CdrReceived(T0 + 9, ID)], "未接通", False, "NO_ANSWER:sip:480"),
    ("refused", [life.Refused(T0 + 9)], "失败", False, "NORMAL_TEMPORARY_FAILURE:sip:503"),
    ("nothing more was ever heard", [life.OutcomeUnknown(T0), life.DeadlinePassed(T0 + 10**9)], "结果未知", None, "LOST:sip:0"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "status", "connected", "cause"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_the_last_attempt_settles_the_task(
    facts: list[life.Fact], status: str, connected: bool | None, cause: str
) -> None:
    call, effects = after(*facts)
    task = settled(Task(1, TaskState.DIALING), effects[-1].outcome or Outcome.LOST)
    assert life.STATUS_TEXT[task.state] == status
    assert (task.connected, call.hangup_cause, task.final_at) == (connected, cause, T0)
    assert call.listed


@pytest.mark.parametrize(
    ("facts", "connected", "cause"),
    [
        (
            [life.Placed(T0, ID), life.StopAsked(T0 + 1), life.CdrReceived(T0 + 2, ID)],
            False,
            "ORIGINATOR_CANCEL:sip:487",
        ),
        (
            [life.Answered(T0, ID), life.StopAsked(T0 + 1), life.MediaEnded(T0 + 2, T0, T0 + 2)],
            True,
            "NORMAL_CLEARING:sip:200",
        ),
    ],
)
def test_a_stopped_task_says_whether_it_was_answered(facts: list[life.Fact], connected: bool, cause: str) -> None:
    call, effects = after(*facts)
    asked = life.stopped(Task(1, TaskState.DIALING), T0)
    assert asked.state is TaskState.STOPPING
    task = settled(asked, effects[-1].outcome or Outcome.LOST, POLICY)
    assert (task.state, task.connected, call.hangup_cause) == (TaskState.STOPPED, connected, cause)


def test_an_expired_task_was_never_dialled_and_has_no_record() -> None:
    task = life.expired(Task(1), T0)
    assert (life.STATUS_TEXT[task.state], task.connected) == ("已过期", False)
    assert not after(life.Unplaced(T0 + 1))[0].listed


# --- tasks -------------------------------------------------------------------------------------------------------------


def test_unanswered_calls_are_tried_again_after_each_delay_and_then_no_more() -> None:
    task = settled(Task(1, TaskState.DIALING), Outcome.NO_ANSWER, POLICY)
    assert (task.state, task.due_at) == (TaskState.RETRY_WAIT, T0 + 1_800_000)
    task = settled(task, Outcome.NO_ANSWER, POLICY)
    assert (task.state, task.due_at) == (TaskState.RETRY_WAIT, T0 + 7_200_000)
    task = settled(task, Outcome.NO_ANSWER, POLICY)
    assert (task.state, task.due_at, task.attempts) == (TaskState.NOT_CONNECTED, None, 3)


def test_refused_and_unanswered_calls_have_delays_of_their_own() -> None:
    task = settled(Task(1, TaskState.DIALING), Outcome.REFUSED, POLICY)
    assert task.due_at == T0 + 60_000
    task = settled(task, Outcome.NO_ANSWER, POLICY)
    assert task.due_at == T0 + 1_800_000
    assert settled(task, Outcome.REFUSED, POLICY).state is TaskState.FAILED


def test_an_unplaced_call_spends_no_attempt() -> None:
    task = settled(Task(1, TaskState.QUEUED), Outcome.UNPLACED, NONE_LEFT)
    assert (task.state, task.attempts, task.due_at) == (TaskState.PENDING, 0, T0 + life.UNPLACED_WAIT_MS)


def test_a_lost_call_is_dialled_again_only_if_the_settings_say_so() -> None:
    assert settled(Task(1), Outcome.LOST, POLICY).state is TaskState.UNKNOWN
    again = replace(POLICY, retry_unknown_ms=POLICY.retry_no_answer_ms)
    assert settled(Task(1), Outcome.LOST, again).state is TaskState.RETRY_WAIT


def test_lost_calls_are_counted_with_all_tries_and_not_with_those_before_a_person_had_it_dialled_again() -> None:
    again = replace(POLICY, retry_unknown_ms=POLICY.retry_no_answer_ms)
    spent = settled(settled(Task(1), Outcome.NO_ANSWER, again), Outcome.LOST, again)
    assert (spent.state, spent.due_at, spent.tries) == (TaskState.RETRY_WAIT, T0 + 7_200_000, 2)
    assert settled(spent, Outcome.LOST, again).state is TaskState.UNKNOWN
    redialled = Task(1, attempts=3)
    assert settled(redialled, Outcome.LOST, again).due_at == T0 + 1_800_000


@pytest.mark.parametrize("state", sorted(life.WAITING_TASKS))
def test_a_waiting_task_is_stopped_at_once(state: TaskState) -> None:
    task = life.stopped(Task(1, state, due_at=T0), T0 + 5)
    assert (task.state, task.connected, task.final_at, task.due_at) == (TaskState.STOPPED, False, T0 + 5, None)


@pytest.mark.parametrize("state", sorted(set(TaskState) - life.WAITING_TASKS - life.FINAL_TASKS))
def test_a_task_whose_call_lives_is_not_expired(state: TaskState) -> None:
    assert life.expired(Task(1, state), T0).state is state


def test_a_task_follows_its_call() -> None:
    ringing, _ = after(life.Placed(T0, ID))
    answered, _ = after(life.Answered(T0, ID))
    task = Task(1, TaskState.QUEUED)
    assert life.follow(task, queued()).state is TaskState.QUEUED
    assert life.follow(task, ringing).state is TaskState.DIALING
    assert life.follow(task, answered).state is TaskState.IN_CALL
    assert life.follow(replace(task, stop_requested_at=T0), answered).state is TaskState.STOPPING


def test_every_state_has_a_name_for_people() -> None:
    assert set(life.STATUS_TEXT) == set(TaskState)
    assert len(set(life.STATUS_TEXT.values())) == len(TaskState)


# --- any order, any number of times ------------------------------------------------------------------------------------

settings.register_profile("busy", suppress_health_check=[HealthCheck.too_slow], deadline=None)
BUSY = settings.get_profile("busy")
"""Of a machine on which other work goes on."""
_TIMES = st.integers(0, 700_000)
_OPTIONAL_MS = st.none() | st.integers(0, 10**13)


def facts_at(at: int) -> st.SearchStrategy[life.Fact]:
    ids = st.sampled_from(["", ID])
    return st.one_of(
        st.builds(life.Placed, st.just(at), st.just(ID)),
        st.builds(life.Refused, st.just(at)),
        st.builds(life.Unplaced, st.just(at)),
        st.builds(life.OutcomeUnknown, st.just(at)),
        st.builds(life.Started, st.just(at), ids),
        st.builds(life.Answered, st.just(at), ids),
        st.builds(life.MediaEnded, st.just(at), st.integers(T0, at), st.integers(T0, at)),
        st.builds(life.CdrReceived, st.just(at), ids, _OPTIONAL_MS, _OPTIONAL_MS, st.just("r.wav")),
        st.builds(life.StopAsked, st.just(at)),
        st.builds(life.DeadlinePassed, st.just(at), st.booleans()),
        st.builds(life.MediaGone, st.just(at)),
        st.builds(life.AudioLost, st.just(at), st.integers(T0, at), st.integers(T0, at)),
    )


@st.composite
def histories(draw: st.DrawFn) -> tuple[Call, list[life.Fact]]:
    """A call that is queued or was dialled, and facts whose times rise."""
    start = queued() if draw(st.booleans()) else life.dialing(queued(), T0, POLICY)
    times = sorted(draw(st.lists(_TIMES, max_size=10)))
    return start, [draw(facts_at(T0 + time)) for time in times]


def invariants_hold(before: Call, call: Call, effects: Effects) -> None:
    assert life.RANK[call.state] >= life.RANK[before.state]
    after_all = before.unanswered and not call.unanswered
    if after_all:
        assert (call.hangup_cause, effects.finish) == ("NORMAL_CLEARING:sip:200", True)
    if not before.live:
        assert call.state is before.state
        assert not effects.free_room
        assert effects.outcome is (Outcome.ANSWERED_AFTER_ALL if after_all else None)
        given_up = call.media_ended_at is None and not before.call_id
        unconfirmed = call.media_ended_at is not None and before.closed_at is None and call.closed_at is not None
        assert not effects.hang_up or (call.cdr_at is None and (given_up or unconfirmed))
    ended_now = before.live and not call.live
    assert effects.free_room == ended_now
    assert (effects.outcome is not None) == (ended_now or after_all)
    if call.state is CallState.ENDED:
        assert call.unanswered == (call.hangup_cause in ("NO_ANSWER:sip:480", "ORIGINATOR_CANCEL:sip:487"))
        assert call.answered_at is None or call.answered_at >= call.created_at
    if call.live or call.closed_at is None:
        assert call.deadline_at is not None
    else:
        assert call.deadline_at is None
        assert call.ended_at is not None
    assert not effects.hang_up or call.call_id
    assert call.time_len >= 0
    if before.closed_at is not None:
        assert call.closed_at == before.closed_at
    if before.call_id:
        assert call.call_id == before.call_id


@BUSY
@given(histories())
def test_whatever_is_told_ranks_rise_finals_stay_and_room_is_freed_once(history: tuple[Call, list[life.Fact]]) -> None:
    call, facts = history
    freed = 0
    for fact in facts:
        before = call
        call, effects = life.apply(before, fact, POLICY)
        invariants_hold(before, call, effects)
        freed += effects.free_room
        again, nothing = life.apply(call, fact, POLICY)
        assert (again, nothing) == (call, life.NOTHING)
    assert freed == (not call.live)


@BUSY
@given(histories())
def test_deadlines_alone_always_lead_to_a_closed_record(history: tuple[Call, list[life.Fact]]) -> None:
    call, facts = history
    for fact in facts:
        call, _ = life.apply(call, fact, POLICY)
    steps, freed = 0, not call.live
    while call.deadline_at is not None:
        before = call
        call, effects = life.apply(call, life.DeadlinePassed(call.deadline_at), POLICY)
        invariants_hold(before, call, effects)
        freed = freed or effects.free_room
        steps += 1
        assert steps <= 6
    assert call.closed_at is not None
    assert freed


@BUSY
@given(histories())
def test_repeating_facts_later_changes_nothing_more_than_their_first_telling(
    history: tuple[Call, list[life.Fact]],
) -> None:
    """Events come twice: telling all of them again after the call is closed leaves it as it is.

    What media's files hold is looked at then for the first time, as often as one likes.
    """
    call, facts = history
    for fact in facts:
        call, _ = life.apply(call, fact, POLICY)
    while call.deadline_at is not None:
        call, _ = life.apply(call, life.DeadlinePassed(call.deadline_at), POLICY)
    for fact in facts:
        told, effects = life.apply(call, fact, POLICY)
        if isinstance(fact, life.AudioLost):
            assert life.apply(told, fact, POLICY) == (told, life.NOTHING)
            continue
        assert (told.state, told.ended_at, told.closed_at) == (call.state, call.ended_at, call.closed_at)
        assert not effects.free_room
        assert effects.outcome is None


@given(
    st.lists(st.sampled_from(Outcome), max_size=12),
    st.integers(0, 12),
    st.sampled_from([POLICY, NONE_LEFT, replace(POLICY, retry_unknown_ms=POLICY.retry_no_answer_ms)]),
)
def test_a_final_task_never_changes_and_attempts_are_bounded(
    outcomes: list[Outcome], stop_after: int, policy: Policy
) -> None:
    task = Task(1)
    for position, outcome in enumerate(outcomes):
        if position == stop_after:
            task = life.stopped(task, T0)
        before = task
        task = life.settle(task, outcome, T0, policy)
        if before.state in life.FINAL_TASKS:
            assert task == before
        if before != task:
            assert task.state in life.FINAL_TASKS or task.due_at is not None
        if outcome in (Outcome.ANSWERED, Outcome.ANSWERED_AFTER_ALL) and before.no_answers:
            assert task.state in life.FINAL_TASKS
    retries = (policy.retry_no_answer_ms, policy.retry_refused_ms, policy.retry_unknown_ms)
    assert task.attempts <= 1 + sum(len(delays) for delays in retries)
