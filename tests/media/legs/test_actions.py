"""Stream actions go out in order, one at a time, and a hangup overtakes what waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from media.legs.actions import TRIES, ActionChain
from shared.errors import OutcomeUnknown, Refused, Unplaced
from tests.media.office import PhoneTwin


def run(scenario: Callable[[PhoneTwin, ActionChain, list[str]], Coroutine[Any, Any, None]]) -> list[str]:
    """Runs a scenario with a chain; returns the actions."""
    phone = PhoneTwin()

    async def inner() -> None:
        notes: list[str] = []
        chain = ActionChain("c", phone, lambda: notes.append("stuck"))
        async with asyncio.timeout(20):
            await scenario(phone, chain, notes)
            await chain.finished(10)

    asyncio.run(inner())
    return phone.of("c")


def test_a_stream_is_started_before_it_is_played() -> None:
    async def scenario(phone: PhoneTwin, chain: ActionChain, notes: list[str]) -> None:
        chain.start_stream(lambda: notes.append("ready"))
        chain.clean_stream(lambda: notes.append("clean"))
        await chain.finished(10)
        assert notes == ["ready", "clean"]

    assert run(scenario) == ["start_stream", "stream_playback", "clean_stream"]


def test_a_hangup_overtakes_what_waits() -> None:
    async def scenario(phone: PhoneTwin, chain: ActionChain, notes: list[str]) -> None:
        phone.gates["clean_stream"] = asyncio.Event()
        chain.clean_stream(lambda: None)
        await asyncio.sleep(0)
        chain.play_file("x")
        chain.hangup()
        phone.gates["clean_stream"].set()

    assert run(scenario) == ["clean_stream", "hangup"]


def test_a_hangup_does_not_wait_for_an_action_that_hangs() -> None:
    async def scenario(phone: PhoneTwin, chain: ActionChain, notes: list[str]) -> None:
        phone.gates["start_stream"] = asyncio.Event()
        chain.start_stream(lambda: notes.append("ready"))
        async with phone.changed:
            await phone.changed.wait_for(lambda: phone.of("c"))
        chain.hangup()
        await chain.finished(10)
        assert notes == []

    assert run(scenario) == ["start_stream", "hangup"]


def test_a_hangup_out_of_the_chain_itself_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """``on_stuck`` ends the call from within the action that failed."""
    monkeypatch.setattr("media.legs.actions.PAUSE", 0.0)
    phone = PhoneTwin()

    async def scenario() -> None:
        phone.raising["start_stream"] = [Unplaced("x")] * TRIES
        chain = ActionChain("c", phone, lambda: chain.hangup())
        chain.start_stream(lambda: None)
        await chain.finished(10)

    asyncio.run(scenario())
    assert phone.of("c") == ["start_stream"] * TRIES + ["hangup"]


def test_a_clean_that_fails_or_hangs_lets_the_voice_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media.legs.actions.CLEAN_SECONDS", 0.05)

    async def scenario(phone: PhoneTwin, chain: ActionChain, notes: list[str]) -> None:
        phone.raising["clean_stream"] = [Refused(1, "x"), OutcomeUnknown("x")]
        chain.clean_stream(lambda: notes.append("one"))
        chain.clean_stream(lambda: notes.append("two"))
        await chain.finished(10)
        phone.gates["clean_stream"] = asyncio.Event()
        chain.clean_stream(lambda: notes.append("three"))
        await chain.finished(10)
        assert notes == ["one", "two", "three"]

    assert run(scenario) == ["clean_stream"] * 3


def test_what_certainly_did_not_arrive_is_tried_again_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media.legs.actions.PAUSE", 0.0)

    async def scenario(phone: PhoneTwin, chain: ActionChain, notes: list[str]) -> None:
        phone.raising["hangup"] = [Unplaced("x")] * (TRIES + 1)
        chain.hangup()
        await chain.finished(10)
        assert notes == []

    assert run(scenario) == ["hangup"] * TRIES


def test_a_stream_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media.legs.actions.PAUSE", 0.0)

    async def scenario(phone: PhoneTwin, chain: ActionChain, notes: list[str]) -> None:
        phone.raising["stream_playback"] = [Unplaced("x")] * TRIES
        chain.start_stream(lambda: notes.append("ready"))
        await chain.finished(10)
        assert notes == ["stuck"]

    assert run(scenario) == ["start_stream"] + ["stream_playback"] * TRIES


def test_a_stream_that_was_left_behind_is_stopped_and_begun_anew() -> None:
    """The phone system refuses a second start_stream; another session of the call may have sent the first."""

    async def scenario(phone: PhoneTwin, chain: ActionChain, notes: list[str]) -> None:
        phone.raising["start_stream"] = [Refused(1, "wrong order")]
        chain.start_stream(lambda: notes.append("ready"))
        await chain.finished(10)
        assert notes == ["ready"]

    assert run(scenario) == ["start_stream", "stop_stream", "start_stream", "stream_playback"]


@pytest.mark.parametrize("action", ["start_stream", "stream_playback"])
def test_a_stream_that_is_refused_again_is_told(action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media.legs.actions.GONE_SECONDS", 0.0)

    async def scenario(phone: PhoneTwin, chain: ActionChain, notes: list[str]) -> None:
        phone.raising[action] = [Refused(1, "x"), Refused(1, "x")]
        phone.raising["stop_stream"] = [Refused(1, "x")]
        chain.start_stream(lambda: notes.append("ready"))
        await chain.finished(10)
        assert notes == ["stuck"]

    assert run(scenario).count(action) == 2


def test_a_hangup_that_is_slow_is_tried_to_its_end_while_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media.legs.actions.PAUSE", 0.0)

    async def scenario(phone: PhoneTwin, chain: ActionChain, notes: list[str]) -> None:
        phone.gates["hangup"] = asyncio.Event()
        phone.raising["hangup"] = [OutcomeUnknown("x")]
        chain.hangup()
        await chain.finished(0.05)
        assert phone.of("c") == ["hangup"]
        phone.gates["hangup"].set()
        async with phone.changed:
            await phone.changed.wait_for(lambda: len(phone.of("c")) == 2)

    assert run(scenario) == ["hangup", "hangup"]


def test_an_action_that_hangs_is_given_up_when_its_call_is_over() -> None:
    async def scenario(phone: PhoneTwin, chain: ActionChain, notes: list[str]) -> None:
        phone.gates["start_stream"] = asyncio.Event()
        chain.start_stream(lambda: notes.append("ready"))
        await asyncio.sleep(0)
        await chain.finished(0.05)
        phone.gates["start_stream"].set()
        await asyncio.sleep(0.05)
        assert notes == []

    assert run(scenario) == ["start_stream"]


def test_waiting_for_the_last_action_is_bounded() -> None:
    async def scenario(phone: PhoneTwin, chain: ActionChain, notes: list[str]) -> None:
        phone.gates["hangup"] = asyncio.Event()
        chain.hangup()
        await chain.finished(0.05)

    assert run(scenario) == ["hangup"]
