"""Writing events: the document's names, integers as integers, nothing that is absent."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from media.protocol import events


def test_names_are_camel_case_and_absent_fields_are_left_out() -> None:
    event = events.TrackEnd(timestamp=1640995230000, track_id="t", duration=30000, ssrc=1234567890)
    assert json.loads(events.encode_event(event)) == {
        "event": "trackEnd",
        "timestamp": 1640995230000,
        "trackId": "t",
        "duration": 30000,
        "ssrc": 1234567890,
    }


def test_a_false_that_the_document_shows_is_sent() -> None:
    event = events.Ringing(timestamp=1, track_id="t", early_media=False)
    assert json.loads(events.encode_event(event))["earlyMedia"] is False


def test_the_hangup_event_spells_from_as_the_document_does() -> None:
    event = events.Hangup(
        timestamp=1,
        track_id="t",
        start_time="2024-01-01T12:00:00Z",
        hangup_time="2024-01-01T12:05:30Z",
        from_=events.Attendee(username="alice", realm="example.com", source="sip:alice@example.com"),
    )
    written = json.loads(events.encode_event(event))
    assert written["from"]["username"] == "alice"
    assert written["startTime"] == "2024-01-01T12:00:00Z"
    assert "answerTime" not in written


@pytest.mark.parametrize("kind", get_args(events.AnyEvent))
def test_every_event_of_the_document_has_its_name(kind: type[events.AnyEvent]) -> None:
    documented = {
        "incoming", "answer", "reject", "ringing", "hangup", "speaking", "silence", "asrFinal", "asrDelta", "trackStart",
        "trackEnd", "interruption", "dtmf", "metrics", "error", "binary", "ping", "other",
    }  # fmt: skip
    ours = {"eou", "addHistory", "custom"}
    assert kind.__struct_config__.tag in documented | ours
    tags = {each.__struct_config__.tag for each in get_args(events.AnyEvent)}
    assert documented <= tags


def test_an_event_is_read_back_as_it_was() -> None:
    event = events.Interruption(timestamp=1, track_id="t", total_duration=2, current=1, subtitle="您好", position=0)
    assert events.decode_event(events.encode_event(event)) == event
