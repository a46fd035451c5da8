from __future__ import annotations

import random

import msgspec

from sandbox.phone import events
from shared.phone.wire import StartCall, decode_events

REQUEST = StartCall(
    caller="057128167421", callee="15101613608", is_record=True, request_id="req4", client_mutation_id="004"
)
CALL_ID = "bbd910fc-e5fd-11f0-a660-525400eaab18"


def test_the_first_event_looks_like_the_documents() -> None:
    assert events.event("firstStart", CALL_ID, REQUEST, 1767153838953) == {
        "call_id": CALL_ID,
        "callee": "15101613608",
        "caller": "057128167421",
        "event_name": "firstStart",
        "event_time": 1767153838953,
        "pay_load": "",
        "request_id": "req4",
    }


def test_the_cdr_looks_like_the_documents() -> None:
    times = events.Times(start=1767153838953, answer=1767153844421, end=1767154090690)
    assert events.cdr(CALL_ID, REQUEST, times, random.Random(1)) == {
        "call_id": CALL_ID,
        "callee": "15101613608",
        "caller": "057128167421",
        "event_name": "cdr",
        "event_time": 1767154090690,
        "pay_load": [
            {
                "answer_time": 1767153844421,
                "call_id": CALL_ID,
                "call_type": "81",
                "callee": "15101613608",
                "caller": "057128167421",
                "end_time": 1767154090690,
                "is_record": 1,
                "record_file": f"000000000-{CALL_ID}-15101613608.wav",
                "request_id": "req4",
                "start_time": "1767153838953",
            }
        ],
        "request_id": "req4",
    }


def test_an_unanswered_call_has_no_answer_time_in_any_of_the_ways_there_are() -> None:
    times = events.Times(start=1, answer=None, end=2)
    seen = set()
    for seed in range(40):
        event = events.cdr(CALL_ID, REQUEST, times, random.Random(seed))
        seen.add(repr(event["pay_load"][0].get("answer_time", "missing")))
        (decoded, _) = decode_events(msgspec.json.encode(event)).events[0]
        assert decoded.cdr is not None
        assert not decoded.cdr.answered
        assert decoded.cdr.record_file == ""
    assert seen == {"None", "0", "''", "'missing'"}


def test_the_product_reads_every_event() -> None:
    times = events.Times(start=1767153838953, answer=1767153844421, end=1767154090690)
    sent = [
        events.event("firstStart", CALL_ID, REQUEST, 1767153838953),
        events.event("firstAnswer", CALL_ID, REQUEST, 1767153844421),
        events.cdr(CALL_ID, REQUEST, times, random.Random(1)),
    ]
    decoded = [event for event, _ in decode_events(msgspec.json.encode(sent)).events]
    assert [event.event_name for event in decoded] == ["firstStart", "firstAnswer", "cdr"]
    cdr = decoded[2].cdr
    assert cdr is not None
    assert (cdr.start_time, cdr.answer_time, cdr.end_time) == (1767153838953, 1767153844421, 1767154090690)
    assert cdr.is_record
