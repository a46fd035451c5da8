"""The phone system's wire format: the document's own examples, and whatever else may come."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.phone import wire

CALL_ID = "bbd910fc-e5fd-11f0-a660-525400eaab18"

# Section 3, word for word.
FIRST_START = b"""{
    "call_id": "bbd910fc-e5fd-11f0-a660-525400eaab18",
    "callee": "15101613608",
    "caller": "057128167421",
    "event_name": "firstStart",
    "event_time": 1767153838953,
    "pay_load": "",
    "request_id": "req4"
}"""
CDR = b"""{
    "call_id": "bbd910fc-e5fd-11f0-a660-525400eaab18",
    "callee": "15101613608",
    "caller": "057128167421",
    "event_name": "cdr",
    "event_time": 1767154090690,
    "pay_load": [
        {
            "answer_time": 1767153844421,
            "call_id": "bbd910fc-e5fd-11f0-a660-525400eaab18",
            "call_type": "81",
            "callee": "15101613608",
            "caller": "057128167421",
            "end_time": 1767154090690,
            "is_record": 1,
            "record_file": "000000000-bbd910fc-e5fd-11f0-a660-525400eaab18-15101613608.wav",
            "request_id": "req4",
            "start_time": "1767153838953"
        }
    ],
    "request_id": "req4"
}"""


def test_startcall_is_written_as_the_document_shows_it() -> None:
    message = wire.StartCall(
        caller="057128167421", callee="15101613608", is_record=True, request_id="req4", client_mutation_id="004"
    )
    assert json.loads(wire.encode(message)) == {
        "action": "startcall",
        "caller": "057128167421",
        "callee": "15101613608",
        "isRecord": True,
        "exten": "",
        "requestId": "req4",
        "clientMutationId": "004",
    }


def test_the_other_actions_are_written_as_the_document_shows_them() -> None:
    message = wire.CallAction(action="file_playback", parameters="tianmao", client_mutation_id="004")
    assert json.loads(wire.encode(message)) == {
        "action": "file_playback",
        "parameters": "tianmao",
        "clientMutationId": "004",
    }


def test_the_documents_reply_is_read() -> None:
    body = b'{ "clientMutationId": "004", "code": 0, "msg": "bbd910fc-e5fd-11f0-a660-525400eaab18" }'
    assert wire.decode_reply(body) == wire.Reply(code=0, msg=CALL_ID, client_mutation_id="004")


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        (b'{"code":1}', wire.Reply(code=1)),
        (b'{"code":" -7 ","msg":null,"clientMutationId":4}', wire.Reply(code=-7, client_mutation_id="4")),
        (b'{"code":3.0,"msg":5,"more":[1]}', wire.Reply(code=3, msg="5")),
        (b'{"code":0,"msg":{"a":1}}', wire.Reply(code=0)),
    ],
)
def test_a_reply_is_read_however_loosely_it_is_written(body: bytes, reply: wire.Reply) -> None:
    assert wire.decode_reply(body) == reply


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"0", b"{}", b'{"code":null}', b'{"code":true}', b'{"code":"x"}', b'{"code":1.5}', b"\xff"],
)
def test_what_is_no_reply_is_refused(body: bytes) -> None:
    with pytest.raises(wire.WireError, match=r"section 1\.3"):
        wire.decode_reply(body)


def test_the_documents_first_event_is_read() -> None:
    [(event, item)] = wire.decode_events(FIRST_START).events
    assert event == wire.Event(
        event_name="firstStart",
        call_id=CALL_ID,
        request_id="req4",
        caller="057128167421",
        callee="15101613608",
        event_time=1767153838953,
    )
    assert item == json.loads(FIRST_START)


def test_the_documents_cdr_is_read_although_its_start_time_is_a_string() -> None:
    [(event, _)] = wire.decode_events(CDR).events
    assert event.cdr == wire.Cdr(
        start_time=1767153838953,
        answer_time=1767153844421,
        end_time=1767154090690,
        call_type="81",
        is_record=True,
        record_file="000000000-bbd910fc-e5fd-11f0-a660-525400eaab18-15101613608.wav",
    )
    assert event.cdr is not None
    assert event.cdr.answered


def test_several_events_come_in_one_array_in_their_order() -> None:
    events = wire.decode_events(b"[" + FIRST_START + b"," + CDR + b"]").events
    assert [event.event_name for event, _ in events] == ["firstStart", "cdr"]
    assert wire.decode_events(b"[]") == wire.Batch([])


def cdr_event(payload: Any) -> wire.Cdr | None:
    [(event, _)] = wire.decode_events(json.dumps({"event_name": "cdr", "pay_load": payload}).encode()).events
    return event.cdr


@pytest.mark.parametrize("wrap", [lambda cdr: cdr, lambda cdr: [cdr], json.dumps, lambda cdr: json.dumps([cdr])])
def test_a_cdr_is_read_in_every_shape_it_comes_in(wrap: Any) -> None:
    cdr = cdr_event(wrap({"end_time": "1767154090690", "answer_time": "", "is_record": "1"}))
    assert cdr == wire.Cdr(end_time=1767154090690, is_record=True)


@pytest.mark.parametrize("payload", ["", None, [], {}, "x", "[", 5, [5], [[]], "null", True])
def test_a_payload_that_says_nothing_tells_no_times(payload: Any) -> None:
    cdr = cdr_event(payload)
    assert cdr is None or cdr == wire.Cdr()


@pytest.mark.parametrize(
    "time", [None, 0, "0", "", -5, "soon", True, [], {}, 1 << 60, "9" * 400, 1e300, float(1 << 53)]
)
def test_a_time_that_cannot_be_is_none(time: Any) -> None:
    cdr = cdr_event([{"answer_time": time}])
    assert cdr is not None
    assert cdr.answer_time is None
    assert not cdr.answered


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"5", b'"x"', b"null", b"{}", b'[{"event":"cdr"},5]', b'{"event_name":""}', b'{"event_name":5}'],
)
def test_what_holds_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(wire.WireError, match="section 3"):
        wire.decode_events(body)


def test_what_is_no_event_among_others_is_named_and_the_others_are_read() -> None:
    batch = wire.decode_events(b"[" + FIRST_START + b',5,{"event_name":[]},' + CDR + b"]")
    assert [event.event_name for event, _ in batch.events] == ["firstStart", "cdr"]
    assert batch.ignored == 2
    assert {position: str(position) in fault for position, fault in batch.faults.items()} == {1: True, 2: True}


def frame(samples: bytes, **changes: object) -> bytes:
    return json.dumps(
        {"type": "audio", "call_id": CALL_ID, "data": base64.b64encode(samples).decode(), **changes}
    ).encode()


@given(st.binary(max_size=700).filter(lambda data: len(data) % 2 == 0))
def test_audio_comes_out_as_it_went_in(data: bytes) -> None:
    assert wire.decode_audio(frame(data)) == wire.AudioFrame(type="audio", call_id=CALL_ID, data=data)
    written = wire.encode(wire.AudioFrame(type="audio", call_id=CALL_ID, data=data))
    assert json.loads(written) == json.loads(frame(data))


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"hello",
        b"{}",
        b"[]",
        frame(b"abc"),
        frame(b"ab", type="video"),
        frame(b"ab", data="!!!"),
        frame(b"ab", data=5),
    ],
)
def test_what_is_no_audio_frame_is_refused(message: bytes) -> None:
    with pytest.raises(wire.WireError, match=r"section 4\.2"):
        wire.decode_audio(message)


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_no_bytes_make_a_decoder_raise_anything_but_a_wire_error(body: bytes) -> None:
    for decode in (wire.decode_reply, wire.decode_events, wire.decode_audio):
        try:
            decode(body)
        except wire.WireError:
            pass


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_EVENT_FIELDS = ("event_name", "call_id", "request_id", "caller", "callee", "event_time", "pay_load")
_CDR_FIELDS = ("start_time", "answer_time", "end_time", "call_type", "is_record", "record_file")


@given(st.dictionaries(st.sampled_from(_EVENT_FIELDS), _JSON), st.dictionaries(st.sampled_from(_CDR_FIELDS), _JSON))
def test_any_json_in_any_field_gives_an_event_or_a_wire_error(fields: dict[str, Any], cdr: dict[str, Any]) -> None:
    for item in (fields, {**fields, "event_name": "cdr", "pay_load": cdr}):
        try:
            event = wire.event_from(item)
        except wire.WireError:
            continue
        assert event.event_name
        assert event.event_time is None or 0 < event.event_time < 1 << 53
