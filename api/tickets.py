"""Tickets of a createTasks request: decoded and checked before anything is stored (callcenter-api.md, section 4).

Ten thousand tickets are decoded in one go by msgspec, straight into structs (marshmallow takes eight times as long for
the same rules, benchmarks/validation.py); only a request that fails there is read again slowly, item by item, to name
everything that is wrong with it.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import msgspec

from api.body import decode, malformed, type_name
from api.envelope import FieldProblem, ParameterError, refuse
from api.received import received
from shared import numbers
from shared.errors import NumberError

LONGEST_TEXT = 200
"""Characters of ticketNo, username and ticketType: the width of their columns."""
LONGEST_PHONE = numbers.MAX_LENGTH
LONGEST_CONTENT = 10_000
"""Characters of ticketContent: some twenty pages, more than any briefing for a call."""
FEWEST_DIGITS, MOST_DIGITS = 3, 20
"""Of a plain number (shared.numbers)."""
DIGEST_BYTES = 16

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_TEXT)]
_Phone = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_PHONE)]
_Content = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_CONTENT)]


class Ticket(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One ticket as it was sent; unknown fields are ignored."""

    ticket_no: _Text
    phone: _Phone
    username: _Text
    ticket_type: _Text
    ticket_content: _Content


class Schedule(msgspec.Struct, frozen=True, gc=False):
    """When and how urgently (``/api/v1/tasks``); times are milliseconds since 1970, ``zone`` an IANA name."""

    priority: int = 0
    not_before: int | None = None
    expires_at: int | None = None
    zone: str | None = None


class CheckedTicket(msgspec.Struct, frozen=True, gc=False):
    """A ticket that can be stored. ``digest`` is of all that was sent of it: the same ticket sent twice has the same."""

    ticket: Ticket
    number: str
    exten: str
    digest: bytes
    schedule: Schedule | None = None


_LONGEST = {
    "ticketNo": LONGEST_TEXT,
    "phone": LONGEST_PHONE,
    "username": LONGEST_TEXT,
    "ticketType": LONGEST_TEXT,
    "ticketContent": LONGEST_CONTENT,
}
_one = msgspec.json.Decoder(Ticket)
_many = msgspec.json.Decoder(list[Ticket])
_encode = msgspec.json.Encoder().encode


def read(body: bytes, limit: int) -> list[CheckedTicket]:
    """The tickets in a request's body, an array of them or a single one.

    Raises ParameterError that names everything that is wrong, by position and field.
    """
    try:
        tickets = [_one.decode(body)] if body.lstrip()[:1] == b"{" else _many.decode(body)
    except msgspec.ValidationError:
        return _read_slowly(body, limit)
    except (ValueError, RecursionError) as error:
        raise malformed(error, body) from error
    _require_count(len(tickets), limit)
    # JSON has one spelling of NUL, so a body without it holds none; one with it is worth a closer look.
    checked = None if b"\\u0000" in body else _check(tickets)
    return _read_slowly(body, limit) if checked is None else checked


def digest(ticket: Ticket) -> bytes:
    """What tells whether two tickets are the same: 16 bytes of BLAKE2b over their fields in fixed order."""
    return hashlib.blake2b(_encode(ticket), digest_size=DIGEST_BYTES).digest()


def _check(tickets: list[Ticket]) -> list[CheckedTicket] | None:
    """Tickets without NUL, with what is derived from them; None as soon as one has a fault, which is for others to name."""
    checked = []
    for ticket in tickets:
        phone = ticket.phone
        # Nearly every number is a mobile number; what parse would say of plain digits is said here ten times as fast.
        if phone.isdecimal() and phone.isascii() and FEWEST_DIGITS <= len(phone) <= MOST_DIGITS:
            number, exten = phone, ""
        else:
            try:
                number, exten = numbers.parse(phone)
            except NumberError:
                return None
        if (
            ticket.ticket_no.isspace()
            or ticket.username.isspace()
            or ticket.ticket_type.isspace()
            or ticket.ticket_content.isspace()
        ):
            return None
        checked.append(CheckedTicket(ticket, number, exten, digest(ticket)))
    return checked


def _read_slowly(body: bytes, limit: int) -> list[CheckedTicket]:
    document = decode(body)
    items = document if isinstance(document, list) else [document]
    _require_count(len(items), limit)
    problems = [problem for index, item in enumerate(items) for problem in _problems(item, index)]
    checked = None if problems else _check(msgspec.convert(items, list[Ticket]))
    if checked is None:
        raise ParameterError(problems or [FieldProblem(None, None, "工单无法识别")])
    return checked


def _require_count(count: int, limit: int) -> None:
    if not count:
        raise refuse("至少应有一条工单，收到的是空数组")
    if count > limit:
        raise refuse(f"一次最多 {limit} 条工单，收到 {count} 条，请分批提交")


def _problems(item: Any, index: int) -> list[FieldProblem]:
    """Everything that is wrong with one item."""
    if not isinstance(item, dict):
        return [FieldProblem(index, None, f"应为工单对象，收到的是{type_name(item)}")]
    found = ((name, _fault(item, name, longest)) for name, longest in _LONGEST.items())
    return [FieldProblem(index, name, message) for name, message in found if message]


def _fault(item: dict[str, Any], name: str, longest: int) -> str:
    """What is wrong with one field of a ticket, "" if nothing is."""
    if name not in item:
        return "缺少必填字段"
    value = item[name]
    if not isinstance(value, str):
        return f"应为字符串，收到的是{type_name(value)}"
    if not value or value.isspace():
        return "不能为空"
    if len(value) > longest:
        return f"最长 {longest} 个字符，收到 {len(value)} 个"
    if "\0" in value:
        return "不能含有 NUL 字符"
    if name == "phone":
        try:
            numbers.parse(value)
        except NumberError:
            return f"不是有效的号码：应为 3 到 20 位数字，可带前导 +，分机号写在 - 或 , 之后，{received(value)}"
    return ""
