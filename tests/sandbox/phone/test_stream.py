from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.phone.refusals import Code, Refusal
from sandbox.phone.stream import MAX_BUFFER_BYTES, Stage, Stream

ACTIONS = ("start", "play", "clean", "stop", "file")


def do(stream: Stream, action: str) -> bool:
    """Carry out an action; returns whether it was accepted."""
    try:
        if action == "file":
            stream.play_file(b"ff" * 400)
        else:
            getattr(stream, action)()
    except Refusal as refusal:
        if refusal.code is not Code.WRONG_ORDER:
            raise
        return False
    return True


@pytest.mark.parametrize(
    ("actions", "accepted"),
    [
        ("start play", True),
        ("start play clean", True),
        ("start play clean clean stop start play", True),
        ("start clean play", True),
        ("start stop", True),
        ("file", True),
        ("file file start play stop file", True),
        ("play", False),
        ("clean", False),
        ("stop", False),
        ("start start", False),
        ("start play start", False),
        ("start play play", False),
        ("start play stop play", False),
        ("start play stop clean", False),
        ("start play stop stop", False),
        ("start file", False),
        ("start play file", False),
    ],
)
def test_the_order_of_actions(actions: str, accepted: bool) -> None:
    stream = Stream()
    *before, last = actions.split()
    assert all(do(stream, action) for action in before)
    assert do(stream, last) is accepted


def test_a_refused_action_changes_nothing_and_says_what_to_do() -> None:
    stream = Stream()
    stream.receive(b"ab" * 10)
    with pytest.raises(Refusal, match="call start_stream first"):
        stream.play()
    assert (stream.stage, stream.buffered) == (Stage.STOPPED, 20)


def test_audio_that_came_before_the_stream_is_played_by_it() -> None:
    stream = Stream()
    stream.receive(b"ab" * 10)
    assert stream.take(8) == b""
    stream.start()
    assert stream.take(8) == b""
    stream.play()
    assert stream.take(16) == b"ab" * 8
    assert stream.take(16) == b"ab" * 2
    assert stream.take(16) == b""


def test_cleaning_drops_what_is_left_and_keeps_the_stream_open() -> None:
    stream = Stream()
    stream.start()
    stream.play()
    stream.receive(b"ab" * 10)
    stream.clean()
    assert stream.take(16) == b""
    stream.receive(b"cd")
    assert stream.take(16) == b"cd"


def test_stopping_drops_what_is_left_and_later_audio_waits_for_the_next_stream() -> None:
    stream = Stream()
    stream.start()
    stream.play()
    stream.receive(b"ab" * 10)
    stream.stop()
    stream.receive(b"cd")
    assert stream.take(16) == b""
    stream.start()
    stream.play()
    assert stream.take(16) == b"cd"


def test_a_file_plays_while_the_stream_is_stopped_and_yields_to_the_next() -> None:
    stream = Stream()
    stream.receive(b"cd")
    stream.play_file(b"ff" * 6)
    assert stream.take(8) == b"ff" * 4
    stream.start()
    assert stream.take(2) == b"ff"
    stream.play()
    assert stream.take(8) == b"cd"
    assert stream.take(8) == b""


def test_half_a_sample_waits_for_its_other_half() -> None:
    stream = Stream()
    stream.start()
    stream.play()
    stream.receive(b"abc")
    assert stream.take(320) == b"ab"
    stream.receive(b"d")
    assert stream.take(320) == b"cd"


def test_a_full_buffer_drops_and_counts_what_comes_beyond() -> None:
    stream = Stream()
    stream.receive(bytes(MAX_BUFFER_BYTES - 10))
    stream.receive(b"x" * 30)
    assert (stream.buffered, stream.dropped_bytes) == (MAX_BUFFER_BYTES, 20)


@given(
    st.lists(
        st.one_of(
            st.sampled_from(ACTIONS),
            st.binary(max_size=700),
            st.integers(1, 400).map(lambda half: 2 * half),
        ),
        max_size=60,
    )
)
def test_whatever_is_done_a_playing_stream_alone_gives_the_bytes_received_in_order(
    steps: list[str | bytes | int],
) -> None:
    stream = Stream()
    waiting = b""
    for step in steps:
        if isinstance(step, bytes):
            stream.receive(step)
            waiting += step
        elif isinstance(step, int):
            took = stream.take(step)
            if stream.stage is Stage.PLAYING:
                assert took == waiting[: min(step, len(waiting) & ~1)]
                waiting = waiting[len(took) :]
            else:
                assert took == b"f" * len(took)
        elif do(stream, step) and step in ("clean", "stop"):
            waiting = b""
        assert stream.buffered == len(waiting)
