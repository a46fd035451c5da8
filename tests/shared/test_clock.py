"""The house's clock: right whatever the host's own says, by a source that may be slow, away, or set to another hour."""

from __future__ import annotations

import random

import pytest

from shared.clock import ASK_AGAIN_SECONDS, CALIBRATE_SECONDS, HAIR_MS, MOST_SKEW_MS, HouseClock, skew_problem

EPOCH = 1_767_153_838_000.0
HOUR_MS = 3_600_000


class Source:
    """A host, and elsewhere whoever keeps time for its house. Tests move both."""

    def __init__(self) -> None:
        self.elapsed = 1_000.0
        """The host's monotonic seconds."""
        self.true_ms = EPOCH
        """What the keeper's clock shows."""
        self.wall_ms = EPOCH + HOUR_MS
        """What the host's own shows."""
        self.rate = 1.0
        """Seconds that pass for the keeper in one of the host's."""
        self.away = False
        self.trips = (0.0005, 0.0005)
        """Seconds there, and back."""
        self.asked = 0
        self.clock = HouseClock(self.ask, monotonic=lambda: self.elapsed, system_ms=lambda: int(self.wall_ms))

    def pass_by(self, seconds: float) -> None:
        self.elapsed += seconds
        self.wall_ms += seconds * 1000
        self.true_ms += seconds * 1000 * self.rate

    def ask(self) -> None:
        self.asked += 1
        if self.away:
            raise ConnectionError
        sent = self.elapsed
        self.pass_by(self.trips[0])
        told = self.true_ms
        self.pass_by(self.trips[1])
        self.clock.take(told, sent, self.elapsed, 0.001)

    def ask_if_due(self) -> None:
        """As a pool of connections does: what fails is passed over."""
        if self.clock.due and not self.away:
            self.ask()

    @property
    def off(self) -> float:
        """By how much the house's clock is ahead of the keeper's here, in milliseconds."""
        return self.clock.now_ms() - self.true_ms


@pytest.fixture
def source() -> Source:
    return Source()


def test_the_first_who_wants_to_know_asks_and_the_hosts_own_clock_plays_no_part(source: Source) -> None:
    assert abs(source.off) <= 1.5
    source.pass_by(10)
    assert abs(source.off) <= 1.5
    assert source.asked == 1


def test_nobody_is_told_a_time_that_was_never_learned(source: Source) -> None:
    source.away = True
    with pytest.raises(ConnectionError):
        source.clock.now_ms()
    assert source.clock.skew_ms() is None
    source.away = False
    assert abs(source.off) <= 1.5


def test_who_can_ask_nobody_goes_by_the_machine_until_told() -> None:
    clock = HouseClock(system_ms=lambda: 42, monotonic=lambda: 7.0)
    assert (clock.now_ms(), clock.calibrated) == (42, False)
    clock.take(EPOCH, 7.0, 7.0)
    assert (clock.now_ms(), clock.calibrated) == (int(EPOCH), True)


def test_a_host_whose_clock_is_set_while_it_runs_notices_nothing(source: Source) -> None:
    source.clock.now_ms()
    for step in (-2 * HOUR_MS, HOUR_MS, 40_000):
        source.wall_ms += step
        assert abs(source.off) <= 1.5


def test_it_is_due_once_in_a_while_and_one_of_many_is_told_so(source: Source) -> None:
    assert source.clock.due
    assert not source.clock.due, "the first has gone to ask"
    source.pass_by(ASK_AGAIN_SECONDS)
    source.ask_if_due()
    source.pass_by(CALIBRATE_SECONDS - 0.1)
    assert not source.clock.due
    source.pass_by(0.2)
    assert [source.clock.due for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize("rate", [0.9999, 1.0001])
def test_quartzes_that_drift_apart_are_held_together(source: Source, rate: float) -> None:
    source.rate = rate
    source.clock.now_ms()
    before = source.clock.now_ms()
    for _ in range(2_000):
        source.pass_by(3)
        source.ask_if_due()
        now = source.clock.now_ms()
        assert now >= before, "time went back"
        before = now
        assert abs(source.off) < 1.5 + 33 * 1000 * abs(rate - 1)


def test_an_answer_that_took_long_changes_nothing(source: Source) -> None:
    source.clock.now_ms()
    source.pass_by(CALIBRATE_SECONDS + 1)
    source.trips = (2.0, 0.0)  # its middle would be a second off
    source.ask_if_due()
    assert source.asked == 2
    assert abs(source.off) <= 1.5
    source.trips = (0.0, 2.0)
    source.pass_by(CALIBRATE_SECONDS + 1)
    source.ask_if_due()
    assert abs(source.off) <= 1.5


def test_a_slow_first_answer_is_mended_by_a_faster_one(source: Source) -> None:
    source.trips = (4.0, 0.0)
    assert 1_000 < abs(source.off) <= 2_001
    source.trips = (0.001, 0.001)
    source.pass_by(CALIBRATE_SECONDS + 1)
    source.ask_if_due()
    assert abs(source.off) <= 2


def test_the_fastest_answers_count_whatever_is_slow_between_them(source: Source) -> None:
    luck = random.Random(1)
    source.clock.now_ms()
    for _ in range(500):
        source.pass_by(CALIBRATE_SECONDS + 0.1)
        source.trips = (luck.choice((0.001, 0.001, luck.uniform(0, 3))), luck.choice((0.001, luck.uniform(0, 3))))
        source.ask_if_due()
        assert abs(source.off) <= 3, "clocks of the same rate: only what is told vaguely could part them"


def test_while_nobody_answers_time_goes_on(source: Source) -> None:
    source.clock.now_ms()
    source.away = True
    for _ in range(200):
        source.pass_by(30)
        source.ask_if_due()
    assert abs(source.off) <= 1.5
    source.away = False
    source.pass_by(ASK_AGAIN_SECONDS)
    source.ask_if_due()
    assert source.asked == 2


def test_whoever_keeps_time_being_set_to_another_hour_is_followed(source: Source) -> None:
    """All must agree with each other before all else: processes that start now know no other time."""
    for step in (HOUR_MS, -HOUR_MS, 5_000, -5_000):
        source.clock.now_ms()
        source.true_ms += step
        source.pass_by(CALIBRATE_SECONDS + 1)
        source.ask_if_due()
        assert abs(source.off) <= 9


def test_a_small_step_back_is_waited_out(source: Source) -> None:
    before = source.clock.now_ms()
    source.true_ms -= HAIR_MS / 2
    source.pass_by(CALIBRATE_SECONDS + 0.1)
    before = source.clock.now_ms()
    source.ask_if_due()
    for _ in range(10):
        source.pass_by(HAIR_MS / 10_000)
        assert source.clock.now_ms() >= before
        before = source.clock.now_ms()
    assert abs(source.off) <= 9


def test_a_clock_that_is_wrong_is_told_of_once_while_it_is(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    source.clock.now_ms()
    assert source.clock.skew_ms() == pytest.approx(HOUR_MS, abs=2)
    for wall in (EPOCH, EPOCH + HOUR_MS):
        for _ in range(3):
            source.pass_by(CALIBRATE_SECONDS + 1)
            source.wall_ms = wall - EPOCH + source.true_ms
            source.ask_if_due()
    assert [record.message for record in caplog.records if "clock is wrong" in record.message] != []
    assert sum("clock is wrong" in record.message for record in caplog.records) == 2


def test_people_are_told_which_way_a_clock_is_wrong() -> None:
    assert skew_problem(None) == skew_problem(MOST_SKEW_MS - 1) == skew_problem(0) == ""
    assert skew_problem(HOUR_MS) == "the clock of this host is 3600 s ahead of the database's; run NTP there"
    assert skew_problem(-HOUR_MS, "media x").startswith("the clock of media x is 3600 s behind the database's")
