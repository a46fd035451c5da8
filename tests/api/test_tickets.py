"""Decoding and checking tickets: the fast way and the slow way must agree on every input."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import tickets
from api.envelope import ParameterError
from shared import numbers

FIELDS = ("ticketNo", "phone", "username", "ticketType", "ticketContent")

texts = st.text(max_size=8) | st.sampled_from(["", " ", "\t", "a\0b", "x" * 200, "x" * 201, "🎉", "张三"])
phones = st.sampled_from(
    [
        "13912345678",
        "0571-88001234",
        "057188001234-8001",
        "+8613912345678",
        "139",
        "12",
        "1391234567x",
        "🎉",
        "1" * 41,
        "",
    ]
)
junk = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.lists(st.none())
)
items = st.fixed_dictionaries(
    {}, optional={name: (phones if name == "phone" else texts) | junk for name in FIELDS} | {"extra": junk}
)
sound = st.fixed_dictionaries(
    {name: phones if name == "phone" else st.text(min_size=1, max_size=20) for name in FIELDS}, optional={"extra": junk}
)


def faults(item: Any) -> list[str]:
    """What the specification says is wrong with one item, written out plainly."""
    if not isinstance(item, dict):
        return ["item"]
    found = []
    for name in FIELDS:
        value = item.get(name)
        longest = {"phone": 40, "ticketContent": 10_000}.get(name, 200)
        good = isinstance(value, str) and value.strip() and len(value) <= longest and "\0" not in value
        if good and name == "phone":
            try:
                numbers.parse(value)
            except numbers.NumberError:
                good = False
        if not good:
            found.append(name)
    return found


@given(st.lists(items | sound | junk, min_size=1, max_size=4))
def test_a_batch_is_taken_whole_or_every_fault_is_named(batch: list[Any]) -> None:
    expected = [(index, name) for index, item in enumerate(batch) for name in faults(item)]
    body = json.dumps(batch).encode()
    if expected:
        with pytest.raises(ParameterError) as refused:
            tickets.read(body, limit=10)
        assert [(problem.index, problem.field or "item") for problem in refused.value.problems] == expected
        return
    for ticket, item in zip(tickets.read(body, limit=10), batch, strict=True):
        assert ticket.ticket.ticket_no == item["ticketNo"]
        assert (ticket.number, ticket.exten) == numbers.parse(item["phone"])


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_tickets_or_a_parameter_error(body: bytes) -> None:
    with pytest.raises(ParameterError):
        tickets.read(body, limit=10)


@given(sound, st.sampled_from(FIELDS), st.text(min_size=1, max_size=5))
def test_the_digest_tells_every_field_apart(item: dict[str, Any], name: str, more: str) -> None:
    first = tickets.digest(as_ticket(item))
    assert len(first) == 16
    assert tickets.digest(as_ticket(dict(reversed(item.items())))) == first
    assert tickets.digest(as_ticket(item | {name: item[name] + more})) != first


def as_ticket(item: dict[str, Any]) -> tickets.Ticket:
    return tickets.Ticket(*(item[name] for name in FIELDS))


def test_text_that_moves_between_fields_changes_the_digest() -> None:
    one, other = tickets.Ticket("a", "13912345678", "bc", "d", "e"), tickets.Ticket("a", "13912345678", "b", "cd", "e")
    assert tickets.digest(one) != tickets.digest(other)


def test_a_repeated_name_counts_as_its_last_value(ticket: Any) -> None:
    body = json.dumps(ticket()).replace('{"ticketNo"', '{"ticketNo": 7, "ticketNo"', 1).encode()
    assert [item.ticket.ticket_no for item in tickets.read(body, limit=1)] == ["T20231001001"]


def test_a_hostile_body_of_many_values_is_refused_before_it_is_built(ticket: Any) -> None:
    body = b"[" + b"[]," * 2_000_001 + b"[]]"
    with pytest.raises(ParameterError, match="内容过多"):
        tickets.read(body, limit=10_000)
