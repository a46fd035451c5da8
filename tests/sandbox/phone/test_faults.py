from __future__ import annotations

import pytest

from sandbox.phone.faults import NONE, FaultError, Faults, decode_faults


def test_no_body_is_no_fault() -> None:
    assert decode_faults(b"") == decode_faults(b"{}") == NONE


def test_events_are_chosen_by_name_or_all() -> None:
    faults = decode_faults(b'{"events_lost":["cdr"],"events_doubled":["*"],"events_late":{"cdr":2,"*":1}}')
    assert faults.loses("cdr")
    assert not faults.loses("firstStart")
    assert faults.doubles("firstStart")
    assert (faults.delay("cdr"), faults.delay("firstStart")) == (2, 1)
    assert Faults().delay("cdr") == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"events_lost":["cdrs"]}', "events_lost"),
        (b'{"startcall":"explode"}', "startcall"),
        (b'{"share":1.5}', "share"),
        (b'{"hangup_refusd":true}', "hangup_refusd"),
        (b'{"clock_skew":"1"}', "clock_skew"),
        (b"[]", "object"),
        (b"{", "truncated"),
        (b"\xff", "Faults"),
    ],
)
def test_what_is_no_description_of_faults_is_refused_by_name(body: bytes, field: str) -> None:
    with pytest.raises(FaultError, match=field):
        decode_faults(body)
