"""One play's audio."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.audio.errors import OddLengthError
from media.play import Play, PlayoutFullError
from media.subtitle import WordOffset

FRAME = 160


def play_of(longest: int = 80_000, tail: int = 8) -> Play:
    return Play("greeting", 8000, FRAME, tail, longest)


def ramp(start: int, samples: int) -> bytes:
    return (np.arange(start, start + samples) % 30_000 + 1).astype(np.int16).tobytes()


def all_frames(play: Play) -> bytes:
    out = []
    while (frame := play.next_frame()) is not None:
        assert len(frame) == FRAME * 2
        out.append(bytes(frame))
    return b"".join(out)


@given(st.lists(st.integers(0, 1000), max_size=20))
def test_chunks_of_any_size_become_even_frames_in_order(sizes: list[int]) -> None:
    play = play_of()
    for size in sizes:
        play.append(ramp(play.appended, size))
    play.end()
    total = sum(sizes)
    padding = -total % FRAME
    assert all_frames(play) == ramp(0, total) + bytes(padding * 2)
    assert play.taken == total
    assert play.exhausted


def test_a_part_of_a_frame_waits_for_more() -> None:
    play = play_of()
    play.append(ramp(0, 200))
    assert len(all_frames(play)) == 320
    play.append(ramp(200, 120))
    assert all_frames(play) == ramp(160, 160)


def test_refuses_half_a_sample_and_takes_nothing() -> None:
    play = play_of()
    with pytest.raises(OddLengthError):
        play.append(bytes(321))
    assert play.appended == 0


def test_refuses_more_than_may_wait_until_some_has_left() -> None:
    play = play_of(longest=1000)
    play.append(bytes(2000))
    with pytest.raises(PlayoutFullError, match="feed more slowly"):
        play.append(bytes(2))
    play.next_frame()
    assert play.append(bytes(2))


def test_takes_nothing_after_its_end() -> None:
    play = play_of()
    play.end()
    assert not play.append(bytes(320))
    assert play.appended == 0


@given(st.integers(0, 2000), st.integers(0, 9), st.integers(0, 400))
def test_what_is_taken_back_comes_again_and_nothing_else(samples: int, frames: int, back: int) -> None:
    play = play_of(tail=3)
    play.append(ramp(0, samples))
    for _ in range(frames):
        play.next_frame()
    taken = play.taken
    returned = play.rewind(back)
    assert returned == min(back, taken, 3 * FRAME)
    play.end()
    rest = all_frames(play)
    assert rest[: (samples - taken + returned) * 2] == ramp(taken - returned, samples - taken + returned)


@given(
    st.lists(st.integers(1, 400), max_size=12), st.lists(st.tuples(st.integers(0, 4), st.integers(0, 600)), max_size=8)
)
def test_what_is_taken_back_across_pieces_comes_again_in_order(sizes: list[int], moves: list[tuple[int, int]]) -> None:
    """However the audio came in pieces, and however often some of it goes back: what comes next is what follows."""
    play = play_of(tail=3)
    for size in sizes:
        play.append(ramp(play.appended, size))
    at = 0
    for frames, back in moves:
        for _ in range(frames):
            frame = play.next_in_run(at) or play.next_frame()
            if frame is None:
                break
            assert bytes(frame) == ramp(play.taken - FRAME, FRAME)
            play.sent(at, FRAME, at)
            at += FRAME
        assert play.rewind(back) <= min(back, 3 * FRAME)
    play.end()
    left = sum(sizes) - play.taken
    assert play.unsent == left
    assert all_frames(play)[: left * 2] == ramp(sum(sizes) - left, left)


def test_nothing_is_taken_back_of_a_play_that_is_over() -> None:
    play = play_of()
    play.append(ramp(0, 480))
    play.next_frame()
    play.finish()
    assert play.rewind(160) == 0
    assert play.unsent == 0


def test_a_padded_last_frame_is_taken_back_without_its_padding() -> None:
    play = play_of()
    play.append(ramp(0, 200))
    play.end()
    all_frames(play)
    assert play.rewind(40) == 40
    assert all_frames(play) == ramp(160, 40) + bytes(240)


def test_heard_follows_what_was_sent_and_when() -> None:
    play = play_of()
    play.append(ramp(0, 480))
    play.next_frame()
    play.sent(1000, 160, 1000)
    assert [play.heard(clock) for clock in (1000, 1080, 1160, 4999)] == [0, 80, 160, 160]
    play.next_frame()
    play.sent(5000, 160, 5000)
    assert [play.heard(clock) for clock in (5000, 5080, 9000)] == [160, 240, 320]
    assert play.heard_until == 5160


def test_what_was_repeated_is_not_heard_twice() -> None:
    play = play_of()
    play.append(ramp(0, 480))
    for start in (0, 160):
        play.next_frame()
        play.sent(start, 160, start)
    play.rewind(160)
    play.next_frame()
    play.sent(4000, 160, 4000)
    assert [play.heard(clock) for clock in (4000, 4100, 4160)] == [320, 320, 320]


def test_a_text_without_audio_shares_the_next_ones() -> None:
    play = play_of()
    play.mark("一二")
    play.mark("三四")
    play.append(ramp(0, 8000))
    play.end()
    assert play.text == "一二三四"
    assert play.text_at(4000).text == "一二"


def test_extending_a_text_does_not_close_it() -> None:
    play = play_of()
    play.mark("一二")
    play.append(ramp(0, 4000))
    play.mark("三四", extend=True)
    play.append(ramp(4000, 4000))
    play.end()
    assert play.text_at(6000).text == "一二三"


def test_word_times_want_a_text() -> None:
    with pytest.raises(ValueError, match="call mark first"):
        play_of().offsets([WordOffset(0, 1, 0, 10)])


def test_a_text_that_broke_off_keeps_the_words_its_audio_can_have_spoken() -> None:
    play = play_of()
    play.mark("一二三四")
    play.append(ramp(0, 4100))  # half a second: two characters of slow speech
    assert play.next_frame() is not None
    play.break_off()
    play.mark("抱歉")
    play.append(ramp(0, 4000))
    play.end()
    assert play.text == "一二抱歉"
    assert play.text_at(4100).text == "一二"


def test_a_text_that_broke_off_before_any_of_it_left_is_not_played() -> None:
    play = play_of()
    play.mark("一二三四")
    play.append(ramp(0, 4000))
    play.mark("五六七八")
    play.append(ramp(4000, 1000))
    assert play.next_frame() is not None
    play.break_off()
    play.mark("抱歉")
    play.append(ramp(9000, 320))
    play.end()
    assert all_frames(play) == ramp(160, 3840) + ramp(9000, 320)
    assert play.text == "一二三四抱歉"


def test_a_play_is_hollow_until_a_frame_could_leave() -> None:
    play = play_of()
    assert play.hollow
    play.append(ramp(0, FRAME - 1))
    assert play.hollow
    play.append(ramp(0, 1))
    assert not play.hollow
    play.begun = True
    assert play.next_frame() is not None
    assert not play.hollow


def test_a_text_that_broke_off_before_it_sounded_leaves_nothing() -> None:
    play = play_of()
    play.mark("一二三四")
    play.break_off()
    play.mark("抱歉")
    assert play.text == "抱歉"


def test_the_total_is_guessed_while_audio_still_comes() -> None:
    play = play_of()
    play.mark("一二三四")
    play.append(ramp(0, 1600))
    assert play.total == 8000
    play.end()
    assert play.total == 1600


def test_stops_at_the_end_of_the_sentence_that_is_being_sent() -> None:
    play = play_of()
    play.mark("一二三四。")
    play.append(ramp(0, 4000))
    play.mark("五六七八。")
    play.append(ramp(4000, 4000))
    play.next_frame()
    assert play.stop_at_sentence() == 4000
    assert len(all_frames(play)) == (4000 - 160) * 2
    assert play.exhausted
    assert not play.append(bytes(320))


def test_stops_at_the_end_of_a_sentence_whose_audio_still_comes() -> None:
    play = play_of()
    play.mark("一二三四")
    play.append(ramp(0, 1600))
    play.next_frame()
    assert play.stop_at_sentence() == 8000
    assert play.append(ramp(1600, 4000))
    assert not play.append(ramp(5600, 4000))
    assert play.appended == 8000
    assert play.ended


def test_without_text_it_stops_at_once() -> None:
    play = play_of()
    play.append(ramp(0, 1600))
    play.next_frame()
    assert play.stop_at_sentence() == 160
    assert all_frames(play) == b""


def test_word_times_that_are_told_again_take_the_place_of_the_earlier_ones() -> None:
    told = Play("p", 8000, 160, 8, 10**6)
    told.mark("一二三")
    told.append(bytes(2 * 4800))
    told.offsets([WordOffset(0, 1, 0, 100), WordOffset(1, 2, 100, 200)])
    told.offsets([WordOffset(0, 1, 0, 1600), WordOffset(1, 2, 1600, 3200), WordOffset(2, 3, 3200, 4800)])
    told.end()
    assert [told.text_at(sample).text for sample in (200, 1600, 3200, 4800)] == ["", "一", "一二", "一二三"]
