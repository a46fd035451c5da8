"""The ledger of what was queued, sent and heard."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from media.play import PlayoutFullError
from media.playout import MAX_PLAYS, Play, PlayEnded, Playout, PlayStarted, Starved

FRAME = 160
EPOCH = 1000.0


def at(ms: float) -> float:
    """A moment of the call."""
    return EPOCH + ms / 1000


def ramp(start: int, samples: int) -> bytes:
    return (np.arange(start, start + samples) % 30_000 + 1).astype(np.int16).tobytes()


def playing(seconds: float, text: str = "", **options: int) -> tuple[Playout, Play]:
    """A ledger with one whole play."""
    playout = Playout(EPOCH, **options)
    play = playout.open("one")
    if text:
        play.mark(text)
    play.append(ramp(0, int(seconds * 8000)))
    play.end()
    return playout, play


def run(playout: Playout, begin_ms: int, end_ms: int) -> list[bytes]:
    """Ticks every 20 ms from ``begin_ms`` until before ``end_ms``."""
    return [bytes(frame) for ms in range(begin_ms, end_ms, 20) for frame in playout.take(at(ms))]


def test_the_lead_goes_first_and_then_a_frame_a_tick() -> None:
    playout, _ = playing(1.0)
    assert [len(playout.take(at(ms))) for ms in (0, 20, 40, 60)] == [3, 1, 1, 1]


def test_frames_are_320_bytes_in_order_and_the_last_is_padded() -> None:
    playout, _ = playing(0.11)
    frames = run(playout, 0, 400)
    assert b"".join(frames) == ramp(0, 880) + bytes(160)
    assert {len(frame) for frame in frames} == {320}


def test_it_is_still_only_while_one_play_goes_on_and_there_is_nothing_to_tell() -> None:
    playout = Playout(EPOCH)
    one = playout.open("one")
    one.append(ramp(0, 3200))
    playout.take(at(0))
    assert not playout.still, "its beginning is to be told"
    assert playout.facts(at(0)) == [PlayStarted("one", 0)]
    assert len(playout.take(at(20))) == 1
    assert playout.still
    playout.pause(at(30))
    playout.take(at(40))
    assert not playout.still
    playout.resume(at(50))
    playout.take(at(60))
    assert len(playout.take(at(80))) == 1
    assert playout.still
    playout.cut(at(90))
    playout.take(at(100))
    assert not playout.still, "its end is to be told"


@pytest.mark.parametrize("jitter", [-9, 9])
def test_a_tick_a_little_early_or_late_neither_skips_nor_bunches(jitter: int) -> None:
    playout, _ = playing(2.0)
    playout.take(at(0))
    sent = [len(playout.take(at(ms + (jitter if ms % 60 else 0)))) for ms in range(20, 1000, 20)]
    assert set(sent) == {1}


def test_a_stall_is_caught_up_with_a_burst_and_no_drift() -> None:
    playout, _ = playing(3.0)
    run(playout, 0, 500)
    assert len(playout.take(at(540))) == 3
    assert playout.taken_at == 4320
    assert {len(playout.take(at(ms))) for ms in range(560, 1000, 20)} == {1}
    assert playout.starvations == 0


def test_a_stall_longer_than_the_lead_shifts_the_rest_and_loses_nothing() -> None:
    playout, _ = playing(1.0)
    first = run(playout, 0, 100)
    burst = playout.take(at(500))
    assert len(burst) == 3
    assert playout.taken_at == 4000
    rest = run(playout, 520, 2000)
    assert b"".join([*first, *map(bytes, burst), *rest]) == ramp(0, 8000)


def test_places_every_frame_on_the_calls_timeline() -> None:
    playout, _ = playing(0.2)
    expected = 8000
    for ms in range(1000, 1300, 20):
        if frames := playout.take(at(ms)):
            assert playout.taken_at == expected
            expected += len(frames) * FRAME
    assert expected == 8000 + 1600


def test_a_play_is_started_when_sent_and_ended_when_heard() -> None:
    playout, _ = playing(0.1, text="你好。")
    playout.take(at(0))
    assert playout.facts(at(0)) == [PlayStarted("one", 0)]
    run(playout, 20, 99)
    assert playout.facts(at(99)) == []
    assert playout.facts(at(100)) == [PlayEnded("one", 800, 100, "你好。", False)]
    assert playout.idle
    assert playout.playing is None


def test_what_the_far_end_delays_ends_later() -> None:
    playout, _ = playing(0.1, delay_ms=80)
    run(playout, 0, 120)
    assert playout.facts(at(179)) == [PlayStarted("one", 0)]
    assert [type(fact) for fact in playout.facts(at(180))] == [PlayEnded]


def test_audio_may_come_while_it_plays() -> None:
    playout = Playout(EPOCH)
    play = playout.open("one")
    sent = []
    for ms in range(0, 400, 20):
        if ms % 100 == 0:
            play.append(ramp(ms * 8, 800))
        sent += [bytes(frame) for frame in playout.take(at(ms))]
    play.end()
    sent += run(playout, 400, 600)
    assert b"".join(sent) == ramp(0, 3200)
    assert playout.starvations == 0


def test_running_dry_is_told_once_and_only_after_the_lead_is_heard() -> None:
    playout = Playout(EPOCH)
    play = playout.open("one")
    assert not playout.take(at(0))
    assert playout.facts(at(0)) == []
    play.append(ramp(0, 480))
    run(playout, 20, 80)
    assert playout.facts(at(60)) == [PlayStarted("one", 160)]
    run(playout, 80, 200)
    assert playout.facts(at(200)) == [Starved("one", 640)]
    assert playout.starvations == 1
    play.append(ramp(480, 480))
    play.end()
    assert len(playout.take(at(200))) == 3
    assert playout.taken_at == 1600
    assert playout.facts(at(260))[-1] == PlayEnded("one", 2080, 120, "", False)


def test_plays_follow_one_another_without_a_gap() -> None:
    playout = Playout(EPOCH)
    for name in ("one", "two"):
        play = playout.open(name)
        play.append(ramp(0, 400))
        play.end()
    assert len(run(playout, 0, 200)) == 6
    assert playout.facts(at(200)) == [
        PlayStarted("one", 0),
        PlayStarted("two", 480),
        PlayEnded("one", 400, 50, "", False),
        PlayEnded("two", 880, 50, "", False),
    ]


def test_finds_the_play_that_still_takes_audio() -> None:
    playout = Playout(EPOCH)
    play = playout.open("one")
    assert playout.find("one") is play
    assert playout.find("two") is None
    play.end()
    assert playout.find("one") is None


def test_too_many_plays_are_refused() -> None:
    playout = Playout(EPOCH)
    for number in range(MAX_PLAYS):
        playout.open(str(number))
    with pytest.raises(PlayoutFullError):
        playout.open("more")


# --- barge-in ----------------------------------------------------------------------------------------------------------


def test_nothing_leaves_while_paused_and_what_was_sent_is_heard() -> None:
    playout, play = playing(1.0)
    run(playout, 0, 200)
    assert playout.pause(at(200)) == (1600, 1600)
    assert run(playout, 200, 600) == []
    assert playout.heard(at(600)) == play.taken == 12 * FRAME
    assert playout.starvations == 0


def test_resuming_repeats_40_ms_of_what_was_sent() -> None:
    playout, _ = playing(1.0)
    before = run(playout, 0, 200)
    playout.pause(at(200))
    playout.resume(at(600))
    after = run(playout, 600, 2000)
    assert b"".join(before[:-2] + after) == ramp(0, 8000)
    assert after[:2] == before[-2:]


def test_resuming_repeats_no_more_however_much_is_asked() -> None:
    playout, play = playing(1.0)
    run(playout, 0, 200)
    taken = play.taken
    playout.pause(at(200))
    playout.resume(at(600), repeat_ms=5000)
    assert taken - play.taken == 320


def test_resuming_before_the_far_end_fell_silent_repeats_nothing() -> None:
    playout, _ = playing(1.0)
    before = run(playout, 0, 200)
    playout.pause(at(200))
    playout.resume(at(220))
    assert b"".join(before + run(playout, 220, 2000)) == ramp(0, 8000)


def test_a_flushed_pause_sends_again_what_was_not_heard() -> None:
    playout, play = playing(1.0)
    run(playout, 0, 200)
    assert playout.pause(at(200), flushed=True) == (1600, 1920)
    assert play.taken == 1600
    playout.resume(at(600), repeat_ms=0)
    assert b"".join(run(playout, 600, 2000)) == ramp(1600, 6400)


def test_a_flushed_pause_brings_back_a_play_that_had_left_entirely() -> None:
    playout, _ = playing(0.1)
    run(playout, 0, 60)
    assert playout.pause(at(60), flushed=True) == (480, 800)
    assert playout.facts(at(500)) == [PlayStarted("one", 0)]
    playout.resume(at(500), repeat_ms=0)
    assert b"".join(run(playout, 500, 700)) == ramp(480, 320)
    assert playout.facts(at(700)) == [PlayEnded("one", 4320, 100, "", False)]


def test_an_interruption_tells_what_was_heard() -> None:
    playout, _ = playing(2.0, text="一二三四五六七八九十")
    run(playout, 0, 1000)
    cut = playout.cut(at(1000))
    assert cut is not None
    assert (cut.play_id, cut.subtitle, cut.text_heard, cut.position) == ("one", "一二三四五六七八九十", "一二三四五", 5)
    assert (cut.current_ms, cut.total_ms, cut.heard_samples) == (1000, 2000, 8000)
    assert cut.unheard == (8000, 8320)
    assert playout.facts(at(1000)) == [PlayStarted("one", 0), PlayEnded("one", 8000, 1000, "一二三四五", True)]
    assert playout.idle
    assert run(playout, 1000, 2000) == []


def test_without_a_flush_all_that_was_sent_is_heard() -> None:
    playout, _ = playing(2.0, text="一二三四五六七八九十")
    run(playout, 0, 1000)
    cut = playout.cut(at(1000), flushed=False)
    assert cut is not None
    assert cut.heard_samples == 52 * FRAME
    assert cut.unheard == (8000, 8000)
    follower = playout.open("two")
    follower.append(ramp(0, 800))
    playout.take(at(1000))
    assert playout.taken_at == 52 * FRAME


def test_the_next_play_starts_at_once_after_a_flush() -> None:
    playout, _ = playing(2.0)
    run(playout, 0, 1000)
    playout.cut(at(1000))
    playout.open("two").append(ramp(0, 800))
    assert len(playout.take(at(1000))) == 3
    assert playout.taken_at == 8000


def test_a_cut_play_takes_no_late_audio_and_its_name_is_free() -> None:
    playout = Playout(EPOCH)
    play = playout.open("one")
    play.append(ramp(0, 8000))
    run(playout, 0, 200)
    playout.cut(at(200))
    assert not play.append(ramp(8000, 800))
    assert playout.find("one") is None
    assert playout.take(at(200)) == ()


def test_plays_behind_it_are_dropped_unheard() -> None:
    playout, _ = playing(1.0)
    for name in ("two", "three"):
        playout.open(name).append(ramp(0, 800))
    run(playout, 0, 200)
    cut = playout.cut(at(200))
    assert cut is not None
    assert cut.dropped == ("two", "three")
    assert [fact.play_id for fact in playout.facts(at(200)) if isinstance(fact, PlayEnded)] == ["one"]


def test_a_play_that_was_sent_but_not_heard_is_what_is_interrupted() -> None:
    playout, _ = playing(0.06, text="一二三")
    playout.take(at(0))
    cut = playout.cut(at(40))
    assert cut is not None
    assert (cut.text_heard, cut.current_ms, cut.total_ms) == ("一二", 40, 60)


def test_nothing_to_interrupt_is_no_interruption() -> None:
    playout, _ = playing(0.1)
    run(playout, 0, 300)
    assert playout.cut(at(300)) is None
    assert Playout(EPOCH).cut_gracefully(at(0)) is None


def test_interrupting_a_pause_ends_the_pause() -> None:
    playout, _ = playing(1.0)
    run(playout, 0, 200)
    playout.pause(at(200))
    cut = playout.cut(at(500))
    assert cut is not None
    assert cut.heard_samples == 12 * FRAME
    playout.open("two").append(ramp(0, 800))
    assert playout.take(at(500))


def test_a_graceful_interruption_lets_the_sentence_end() -> None:
    playout = Playout(EPOCH)
    play = playout.open("one")
    for number, text in enumerate(("一二三四。", "五六七八。")):
        play.mark(text)
        play.append(ramp(number * 4000, 4000))
    play.end()
    playout.open("two").append(ramp(0, 800))
    sent = run(playout, 0, 100)
    cut = playout.cut_gracefully(at(100))
    assert cut is not None
    assert (cut.text_heard, cut.position, cut.current_ms, cut.total_ms) == ("一二三四。", 4, 500, 1000)
    assert cut.dropped == ("two",)
    sent += run(playout, 100, 1000)
    assert b"".join(sent) == ramp(0, 4000)
    assert playout.facts(at(1000)) == [
        PlayStarted("one", 0),
        PlayEnded("two", 800, 0, "", True),
        PlayEnded("one", 4000, 500, "一二三四。", True),
    ]


def test_a_graceful_interruption_of_a_play_that_was_all_sent_lets_it_end_by_itself() -> None:
    playout = Playout(EPOCH)
    play = playout.open("one")
    play.mark("一二三四")
    play.append(ramp(0, 800))
    play.end()
    run(playout, 0, 60)
    cut = playout.cut_gracefully(at(60))
    assert cut is not None
    assert (cut.play_id, cut.text_heard, cut.position, cut.current_ms) == ("one", "一二三四", 4, 100)
    run(playout, 60, 200)
    assert playout.facts(at(200)) == [PlayStarted("one", 0), PlayEnded("one", 800, 100, "一二三四", False)]


def test_ends_at_tells_when_all_will_have_been_heard() -> None:
    playout, _ = playing(0.2)
    run(playout, 0, 200)
    assert playout.ends_at() == pytest.approx(at(200))


def test_other_rates_have_other_frames() -> None:
    playout = Playout(EPOCH, rate=16_000)
    playout.open("one").append(bytes(6400))
    frames = playout.take(at(0))
    assert [len(frame) for frame in frames] == [640, 640, 640]
    with pytest.raises(ValueError, match="whole samples"):
        Playout(EPOCH, rate=11_025)


def test_a_leg_with_its_own_pace_takes_as_many_as_it_wants() -> None:
    playout, _ = playing(1.0)
    assert len(playout.next_frames(10, at(0))) == 10
    assert len(playout.next_frames(100, at(0))) == 40


class Ledger(RuleBasedStateMachine):
    """Any order of operations. Every sample's value tells which play and where in it it was."""

    def __init__(self) -> None:
        super().__init__()
        self.playout = Playout(EPOCH)
        self.ms = 0.0
        self.plays: list[Play] = []
        self.queued: dict[str, int] = {}
        self.left: dict[str, list[int]] = {}
        self.most_heard: dict[str, int] = {}
        self.dropped: set[str] = set()
        self.repeatable = 0
        self.sent_until = 0

    @property
    def now(self) -> float:
        return at(self.ms)

    def note(self, frames: list[bytes], start: int) -> None:
        assert start >= self.sent_until, "frames must not overlap on the timeline"
        self.sent_until = start + len(frames) * FRAME
        for frame in frames:
            values = np.frombuffer(frame, np.int16).astype(int)
            values = values[values != 0]
            if len(values):
                name = str(values[0] // 1000)
                self.left.setdefault(name, []).extend((values % 1000).tolist())

    def tick(self) -> None:
        frames = [bytes(frame) for frame in self.playout.take(self.now)]
        if frames:
            assert not self.playout.paused
            assert len(frames) <= 3
            self.note(frames, self.playout.taken_at)

    @rule()
    def open(self) -> None:
        if len(self.plays) < 30:
            name = str(len(self.plays) + 1)
            self.plays.append(self.playout.open(name))
            self.queued[name] = 0

    @rule(samples=st.integers(1, 700), which=st.integers(0, 3))
    def append(self, samples: int, which: int) -> None:
        if not self.plays:
            return
        play = self.plays[-1 - which % len(self.plays)]
        begin = self.queued[play.play_id]
        samples = min(samples, 990 - begin)
        values = np.arange(begin, begin + samples) + 1 + 1000 * int(play.play_id)
        if samples > 0 and play.append(values.astype(np.int16).tobytes()):
            self.queued[play.play_id] += samples

    @rule(which=st.integers(0, 3))
    def end(self, which: int) -> None:
        if self.plays:
            self.plays[-1 - which % len(self.plays)].end()

    @rule(ticks=st.integers(1, 8), off=st.floats(-9, 60))
    def time_goes_on(self, ticks: int, off: float) -> None:
        for _ in range(ticks):
            self.ms += 20
            self.tick()
        self.ms += max(off, 0)
        self.tick()

    @rule(flushed=st.booleans())
    def pause(self, flushed: bool) -> None:
        start, end = self.playout.pause(self.now, flushed=flushed)
        assert start <= end <= max(start, self.sent_until)
        self.silence(start, end)

    @rule(repeat_ms=st.integers(0, 100))
    def resume(self, repeat_ms: int) -> None:
        before = {play.play_id: play.taken for play in self.plays}
        self.playout.resume(self.now, repeat_ms)
        for play in self.plays:
            assert 0 <= before[play.play_id] - play.taken <= 320

    @rule(flushed=st.booleans())
    def cut(self, flushed: bool) -> None:
        heard = {play.play_id: self.heard_bound(play) for play in self.plays}
        cut = self.playout.cut(self.now, flushed=flushed)
        if cut is None:
            return
        assert cut.heard_samples <= heard[cut.play_id]
        assert cut.current_ms <= cut.total_ms
        self.dropped |= {cut.play_id, *cut.dropped}
        self.silence(*cut.unheard)
        assert self.playout.take(self.now) == ()

    @rule()
    def cut_gracefully(self) -> None:
        cut = self.playout.cut_gracefully(self.now)
        if cut is not None:
            self.dropped |= {cut.play_id, *cut.dropped}

    def heard_bound(self, play: Play) -> int:
        """As much of the play as ever left: one past the highest sample."""
        return max(self.left.get(play.play_id, [0]))

    def silence(self, start: int, end: int) -> None:
        if end > start:
            self.sent_until = start

    @invariant()
    def nothing_is_heard_that_was_not_sent(self) -> None:
        playing = self.playout.playing
        if playing is not None:
            heard = self.playout.heard(self.now)
            assert heard <= self.heard_bound(playing)
            assert heard >= self.most_heard.get(playing.play_id, 0)
            self.most_heard[playing.play_id] = heard

    @invariant()
    def order_is_kept_and_nothing_is_skipped(self) -> None:
        for values in self.left.values():
            highest = 0
            for value in values:
                assert value <= highest + 1, "a sample was skipped"
                highest = max(highest, value)

    @invariant()
    def speaking_means_that_frames_leave(self) -> None:
        """Not paused, something waits, and the far end has less than its lead: the next tick must send."""
        if self.playout.paused:
            return
        head = next((play for play in self.plays if not play.over and not play.exhausted), None)
        if head is not None and (head.unsent >= FRAME or (head.ended and head.unsent)):
            self.ms += 60
            frames = [bytes(frame) for frame in self.playout.take(self.now)]
            assert frames
            self.note(frames, self.playout.taken_at)

    def teardown(self) -> None:
        """When all is played out, what left is what was queued, but for what was cut."""
        self.playout.resume(self.now)
        for play in self.plays:
            play.end()
        for _ in range(2500):
            self.ms += 20
            self.tick()
        assert self.playout.facts(self.now) is not None
        assert self.playout.idle
        for play in self.plays:
            whole = self.queued[play.play_id]
            if play.play_id not in self.dropped:
                assert self.heard_bound(play) == whole
                assert play.over


Ledger.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLedger = Ledger.TestCase
