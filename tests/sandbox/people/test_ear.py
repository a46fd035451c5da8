from __future__ import annotations

from sandbox.people.ear import Ear


def hear(ear: Ear, *stretches: tuple[bool, float], start: float = 0.0) -> float:
    """Feed stretches of sound or silence in steps of 20 ms; returns the time after them."""
    step = round(start / 0.02)
    for loud, seconds in stretches:
        for _ in range(round(seconds / 0.02)):
            ear.listen(step * 0.02, loud)
            step += 1
    return step * 0.02


def test_a_sentence_begins_with_its_first_sound() -> None:
    ear = Ear()
    hear(ear, (False, 1.0), (True, 0.5))
    assert (ear.sentences, ear.speaking) == (1, True)
    assert abs(ear.began - 1.0) < 1e-9


def test_a_click_is_no_sentence() -> None:
    ear = Ear()
    hear(ear, (False, 1.0), (True, 0.04), (False, 1.0))
    assert ear.sentences == 0


def test_clicks_far_apart_do_not_add_up_to_a_sentence() -> None:
    ear = Ear()
    hear(ear, *[(True, 0.02), (False, 0.5)] * 10)
    assert ear.sentences == 0


def test_a_short_stop_belongs_to_the_sentence() -> None:
    ear = Ear()
    hear(ear, (True, 0.5), (False, 0.2), (True, 0.5))
    assert (ear.sentences, ear.speaking) == (1, True)


def test_a_breath_parts_sentences() -> None:
    ear = Ear()
    hear(ear, (True, 0.5), (False, 0.4), (True, 0.5), (False, 0.4))
    assert (ear.sentences, ear.speaking) == (2, False)
    assert abs(ear.ended - 1.38) < 1e-9
