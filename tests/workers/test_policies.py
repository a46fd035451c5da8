"""The retry matrix at work: which policy a ticket type gets, and what becomes of its task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shared.errors import OutcomeUnknown, Refused
from shared.lifecycle import Policy
from shared.retries import parse_retries
from shared.settings import load
from tests.workers.twins import Office, cdr
from workers.dial import dial
from workers.dispatch import dispatch
from workers.events import apply_events
from workers.policies import Policies
from workers.sweep import sweep

MINUTE = 60_000


def policies(directory: Path, by_type: str, **environment: str) -> Policies:
    settings = load({f"WAIHU_{name.upper()}": value for name, value in environment.items()}, directory)
    return Policies(settings, parse_retries(by_type))


def retries(policy: Policy) -> tuple[tuple[int, ...], ...]:
    return policy.retry_no_answer_ms, policy.retry_refused_ms, policy.retry_unknown_ms


def test_a_type_that_no_rule_names_is_treated_as_all(tmp_path: Path) -> None:
    found = policies(tmp_path, "活动*: no_answer=1m", retry_no_answer="10m", retry_refused="1m,2m")
    assert retries(found.of("回访")) == ((10 * MINUTE,), (MINUTE, 2 * MINUTE), ())
    assert found.of("回访") == found.of("") == found.default
    assert (found.default.ring_timeout_ms, found.default.max_call_ms) == (60_000, 600_000)


def test_a_rule_overrides_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    found = policies(tmp_path, "活动*: no_answer=1m,5m; unknown=2h", retry_no_answer="10m", retry_refused="1m")
    assert retries(found.of("活动通知1")) == ((MINUTE, 5 * MINUTE), (MINUTE,), (120 * MINUTE,))


def test_unknown_is_dialled_again_only_if_it_is_configured(tmp_path: Path) -> None:
    assert policies(tmp_path, "").default.retry_unknown_ms == ()
    again = policies(tmp_path, "活动*: no_answer=1m | 催收: unknown=", retry_no_answer="10m", redial_unknown="1")
    assert again.default.retry_unknown_ms == (10 * MINUTE,)
    assert again.of("活动1").retry_unknown_ms == (MINUTE,)
    assert again.of("催收").retry_unknown_ms == ()


RULES = "急*: no_answer=1m; refused=; unknown=3m | 一次: no_answer="


@pytest.mark.parametrize(
    ("ticket_type", "outcome", "state", "delay"),
    [
        ("急件", "no_answer", "retry_wait", MINUTE),
        ("一次", "no_answer", "not_connected", None),
        ("回访", "no_answer", "retry_wait", 10 * MINUTE),
        ("急件", "refused", "failed", None),
        ("回访", "refused", "retry_wait", 2 * MINUTE),
        ("急件", "unknown", "retry_wait", 3 * MINUTE),
        ("回访", "unknown", "unknown", None),
        ("急件", "answered", "completed", None),
    ],
)
def test_the_task_goes_the_way_its_type_says(
    open_office: Callable[..., Office], ticket_type: str, outcome: str, state: str, delay: int | None
) -> None:
    office = open_office(retry_by_type=RULES, retry_no_answer="10m", retry_refused="2m")
    office.media()
    batch_id = office.ticket(ticket_type=ticket_type)
    dispatch(office.house)
    [call] = office.calls(batch_id)
    errors = {"refused": Refused(1, "no"), "unknown": OutcomeUnknown("hm")}
    office.phone.answers = [errors[outcome]] if outcome in errors else []
    dial(office.house, call.uuid)
    if outcome in ("no_answer", "answered"):
        told = cdr(1_000 if outcome == "answered" else None, 2_000)
        apply_events(office.house, [office.event("cdr", request_id=call.uuid, pay_load=told)])
    if outcome == "unknown":
        office.advance(120)
        sweep(office.house)
    task = office.task(batch_id)
    assert (task.state, task.due_at) == (state, None if delay is None else office.now + delay)


def test_a_task_that_lost_its_call_is_settled_by_its_type_too(open_office: Callable[..., Office]) -> None:
    office = open_office(retry_by_type=RULES, retry_no_answer="10m")
    office.media()
    batch_id = office.ticket(ticket_type="急件")
    dispatch(office.house)
    [call] = office.calls(batch_id)
    office.set_call(call.uuid, state="ended", ended_at=office.now, closed_at=office.now, deadline_at=None)
    office.advance(10)
    sweep(office.house)
    assert (office.task(batch_id).state, office.task(batch_id).due_at) == ("retry_wait", office.now + MINUTE)
