"""One ticker for all calls."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.pacer import BIN_S, PERIOD_S, PHASES, Lateness, Pacer, Sink, Wheel

PATIENCE_S = 20.0


def test_every_phase_is_due_once_a_period() -> None:
    wheel = Wheel(100.0)
    turns = [phase for ms in range(100) for phase, _ in wheel.due(100.0 + ms / 1000)]
    assert turns == [ms % PHASES for ms in range(100)]


def test_a_late_tick_finds_every_phase_it_missed_with_its_deadline() -> None:
    wheel = Wheel(0.0)
    wheel.due(0.0)
    due = wheel.due(0.007)
    assert [phase for phase, _ in due] == [1, 2, 3, 4, 5, 6, 7]
    assert [deadline for _, deadline in due] == pytest.approx([k / 1000 for k in range(1, 8)])


def test_after_a_long_stall_every_phase_is_due_once() -> None:
    wheel = Wheel(0.0)
    wheel.due(0.0)
    assert sorted(phase for phase, _ in wheel.due(5.0)) == list(range(PHASES))


def test_a_timer_a_little_early_counts() -> None:
    wheel = Wheel(0.0)
    wheel.due(0.0)
    assert [phase for phase, _ in wheel.due(0.0006)] == [1]
    assert wheel.due(0.001) == []


@given(st.lists(st.floats(0, 0.1), max_size=100))
def test_deadlines_are_absolute_however_the_ticks_come(waits: list[float]) -> None:
    wheel = Wheel(50.0)
    now, last = 50.0, -1
    for wait in waits:
        now += wait
        for phase, deadline in wheel.due(now):
            turn = round((deadline - 50.0) / PERIOD_S * PHASES)
            assert turn % PHASES == phase
            assert turn > last
            assert deadline <= now + 0.0006
            last = turn


def test_the_next_turn_is_that_of_the_next_used_phase() -> None:
    wheel = Wheel(0.0)
    wheel.due(0.003)
    assert wheel.next_turn({7, 1}.__contains__) == pytest.approx(0.007)
    assert wheel.next_turn({3}.__contains__) == pytest.approx(0.023)
    assert wheel.next_turn(set[int]().__contains__) is None


def test_lateness_tells_quantiles() -> None:
    lateness = Lateness()
    assert lateness.quantile(0.99) == 0.0
    for k in range(100):
        lateness.add(k * 0.0001)
    lateness.add(-0.0003)
    lateness.add(0.5)
    assert lateness.quantile(0.5) == pytest.approx(0.005, abs=2 * BIN_S)
    assert lateness.quantile(1.0) == 0.5
    assert lateness.count == 102
    lateness.clear()
    assert (lateness.count, lateness.largest) == (0, 0.0)


class Loop:
    """A loop with a clock of its own: the twin of ``call_later`` for one timer at a time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[tuple[float, Callable[[], None], Timer]] = []

    def clock(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        # uvloop counts in whole milliseconds.
        timer = Timer()
        self.timers.append((self.now + round(delay * 1000) / 1000, callback, timer))
        return timer

    def advance(self, seconds: float, stall: float = 0.0) -> None:
        """Runs what is due; each callback comes ``stall`` late."""
        until = self.now + seconds
        while True:
            self.timers = [entry for entry in self.timers if not entry[2].cancelled]
            due = min(self.timers, key=lambda entry: entry[0], default=None)
            if due is None or due[0] > until:
                self.now = until
                return
            self.timers.remove(due)
            self.now = max(self.now, due[0] + stall)
            due[1]()


class Timer:
    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Call:
    """A sink that keeps when it was ticked."""

    def __init__(self) -> None:
        self.ticks: list[float] = []

    def frames_due(self, now: float) -> None:
        self.ticks.append(now)


def pacer_on(loop: Any, failures: list[tuple[Sink, Exception]] | None = None) -> Pacer:
    return Pacer(loop, lambda sink, error: (failures if failures is not None else []).append((sink, error)), loop.clock)


def test_calls_are_ticked_every_20_ms_each_in_a_phase_of_its_own() -> None:
    loop = Loop()
    pacer = pacer_on(loop)
    calls = [Call() for _ in range(PHASES)]
    for call in calls:
        pacer.add(call)
    loop.advance(1.0)
    phases = set()
    for call in calls:
        assert 49 <= len(call.ticks) <= 51
        phases.add(round((call.ticks[0] - 1000.0) * 1000) % 20)
        gaps = [b - a for a, b in zip(call.ticks, call.ticks[1:], strict=False)]
        assert all(0.018 <= gap <= 0.022 for gap in gaps)
    assert len(phases) == PHASES


def test_400_calls_are_spread_evenly() -> None:
    loop = Loop()
    pacer = pacer_on(loop)
    calls = [Call() for _ in range(400)]
    for call in calls:
        pacer.add(call)
    loop.advance(0.5)
    by_phase: dict[int, int] = {}
    for call in calls:
        phase = math.floor((call.ticks[-1] - 1000.0) * 1000 + 0.5) % 20
        by_phase[phase] = by_phase.get(phase, 0) + 1
    assert set(by_phase.values()) == {20}


def test_late_callbacks_do_not_add_up() -> None:
    loop = Loop()
    pacer = pacer_on(loop)
    call = Call()
    pacer.add(call)
    loop.advance(10.0, stall=0.013)
    assert 499 <= len(call.ticks) <= 501
    assert pacer.lateness.quantile(0.5) == pytest.approx(0.013, abs=0.001)


def test_few_calls_cost_few_wake_ups() -> None:
    loop = Loop()
    pacer = pacer_on(loop)
    pacer.add(Call())
    loop.advance(1.0)
    assert pacer.lateness.count <= 51
    assert len(loop.timers) == 1


def test_a_sink_that_raises_leaves_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Call):
        def frames_due(self, now: float) -> None:
            super().frames_due(now)
            raise ConnectionResetError("socket gone")

    loop = Loop()
    failures: list[tuple[Sink, Exception]] = []
    pacer = pacer_on(loop, failures)
    broken = Broken()
    others = [Call() for _ in range(PHASES * 2)]
    pacer.add(broken)
    for call in others:
        pacer.add(call)
    loop.advance(0.2)
    assert len(broken.ticks) == 1
    assert [(sink, str(error)) for sink, error in failures] == [(broken, "socket gone")]
    assert all(len(call.ticks) >= 9 for call in others)
    assert len(pacer) == len(others)
    assert "a call's sending failed" in caplog.text


def test_a_sink_may_leave_and_take_another_along_within_its_tick() -> None:
    loop = Loop()
    pacer = pacer_on(loop)
    victim = Call()

    class Leaver(Call):
        def frames_due(self, now: float) -> None:
            super().frames_due(now)
            pacer.remove(self)
            pacer.remove(victim)

    # The same phase: the wheel has PHASES of them, so the call after a full round shares the first one.
    leaver, fillers = Leaver(), [Call() for _ in range(PHASES - 1)]
    for call in (leaver, *fillers, victim):
        pacer.add(call)
    loop.advance(0.1)
    assert len(leaver.ticks) == 1
    assert victim.ticks == []
    assert len(pacer) == len(fillers)


def test_removing_a_stranger_is_harmless_and_adding_twice_is_an_error() -> None:
    pacer = pacer_on(Loop())
    call = Call()
    pacer.remove(call)
    pacer.add(call)
    with pytest.raises(ValueError, match="not ticked yet"):
        pacer.add(call)


def test_a_pacer_without_calls_sleeps_and_wakes_for_the_next() -> None:
    loop = Loop()
    pacer = pacer_on(loop)
    first, second = Call(), Call()
    pacer.add(first)
    loop.advance(0.1)
    pacer.remove(first)
    loop.advance(0.1)
    assert loop.timers == []
    pacer.add(second)
    loop.advance(0.1)
    assert len(second.ticks) >= 4


def test_stopping_leaves_no_timer() -> None:
    loop = Loop()
    pacer = pacer_on(loop)
    pacer.add(Call())
    pacer.stop()
    assert len(pacer) == 0
    assert all(timer.cancelled for _, _, timer in loop.timers)


def test_ticks_on_a_real_loop() -> None:
    async def scenario() -> None:
        done = asyncio.Event()

        class Counting(Call):
            def frames_due(self, now: float) -> None:
                super().frames_due(now)
                if len(self.ticks) == 10:
                    done.set()

        pacer = Pacer(asyncio.get_running_loop(), lambda sink, error: None)
        call = Counting()
        started = time.monotonic()
        pacer.add(call)
        async with asyncio.timeout(PATIENCE_S):
            await done.wait()
        pacer.stop()
        # However late each tick was, ten of them cannot come before nine periods have passed.
        assert call.ticks[-1] - started >= 9 * PERIOD_S - 0.001

    asyncio.run(scenario())
