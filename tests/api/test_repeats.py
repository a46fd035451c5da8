"""What happens to a ticket that was sent before: the rule, without a database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.envelope import ParameterError
from api.repeats import Known, plan
from api.tickets import CheckedTicket, Ticket, digest

SINCE = 1000


def sent(ticket_no: str, body: str = "a") -> CheckedTicket:
    ticket = Ticket(ticket_no, "13912345678", "n", "t", body)
    return CheckedTicket(ticket, "13912345678", "", digest(ticket))


def known(batch_id: int, ticket_no: str, body: str = "a", *, live: bool = True, created_at: int = SINCE + 1) -> Known:
    return Known(ticket_no, batch_id, sent(ticket_no, body).digest, live, created_at)


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        ([known(7, "T", live=True)], 7),
        ([known(7, "T", live=True, created_at=0)], 7),
        ([known(7, "T", live=False)], 7),
        ([known(7, "T", live=False, created_at=SINCE)], 100),
        ([known(7, "T", "b", live=False)], 100),
        ([known(7, "other")], 100),
        ([], 100),
        ([known(6, "T", live=False), known(7, "T", live=True)], 7),
        ([known(7, "T", live=False), known(8, "T", "b", live=True)], 7),
        ([known(6, "T", live=False), known(7, "T", live=False, created_at=SINCE + 9)], 7),
    ],
)
def test_one_ticket_is_an_existing_task_or_a_new_one(existing: list[Known], expected: int) -> None:
    assert plan([sent("T")], existing, SINCE).batch_ids([100]) == [expected]


def test_another_body_of_a_live_task_is_refused_and_named() -> None:
    with pytest.raises(ParameterError) as refused:
        plan([sent("A"), sent("T", "new")], [known(7, "T", "old")], SINCE)
    assert [(problem.index, problem.field) for problem in refused.value.problems] == [(1, "ticketNo")]
    assert "7" in str(refused.value)


def test_two_bodies_of_one_ticket_in_a_batch_are_refused() -> None:
    with pytest.raises(ParameterError) as refused:
        plan([sent("T", "a"), sent("T", "a"), sent("T", "b")], [], SINCE)
    assert [problem.index for problem in refused.value.problems] == [2]
    assert "第 1 条" in str(refused.value)


tickets = st.builds(sent, st.sampled_from("ABC"), st.sampled_from("xy"))
tasks = st.builds(
    known,
    st.integers(1, 50),
    st.sampled_from("ABC"),
    st.sampled_from("xy"),
    live=st.booleans(),
    created_at=st.sampled_from([SINCE, SINCE + 1, SINCE + 2]),
)


@given(
    st.lists(tickets, max_size=6),
    st.lists(
        tasks,
        max_size=6,
        unique_by=(
            lambda task: task.batch_id,
            lambda task: (task.ticket_no, task.live) if task.live else task.batch_id,
        ),
    ),
)
def test_a_batch_sent_again_is_the_same_tasks(batch: list[CheckedTicket], existing: list[Known]) -> None:
    try:
        first = plan(batch, existing, SINCE)
    except ParameterError:
        return
    fresh_ids = list(range(100, 100 + len(first.fresh)))
    ids = first.batch_ids(fresh_ids)
    assert len({ticket.ticket.ticket_no for ticket in first.fresh}) == len(first.fresh)
    made = [
        Known(ticket.ticket.ticket_no, batch_id, ticket.digest, True, SINCE + 5)
        for ticket, batch_id in zip(first.fresh, fresh_ids, strict=True)
    ]
    again = plan(batch, [*existing, *made], SINCE)
    assert again.fresh == []
    assert again.batch_ids([]) == ids
