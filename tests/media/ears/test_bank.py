"""All calls' windows, judged together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest

from media.audio.ring import RING_SAMPLES, WINDOW, Ring
from media.ears.bank import KEEP, MAX_BEHIND, EarBank, EarsFullError, Event, KeyPress, SpeechChange
from media.ears.hysteresis import SpeechRule
from media.ears.vad import MAX_BATCH, SpeechModel

Samples = npt.NDArray[np.int16]


class Call:
    """An owner that writes its audio and keeps what it was told."""

    def __init__(self, bank: EarBank, dtmf: bool = True) -> None:
        self.bank = bank
        self.row, self.ring = bank.open(self, SpeechRule(), dtmf)

    def hear(self, samples: Samples) -> None:
        self.ring.write(samples.tobytes())
        self.bank.written[self.row] = self.ring.written


def run(bank: EarBank, feeds: list[tuple[Call, Samples]]) -> list[Event]:
    """20 ms frames of all calls in turn, a look after each round."""
    events: list[Event] = []
    for at in range(0, max(len(samples) for _, samples in feeds), 160):
        for call, samples in feeds:
            if at < len(samples):
                call.hear(samples[at : at + 160])
        events += bank.look()
    return events


@pytest.fixture(scope="module")
def model() -> SpeechModel:
    return SpeechModel(16)


@pytest.fixture
def bank(model: SpeechModel) -> Iterator[EarBank]:
    model.forget(np.arange(16))
    return EarBank(16, model)  # type: ignore[return-value]


def test_hears_where_speech_begins_and_ends(
    bank: EarBank, babble: Callable[..., Samples], line: Callable[..., Samples]
) -> None:
    call = Call(bank)
    events = run(bank, [(call, line(1.0, babble(1.2), 1.0, babble(0.8), 1.0))])
    assert [event.speaking for event in events if isinstance(event, SpeechChange)] == [True, False, True, False]
    samples = [event.sample for event in events]
    for heard, real in zip(samples, [8000, 17_600, 25_600, 32_000], strict=True):
        assert abs(heard - real) < 1600


def test_a_quiet_line_costs_no_neural_look(bank: EarBank, line: Callable[..., Samples]) -> None:
    call = Call(bank)
    assert run(bank, [(call, line(3.0))]) == []
    assert bank.stats.windows == 24_000 // WINDOW
    assert bank.stats.judged == 0


def test_a_talking_call_does_not_wake_a_quiet_one(
    bank: EarBank, babble: Callable[..., Samples], line: Callable[..., Samples]
) -> None:
    quiet, talking = Call(bank), Call(bank)
    events = run(bank, [(quiet, line(2.0)), (talking, line(0.5, babble(1.5)))])
    assert {id(event.owner) for event in events} == {id(talking)}
    assert bank.stats.judged < bank.stats.windows * 0.75


def test_many_calls_hear_what_each_alone_hears(
    model: SpeechModel, babble: Callable[..., Samples], line: Callable[..., Samples]
) -> None:
    audio = [line(0.3 + 0.1 * k, babble(0.6 + 0.1 * k, seed=k), 0.8) for k in range(8)]
    together = EarBank(16, model)
    calls = [Call(together) for _ in audio]
    events = run(together, list(zip(calls, audio, strict=True)))
    for call, samples in zip(calls, audio, strict=True):
        alone = EarBank(16, SpeechModel(16))
        single = Call(alone)
        expected = [event.sample for event in run(alone, [(single, samples)])]
        assert [event.sample for event in events if event.owner is call] == expected


def test_a_look_at_many_calls_pauses_at_each_batch(
    babble: Callable[..., Samples], line: Callable[..., Samples]
) -> None:
    rows, pauses = 3 * MAX_BATCH, 0

    def pause() -> None:
        nonlocal pauses
        pauses += 1

    bank = EarBank(rows, SpeechModel(rows), pause)
    calls = [Call(bank) for _ in range(rows)]
    bank.look()
    assert pauses == 0
    for call in calls:
        call.hear(line(babble(0.1))[:WINDOW])
    bank.look()
    assert bank.stats.judged == rows
    assert pauses >= rows // MAX_BATCH


def test_keys_are_told_with_their_place(bank: EarBank, line: Callable[..., Samples]) -> None:
    t = np.arange(480) / 8000
    five = (9000 * (np.sin(2 * np.pi * 770 * t) + np.sin(2 * np.pi * 1336 * t))).astype(np.int16)
    wanting, other = Call(bank), Call(bank, dtmf=False)
    audio = line(0.5, five, 0.1, five, 0.5)
    events = [event for event in run(bank, [(wanting, audio), (other, audio)]) if isinstance(event, KeyPress)]
    assert [(event.owner, event.digit) for event in events] == [(wanting, "5"), (wanting, "5")]
    assert abs(events[0].sample - 4000) <= 64
    assert abs(events[1].sample - 5280) <= 64


def test_frames_of_any_size_give_the_same_verdict(
    model: SpeechModel, babble: Callable[..., Samples], line: Callable[..., Samples]
) -> None:
    audio = line(0.5, babble(1.0), 1.0)
    verdicts = []
    for size in (80, 160, 333, 1600):
        bank = EarBank(16, model)
        call = Call(bank)
        events = []
        for at in range(0, len(audio), size):
            call.hear(audio[at : at + size])
            events += bank.look()
        verdicts.append([(event.speaking, event.sample) for event in events if isinstance(event, SpeechChange)])
    assert verdicts[0]
    assert all(verdict == verdicts[0] for verdict in verdicts)


def test_a_row_far_behind_jumps_ahead_and_counts_what_it_missed(
    bank: EarBank, babble: Callable[..., Samples], line: Callable[..., Samples]
) -> None:
    call = Call(bank)
    bank.look()
    audio = line(babble(4.0))
    for at in range(0, len(audio), 8000):
        call.hear(audio[at : at + 8000])
    (event,) = bank.look()
    whole = len(audio) // WINDOW
    assert bank.stats.lost == whole - KEEP
    assert bank.stats.windows == KEEP
    assert isinstance(event, SpeechChange)
    assert event.sample == (whole - KEEP) * WINDOW
    call.hear(audio[:4000])
    bank.look()
    assert bank.stats.lost == whole - KEEP


def test_no_more_than_the_bound_is_ever_judged_in_one_look(bank: EarBank, line: Callable[..., Samples]) -> None:
    call = Call(bank)
    bank.look()
    for _ in range(4):
        call.hear(line(1.0))
    bank.look()
    assert bank.stats.windows <= MAX_BEHIND


def test_a_closed_row_is_free_after_a_look_and_begins_afresh(
    model: SpeechModel, babble: Callable[..., Samples], line: Callable[..., Samples]
) -> None:
    bank = EarBank(1, model)
    first = Call(bank)
    run(bank, [(first, line(babble(10.3)))])
    with pytest.raises(EarsFullError, match="at most 1 calls"):
        Call(bank)
    bank.close(first.row)
    bank.look()
    second = Call(bank)
    assert second.ring.written == 0
    events = run(bank, [(second, line(0.5, babble(0.8), 0.8))])
    assert [type(event) for event in events] == [SpeechChange, SpeechChange]
    assert all(event.owner is second for event in events)
    assert abs(events[0].sample - 4000) < 1600


def test_a_call_that_opens_and_closes_between_two_looks_leaves_its_row_free(bank: EarBank) -> None:
    for _ in range(40):
        call = Call(bank)
        bank.close(call.row)
        assert bank.look() == []
    assert isinstance(Call(bank).ring, Ring)


def test_the_ring_may_go_round(bank: EarBank, babble: Callable[..., Samples], line: Callable[..., Samples]) -> None:
    call = Call(bank)
    quiet = RING_SAMPLES / 8000 - 0.4
    events = run(bank, [(call, line(quiet, babble(1.0), 1.0))])
    assert [event.speaking for event in events if isinstance(event, SpeechChange)] == [True, False]
    assert abs(events[0].sample - quiet * 8000) < 1600
