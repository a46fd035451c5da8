"""When packets sound."""

from hypothesis import given
from hypothesis import strategies as st

from sandbox.voice.schedule import schedule

RATE = 8000


def test_tones_that_fall_behind_catch_up_with_larger_packets() -> None:
    text = "一二三四五六七八九十" * 4
    hurried = schedule(text, RATE, samples=RATE * 4)  # ten characters a second
    assert hurried.samples <= RATE * 4.3
    assert max(len(cue.packet.text) for cue in hurried.cues) == 2


def test_speech_of_a_human_pace_gets_a_packet_for_each_character() -> None:
    plan = schedule("一二三四五六七八", RATE, samples=RATE * 2)
    assert [cue.packet.text for cue in plan.cues] == list("一二三四五六七八")
    assert [cue.end for cue in plan.cues] == [RATE * 2 * (place + 1) // 8 for place in range(8)]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.integers(0, 30_000))
def test_packets_hold_the_text_in_order_and_never_overlap(text: str, samples: int) -> None:
    plan = schedule(text, RATE, samples)
    assert "".join(cue.packet.text for cue in plan.cues) == text
    assert [cue.packet.last for cue in plan.cues] == [False] * (len(plan.cues) - 1) + [True] * bool(text)
    assert [cue.packet.number for cue in plan.cues] == [place & 255 for place in range(len(plan.cues))]
    edges = [edge for cue in plan.cues for edge in (cue.start, cue.end)]
    assert edges == sorted(edges)
    assert plan.samples == max([samples, *edges[-1:]])
    assert len(plan.character_ends()) == len(text)
