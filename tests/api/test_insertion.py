"""Rows for COPY, read back by the rules of its text format (PostgreSQL manual, COPY, "Text Format")."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from api.insertion import copy_data, insert_tasks
from api.tickets import CheckedTicket, Schedule, Ticket, digest
from shared.database import writing

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MEANING = {"t": "\t", "n": "\n", "r": "\r"}

texts = st.text(
    st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), min_size=1, max_size=12
) | st.sampled_from(["\\", "\\N", "\\.", "a\tb", "a\r\nb", "\\t", "\\\\t", "a\\"])


def unescaped(field: str) -> str:
    return _ESCAPED.sub(lambda match: _MEANING.get(match[1], match[1]), field)


@given(texts, texts, texts, texts)
def test_every_text_survives_copys_format(ticket_no: str, username: str, ticket_type: str, content: str) -> None:
    ticket = Ticket(ticket_no, "0571-88001234", username, ticket_type, content)
    checked = CheckedTicket(ticket, "057188001234", "", digest(ticket))
    line = copy_data([(7, checked)], "86", 99)
    assert line.endswith("\n")
    assert not {"\n", "\r"} & set(line[:-1])
    fields = line[:-1].split("\t")
    assert [unescaped(field) for field in fields[:15]] == [
        "7",
        ticket_no,
        "0571-88001234",
        "057188001234",
        "",
        username,
        ticket_type,
        content,
        "\\x" + checked.digest.hex(),
        "pending",
        "99",
        "99",
        "99",
        "+8657188001234",
        "0",
    ]
    assert fields[15:] == ["\\N", "\\N"]
    assert "\\N" not in fields[:14]


@given(
    st.lists(
        st.tuples(texts, texts, st.none() | st.just(2_000), st.sampled_from([None, "Asia/Tokyo"]), st.booleans()),
        min_size=1,
        max_size=5,
    )
)
def test_no_schedule_makes_up_for_another_tickets_backslashes(
    drawn: list[tuple[str, str, int | None, str | None, bool]],
) -> None:
    rows = []
    for index, (ticket_no, content, expires_at, zone, scheduled) in enumerate(drawn):
        ticket = Ticket(ticket_no, "13912345678", "n", "t", content)
        schedule = Schedule(expires_at=expires_at, zone=zone) if scheduled else None
        rows.append((index, CheckedTicket(ticket, "13912345678", "", digest(ticket), schedule)))
    lines = [line.split("\t") for line in copy_data(rows, "86", 99).split("\n")[:-1]]
    assert [(unescaped(line[1]), unescaped(line[7])) for line in lines] == [row[:2] for row in drawn]


@pytest.mark.parametrize(("not_before", "due"), [(None, "99"), (-(10**14), "99"), (98, "99"), (100, "100")])
def test_nobody_is_due_before_now(not_before: int | None, due: str) -> None:
    """Who was would overtake all that wait since before."""
    ticket = Ticket("T", "13912345678", "n", "t", "c")
    checked = CheckedTicket(ticket, "13912345678", "", digest(ticket), Schedule(not_before=not_before))
    assert copy_data([(7, checked)], "86", 99).split("\t")[12] == due


def test_one_awkward_ticket_does_not_mix_up_the_rows_around_it() -> None:
    tickets = [Ticket(text, "13912345678", "n", "t", "c") for text in ("a", "\\\t\n\r", "b")]
    rows = [(index, CheckedTicket(ticket, "13912345678", "", digest(ticket))) for index, ticket in enumerate(tickets)]
    lines = copy_data(rows, "86", 99).split("\n")
    assert [unescaped(line.split("\t")[1]) for line in lines[:-1]] == ["a", "\\\t\n\r", "b"]


def test_ids_rise_and_are_never_used_again(engine: Engine) -> None:
    def some(*numbers: str) -> list[CheckedTicket]:
        made = (Ticket(number, "13912345678", "n", "t", "c") for number in numbers)
        return [CheckedTicket(ticket, "13912345678", "", digest(ticket)) for ticket in made]

    with writing(engine) as connection:
        assert insert_tasks(connection, [], 1) == []
        first = insert_tasks(connection, some("a", "b"), 1)
        connection.exec_driver_sql("DELETE FROM tasks")
        second = insert_tasks(connection, some("c", "d", "e"), 1)
    assert (first, second) == ([1, 2], [3, 4, 5])
