"""The lifecycle of a task: what its calls, a stop and its own deadline make of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from shared.lifecycle.call import Call
from shared.lifecycle.effects import Outcome
from shared.lifecycle.policy import UNPLACED_WAIT_MS, Policy
from shared.lifecycle.states import FINAL_TASKS, WAITING_TASKS, CallState, TaskState


@dataclass(frozen=True)
class Task:
    """The columns of a ``tasks`` row that the lifecycle reads and writes."""

    batch_id: int
    state: TaskState = TaskState.PENDING
    stop_requested_at: int | None = None
    connected: bool | None = None
    """True before it is final: an attempt that seemed not to be answered was, and no other may follow it."""
    due_at: int | None = None
    final_at: int | None = None
    attempts: int = 0
    no_answers: int = 0
    refusals: int = 0
    unknowns: int = 0

    @property
    def tries(self) -> int:
        """Attempts since it was made, or since a person had it dialled again: ``attempts`` counts those before, too."""
        return self.no_answers + self.refusals + self.unknowns


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
    if outcome is Outcome.ANSWERED_AFTER_ALL:
        return answered_after_all(task, at)
    spent = replace(
        task,
        attempts=task.attempts + (outcome is not Outcome.UNPLACED),
        no_answers=task.no_answers + (outcome is Outcome.NO_ANSWER),
        refusals=task.refusals + (outcome is Outcome.REFUSED),
        unknowns=task.unknowns + (outcome is Outcome.LOST),
    )
    connected = {Outcome.ANSWERED: True, Outcome.LOST: None}.get(outcome, False)
    if task.connected:
        return _answered(spent, at)
    if spent.stop_requested_at is not None:
        return _final(spent, TaskState.STOPPED, connected, at)
    match outcome:
        case Outcome.ANSWERED:
            return _answered(spent, at)
        case Outcome.UNPLACED:
            return replace(spent, state=TaskState.PENDING, due_at=at + UNPLACED_WAIT_MS)
        case Outcome.NO_ANSWER:
            return _retry(spent, policy.retry_no_answer_ms, spent.no_answers, TaskState.NOT_CONNECTED, False, at)
        case Outcome.REFUSED:
            return _retry(spent, policy.retry_refused_ms, spent.refusals, TaskState.FAILED, False, at)
        case Outcome.LOST:
            return _retry(spent, policy.retry_unknown_ms, spent.tries, TaskState.UNKNOWN, None, at)
        case _:
            assert_never(outcome)


def answered_after_all(task: Task, at: int) -> Task:
    """The task of which an attempt that had seemed not to be answered was: whoever talked with us is not rung again.

    One that waits for its retry is completed. A final one stays as it is, for whoever asked has been told, by webhook
    too. One with another call stays with it: that rings already, and ends the task however it comes out. And one whose
    attempts began anew, because a person had it dialled again, is that person's wish and waits on.
    """
    if task.state in FINAL_TASKS or not task.no_answers:
        return task
    known = replace(task, connected=True, no_answers=task.no_answers - 1)
    return _answered(known, at) if task.state in WAITING_TASKS else known


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


def _answered(task: Task, at: int) -> Task:
    return _final(task, TaskState.COMPLETED if task.stop_requested_at is None else TaskState.STOPPED, True, at)


def _final(task: Task, state: TaskState, connected: bool | None, at: int) -> Task:
    return replace(task, state=state, connected=connected, final_at=at, due_at=None)
