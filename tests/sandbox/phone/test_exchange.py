"""The way of a call on a clock that the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from sandbox.people.directory import Directory
from sandbox.phone.call import Call
from sandbox.phone.courier import Courier
from sandbox.phone.exchange import Exchange
from sandbox.phone.faults import NONE, Faults
from sandbox.phone.line import Line
from sandbox.phone.refusals import Code, Refusal
from sandbox.phone.settings import CallerLimit, PhoneSettings
from shared.phone.wire import StartCall
from tests.sandbox.people.rehearsal import InstantSpeech


class Hands:
    """A clock turned by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def wall_ms(self) -> int:
        return 1_767_153_838_953 + round(self.seconds * 1000)


class Desk:
    """An exchange without sockets, and its clock."""

    def __init__(self, settings: PhoneSettings) -> None:
        self.clock = Hands()
        self.courier = Courier(None, {}, settings)
        self.exchange = Exchange(
            settings,
            Directory(),
            NONE,
            self.clock,
            InstantSpeech(),
            self.courier,
            lambda call_id, receive, sent: Line(None, {}, settings, call_id, receive, sent),
        )

    def start(self, callee: str, caller: str = "1001", request_id: str = "r") -> Call:
        request = StartCall(caller=caller, callee=callee, is_record=True, request_id=request_id, client_mutation_id="m")
        return self.exchange.start_call(request)

    def wait(self, seconds: float) -> None:
        """Let time pass in ticks of 5 ms."""
        for _ in range(round(seconds / 0.005)):
            self.clock.seconds += 0.005
            self.exchange.tick()


def at_desk(scenario: Callable[[Desk], Coroutine[Any, Any, None]], settings: PhoneSettings | None = None) -> None:
    async def run() -> None:
        desk = Desk(settings or PhoneSettings())
        try:
            await scenario(desk)
        finally:
            await desk.exchange.close()
            await desk.courier.close()

    asyncio.run(run())


def test_a_call_rings_is_answered_and_ends_at_its_times() -> None:
    async def scenario(desk: Desk) -> None:
        call = desk.start("13800000007")
        desk.wait(3)
        desk.exchange.hang_up(call.id)
        assert [mark.state for mark in call.marks] == ["placed", "ringing", "answered", "ended"]
        assert [mark.at for mark in call.marks] == pytest.approx([0.0, 0.05, 1.05, 3.0], abs=0.011)  # two ticks

    at_desk(scenario)


def test_a_manners_own_ring_time_goes_before_the_setting() -> None:
    async def scenario(desk: Desk) -> None:
        call = desk.start("13800000014")
        states = []
        for seconds in (4, 0.1):
            desk.wait(seconds)
            states.append(call.state)
        assert states == ["ringing", "answered"]

    at_desk(scenario)


def test_nobody_answers_after_the_ring_limit() -> None:
    async def scenario(desk: Desk) -> None:
        call = desk.start("13800000014")
        desk.wait(3.5)
        assert (call.state, call.ended_why) == ("ended", "no answer")

    at_desk(scenario, PhoneSettings(ring_limit=3))


def test_the_longest_talk_is_ended_by_the_phone_system() -> None:
    async def scenario(desk: Desk) -> None:
        call = desk.start("13800000007")
        desk.wait(7)
        assert (call.ended_by, call.ended_why) == ("phone system", "longest talk reached")

    at_desk(scenario, PhoneSettings(max_call=5))


def test_a_hangup_before_the_first_ring_rings_nobody() -> None:
    async def scenario(desk: Desk) -> None:
        call = desk.start("13800000001")
        desk.exchange.hang_up(call.id)
        desk.wait(3)
        assert [mark.state for mark in call.marks] == ["placed", "ended"]

    at_desk(scenario)


def test_calls_a_second_are_counted_in_a_window_that_moves() -> None:
    async def scenario(desk: Desk) -> None:
        desk.start("13800000001")
        desk.wait(0.6)
        desk.start("13800000001")
        with pytest.raises(Refusal, match="2 calls a second") as caught:
            desk.start("13800000001")
        assert caught.value.code is Code.TOO_FAST
        desk.wait(0.5)
        desk.start("13800000001")
        with pytest.raises(Refusal):
            desk.start("13800000001")

    at_desk(scenario, PhoneSettings(limit=CallerLimit(cps=2)))


def test_an_ended_call_makes_room_for_the_next() -> None:
    async def scenario(desk: Desk) -> None:
        first = desk.start("13800000001")
        with pytest.raises(Refusal, match="1 calls at once"):
            desk.start("13800000001")
        desk.exchange.hang_up(first.id)
        desk.start("13800000001")

    at_desk(scenario, PhoneSettings(limit=CallerLimit(concurrency=1)))


def test_faults_of_a_number_go_before_those_of_the_directory_and_those_before_all() -> None:
    async def scenario(desk: Desk) -> None:
        plain, odd = desk.start("13800000001"), desk.start("13800000045")
        exchange = desk.exchange
        assert exchange.faults_of(plain) == NONE
        assert exchange.faults_of(odd) == Faults(wrong_echo=True)
        exchange.set_faults(Faults(hangup_refused=True), None)
        assert exchange.faults_of(plain) == Faults(hangup_refused=True)
        assert exchange.faults_of(odd) == Faults(wrong_echo=True)
        exchange.set_faults(Faults(clock_skew=1), "*45")
        assert exchange.faults_of(odd) == Faults(clock_skew=1)
        exchange.clear_faults()
        assert exchange.faults_of(plain) == NONE

    at_desk(scenario)


def test_a_closed_exchange_places_no_call_and_ends_those_it_has() -> None:
    async def scenario(desk: Desk) -> None:
        call = desk.start("13800000007")
        desk.wait(2)
        await desk.exchange.close()
        assert (call.ended_by, call.ended_why) == ("phone system", "closed")
        with pytest.raises(Refusal, match="closing"):
            desk.start("13800000007")

    at_desk(scenario)


def test_an_ended_call_keeps_its_report_and_lets_the_talk_go() -> None:
    async def scenario(desk: Desk) -> None:
        call = desk.start("13800000001")
        desk.wait(3)
        desk.exchange.hang_up(call.id)
        assert call.talk is None
        assert b"\xe5\x96\x82" in (call.audio_report or b"")  # 喂

    at_desk(scenario)
