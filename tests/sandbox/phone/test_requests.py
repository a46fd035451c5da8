from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.phone import requests
from sandbox.phone.refusals import Code, Refusal
from shared.phone.wire import CallAction, StartCall, encode

START = {
    "action": "startcall",
    "caller": "057128167421",
    "callee": "15101613608",
    "isRecord": True,
    "exten": "",
    "requestId": "req4",
    "clientMutationId": "004",
}
PLAY = {"action": "file_playback", "parameters": "tianmao", "clientMutationId": "004"}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def outcome(parse: Callable[[], object]) -> str:
    """How a request is taken: anything but being understood or refused in words is a fault of the phone system."""
    try:
        parse()
    except Refusal as refusal:
        return "refused" if str(refusal) and refusal.code in (Code.BAD_REQUEST, Code.UNKNOWN_ACTION) else "odd"
    return "understood"


def test_the_documents_own_startcall_is_understood() -> None:
    assert requests.start_call(dict(START)) == StartCall(
        caller="057128167421",
        callee="15101613608",
        is_record=True,
        exten="",
        request_id="req4",
        client_mutation_id="004",
    )


def test_the_documents_own_file_playback_is_understood() -> None:
    assert requests.call_action(dict(PLAY)) == CallAction(
        action="file_playback", parameters="tianmao", client_mutation_id="004"
    )


def test_what_the_wire_format_encodes_is_understood() -> None:
    start = StartCall(caller="1001", callee="+8613800000001", is_record=False, request_id="r", client_mutation_id="m")
    assert requests.start_call(requests.decode_object(encode(start))) == start
    for action in requests.CALL_ACTIONS:
        body = {**PLAY, "action": action}
        assert requests.call_action(body).action == action


@pytest.mark.parametrize("field", [name for name in START if name != "action"])
def test_a_missing_field_of_startcall_is_named(field: str) -> None:
    body = {name: value for name, value in START.items() if name != field}
    with pytest.raises(Refusal, match=f"^{field}: .*missing") as caught:
        requests.start_call(body)
    assert caught.value.code is Code.BAD_REQUEST


@pytest.mark.parametrize("field", [name for name in START if name != "action"])
@pytest.mark.parametrize("value", [None, 7, 1.5, [], {}, "yes"])
def test_a_mistyped_field_of_startcall_is_named(field: str, value: Any) -> None:
    if value == "yes" and field in ("requestId", "clientMutationId"):
        return
    with pytest.raises(Refusal, match=f"^{field}: expected") as caught:
        requests.start_call({**START, field: value})
    assert caught.value.code is Code.BAD_REQUEST


@pytest.mark.parametrize(
    "callee", ["", "12", "138-0000", "1380000000a", "１３８００００", "1" * 21, "😀", "+", "138\n"]
)
def test_a_callee_that_is_no_number_is_refused(callee: str) -> None:
    with pytest.raises(Refusal, match="callee"):
        requests.start_call({**START, "callee": callee})


@pytest.mark.parametrize("body", [{"action": "startcall2"}, {"action": "hangup"}])
def test_another_action_than_startcall_is_unknown_there(body: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match="expects the action startcall") as caught:
        requests.start_call({**START, **body})
    assert caught.value.code is Code.UNKNOWN_ACTION


@pytest.mark.parametrize("action", ["startcall", "transfer", "", "HANGUP"])
def test_an_unknown_action_of_a_call_is_refused(action: str) -> None:
    with pytest.raises(Refusal) as caught:
        requests.call_action({**PLAY, "action": action})
    assert caught.value.code is Code.UNKNOWN_ACTION


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b'"x"', b"7", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        requests.decode_object(body)
    assert caught.value.code is Code.BAD_REQUEST


def test_the_mark_is_echoed_only_if_it_is_a_string() -> None:
    assert requests.mutation_id({"clientMutationId": "😀"}) == "😀"
    assert requests.mutation_id({"clientMutationId": 4}) == ""
    assert requests.mutation_id({}) == ""


@given(st.dictionaries(st.sampled_from([*START, "parameters"]) | st.text(max_size=5), JSON, max_size=9))
def test_any_object_is_either_understood_or_refused(document: dict[str, Any]) -> None:
    body = {**START, **document}
    assert outcome(lambda: requests.start_call(body)) in ("understood", "refused")
    assert outcome(lambda: requests.call_action(body)) in ("understood", "refused")


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_an_object_or_refused(body: bytes) -> None:
    assert outcome(lambda: requests.decode_object(body)) in ("understood", "refused")
