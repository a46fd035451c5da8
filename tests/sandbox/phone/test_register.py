from __future__ import annotations

import random

import pytest

from sandbox.people.manner import Manner
from sandbox.phone import register as module
from sandbox.phone.call import Call, Mark, State
from sandbox.phone.courier import Mail
from sandbox.phone.faults import NONE
from sandbox.phone.refusals import Code, Refusal
from sandbox.phone.register import Register
from shared.phone.wire import StartCall


def call(call_id: str, request_id: str, state: State = "placed") -> Call:
    rng = random.Random(1)
    request = StartCall(caller="1", callee="2", is_record=True, request_id=request_id, client_mutation_id="m")
    made = Call(call_id, request, "talker", Manner(), 1, NONE, 0.0, rng, Mail(rng))
    made.marks.append(Mark(state, 0.0, 0))
    return made


def placed(register: Register, call_id: str, request_id: str) -> Call:
    register.ask(request_id)
    made = call(call_id, request_id)
    register.place(made)
    return made


def ended(register: Register, made: Call) -> None:
    made.marks.append(Mark("ended", 1.0, 1))
    register.end(made)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Register:
    monkeypatch.setattr(module, "KEPT_CALLS", 2)
    monkeypatch.setattr(module, "KEPT_REQUESTS", 3)
    return Register()


def test_every_startcall_of_a_request_is_counted_also_a_refused_one() -> None:
    register = Register()
    placed(register, "a", "r")
    placed(register, "b", "r")
    register.ask("r")
    register.refuse("r", Refusal(Code.TOO_FAST, "slower"), 7)
    report = register.report_of("r")
    assert report is not None
    assert (report["startcalls"], report["rings"], report["call_id"]) == (3, 2, "b")
    assert register.report()["totals"]["repeated"] == {"r": 3}


def test_the_oldest_ended_calls_are_forgotten_and_live_ones_never(small: Register) -> None:
    live = placed(small, "live", "r0")
    for name in "abc":
        ended(small, placed(small, name, "r" + name))
    assert small.find("a") is None
    assert small.find("b") is not None
    assert small.find("live") is live
    assert small.live == [live]


def test_requests_and_numbers_are_remembered_within_bounds(small: Register) -> None:
    for number in range(5):
        small.ask(f"r{number}")
        assert small.attempt(f"n{number}") == 1
    assert small.report_of("r1") is None
    assert small.report_of("r2") is not None
    assert small.attempt("n4") == 2
    assert small.attempt("n0") == 1


def test_what_is_unknown_has_no_report() -> None:
    assert Register().report_of("r") is None


def test_forgetting_starts_the_counts_anew() -> None:
    register = Register()
    ended(register, placed(register, "a", "r"))
    register.attempt("2")
    register.forget()
    assert register.report() == {
        "totals": {
            "startcalls": 0, "placed": 0, "refused": 0, "answered": 0, "ended": 0, "live": 0, "repeated": {},
        },
        "calls": [],
    }  # fmt: skip
    assert register.attempt("2") == 1
