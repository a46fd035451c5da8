"""Both ways to check a batch must say the same, or their speeds could not be compared."""

from __future__ import annotations

import json

import pytest
from marshmallow import ValidationError

from api.envelope import ParameterError
from api.tickets import LONGEST_CONTENT, LONGEST_PHONE, LONGEST_TEXT
from benchmarks.validation import by_marshmallow, by_msgspec, faulty, refused

GOOD = {
    "ticketNo": "T1",
    "phone": "13912345678",
    "username": "张三",
    "ticketType": "活动通知1",
    "ticketContent": "您好😀",
    "unknown": 1,
}
FAULTS: tuple[dict[str, object], ...] = (
    {"phone": "call me"},
    {"phone": "12"},
    {"phone": "1" * (LONGEST_PHONE + 1)},
    {"username": ""},
    {"username": " \t"},
    {"username": "a\0b"},
    {"username": None},
    {"ticketNo": 7},
    {"ticketNo": "T" * (LONGEST_TEXT + 1)},
    {"ticketType": ["x"]},
    {"ticketContent": "x" * (LONGEST_CONTENT + 1)},
)


def batch(*tickets: object) -> bytes:
    return json.dumps(tickets).encode()


@pytest.mark.parametrize("phone", ["13912345678", "+8613912345678", "057128167421-801"])
def test_both_take_what_is_right(phone: str) -> None:
    body = batch(GOOD, {**GOOD, "phone": phone})
    assert by_msgspec(body) == by_marshmallow(body) == 2


@pytest.mark.parametrize("fault", FAULTS)
def test_both_refuse_what_is_wrong(fault: dict[str, object]) -> None:
    body = batch(GOOD, {**GOOD, **fault})
    with pytest.raises(ParameterError):
        by_msgspec(body)
    with pytest.raises(ValidationError):
        by_marshmallow(body)


@pytest.mark.parametrize("missing", ["ticketNo", "phone", "username", "ticketType", "ticketContent"])
def test_both_refuse_what_lacks_a_field(missing: str) -> None:
    body = batch({name: value for name, value in GOOD.items() if name != missing})
    with pytest.raises(ParameterError):
        by_msgspec(body)
    with pytest.raises(ValidationError):
        by_marshmallow(body)


def test_the_faulty_batch_is_refused_and_a_good_one_noticed() -> None:
    body = batch(GOOD)
    assert refused(faulty(body))
    with pytest.raises(RuntimeError, match="expected the fault"):
        refused(body)
