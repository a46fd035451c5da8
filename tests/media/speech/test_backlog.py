"""Audio is kept until it has its final result, and never more than the bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from media.speech.backlog import Backlog

SECOND = 16_000


def test_audio_comes_out_once_and_in_order() -> None:
    backlog = Backlog(8000, 0, 10)
    backlog.push(b"ab" * 800)
    backlog.push(b"cd" * 800)
    assert backlog.take(1600) + backlog.take(1600) + backlog.take(1600) == b"ab" * 800 + b"cd" * 800
    assert backlog.waiting == 0


def test_after_a_reconnect_all_without_a_final_result_is_sent_again_and_its_time_is_known() -> None:
    backlog = Backlog(8000, 500, 10)
    backlog.push(bytes(SECOND) + b"xy" * 8000)
    backlog.take(10 * SECOND)
    backlog.settle(1500)
    assert backlog.rewind() == 1500
    assert backlog.take(10 * SECOND) == b"xy" * 8000


def test_what_was_never_sent_is_not_settled() -> None:
    backlog = Backlog(8000, 0, 10)
    backlog.push(bytes(SECOND))
    backlog.settle(1000)
    assert backlog.waiting == SECOND


def test_beyond_the_bound_the_oldest_is_lost_and_the_time_moves_on() -> None:
    backlog = Backlog(8000, 0, 2)
    backlog.push(bytes(3 * SECOND))
    assert backlog.waiting == 2 * SECOND
    assert backlog.rewind() == 1000


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(0, 400)),
        st.tuples(st.just("take"), st.integers(1, 300)),
        st.tuples(st.just("settle"), st.integers(-50, 300)),
        st.tuples(st.just("rewind"), st.just(0)),
    ),
    max_size=40,
)


@given(STEPS)
def test_it_stays_bounded_and_gives_only_what_was_pushed(steps: list[tuple[str, int]]) -> None:
    backlog = Backlog(8000, 0, 0.02)
    pushed = 0
    for name, value in steps:
        if name == "push":
            samples = range(pushed, pushed + value)
            backlog.push(b"".join((sample % 65536).to_bytes(2, "little") for sample in samples))
            pushed += value
        elif name == "take":
            piece = backlog.take(2 * value)
            numbers = [int.from_bytes(piece[at : at + 2], "little") for at in range(0, len(piece), 2)]
            assert (
                numbers == [number % 65536 for number in range(numbers[0], numbers[0] + len(numbers))]
                if numbers
                else True
            )
        elif name == "settle":
            backlog.settle(value)
        else:
            backlog.rewind()
        assert 0 <= backlog.waiting <= 320
