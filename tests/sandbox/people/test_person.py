from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from sandbox.people.manner import Departure, Manner, Murmur, Reply
from sandbox.people.person import Deed, HangUp, Moment, Person, Say, Sound, callee

STEP = 0.02


class Stage:
    """Steps somebody through time; what they say lasts `length` seconds."""

    def __init__(self, manner: Manner, length: float = 1.0) -> None:
        self.person = callee(manner, random.Random(3))
        self.deeds: list[tuple[float, Deed]] = []
        self._length = length
        self._step = 0
        self._talks_until = 0.0

    def play(self, seconds: float, *, loud: bool = False, words: str = "") -> list[Deed]:
        """Let time pass; the words are understood at its end. Returns the deeds of this time."""
        first = len(self.deeds)
        steps = round(seconds / STEP)
        for number in range(steps):
            at = self._step * STEP
            self._step += 1
            moment = Moment(at, loud, at < self._talks_until, words if number == steps - 1 else "")
            for deed in self.person.step(moment):
                self.deeds.append((at, deed))
                if isinstance(deed, HangUp):
                    return [deed for _, deed in self.deeds[first:]]
                self._talks_until = max(self._talks_until, at) + self._length
        return [deed for _, deed in self.deeds[first:]]


def test_the_greeting_comes_once_shortly_after_the_answer() -> None:
    stage = Stage(Manner(greeting="喂？", greeting_after=0.4))
    assert stage.play(3.0) == [Say("喂？", "greeting")]
    assert abs(stage.deeds[0][0] - 0.4) < 0.03


def test_who_is_greeted_first_listens() -> None:
    stage = Stage(Manner(greeting="喂？", greeting_after=1.0, otherwise=("好。",)))
    assert stage.play(2.0, loud=True) == []
    assert stage.play(1.0) == [Say("好。", "reply")]


def test_nothing_is_said_before_the_robot_has_been_quiet_for_a_while() -> None:
    stage = Stage(Manner(greeting="", turn_wait=(0.5, 0.7), otherwise=("好。",)))
    assert stage.play(2.0, loud=True, words="你好") == []
    assert stage.play(0.45) == []
    assert stage.play(0.4) == [Say("好。", "reply")]


def test_a_reply_follows_the_words_and_is_given_once() -> None:
    replies = (Reply(hears=("几点",), says="三点。"), Reply(says="什么？"))
    stage = Stage(Manner(greeting="", replies=replies, otherwise=("嗯。",)))
    answers = []
    for _ in range(3):
        stage.play(1.0, loud=True, words="您几点有空")
        answers += stage.play(2.5)
    assert answers == [Say("三点。", "reply"), Say("什么？", "reply"), Say("嗯。", "reply")]


def test_a_reply_marked_again_is_given_again() -> None:
    stage = Stage(Manner(greeting="", replies=(Reply(says="什么？", again=True),)))
    for _ in range(3):
        stage.play(1.0, loud=True)
        assert stage.play(2.5) == [Say("什么？", "reply")]


def test_words_that_come_after_the_robot_fell_silent_still_count() -> None:
    stage = Stage(Manner(greeting="", turn_wait=(0.4, 0.4), replies=(Reply(hears=("几点",), says="三点。"),)))
    stage.play(1.0, loud=True)
    stage.play(0.2, words="几点")
    assert stage.play(0.5) == [Say("三点。", "reply")]


def test_a_goodbye_is_answered_and_the_receiver_put_down() -> None:
    stage = Stage(Manner(greeting=""))
    stage.play(1.0, loud=True, words="祝您生活愉快，再见")
    assert stage.play(5.0)[-1] == HangUp("said goodbye")
    assert isinstance(stage.deeds[0][1], Say)


def test_a_catch_all_reply_does_not_hide_a_goodbye() -> None:
    stage = Stage(Manner(greeting="", replies=(Reply(says="几点开始？"),)))
    stage.play(1.0, loud=True, words="再见")
    assert stage.play(1.0) == [Say("好的，再见。", "reply")]


def test_somebody_leaving_waits_for_the_robot_to_finish_but_not_for_ever() -> None:
    stage = Stage(Manner(greeting="", replies=(Reply(says="再见。", hangs_up=True),)))
    stage.play(1.0, loud=True)
    stage.play(2.0)
    assert stage.play(4.0, loud=True) == []
    assert stage.play(3.0, loud=True) == [HangUp("had said all")]


def test_keys_are_pressed_after_the_words() -> None:
    stage = Stage(Manner(greeting="", replies=(Reply(says="好。", presses="1"),)))
    stage.play(1.0, loud=True)
    assert stage.play(1.0) == [Say("好。", "reply"), Sound("digits", digits="1")]


def test_murmurs_come_once_a_sentence_and_only_so_often() -> None:
    stage = Stage(Manner(greeting="", otherwise=(), murmur=Murmur(says="嗯。", after=0.5, times=2)), length=0.2)
    for _ in range(4):
        stage.play(2.0, loud=True)
        stage.play(1.0)
    assert [deed for _, deed in stage.deeds] == [Say("嗯。", "murmur")] * 2


def test_a_departure_is_counted_from_the_answer_or_from_a_sentence() -> None:
    assert Stage(Manner(departure=Departure(after=0.3))).play(0.4) == [HangUp("left")]
    stage = Stage(Manner(greeting="", otherwise=(), departure=Departure(after=0.5, sentence=2)))
    stage.play(2.0, loud=True)
    stage.play(1.0)
    assert stage.play(0.6, loud=True) == [HangUp("left mid-sentence")]


def test_the_same_seed_makes_the_same_person() -> None:
    waits = []
    for _ in range(2):
        stage = Stage(Manner(greeting="", turn_wait=(0.3, 3.0)))
        stage.play(1.0, loud=True)
        stage.play(4.0)
        waits.append(stage.deeds[0][0])
    assert waits[0] == waits[1]


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.text(max_size=5)), max_size=400), st.integers(0, 99))
def test_no_sound_or_words_confuse_a_person(steps: list[tuple[bool, bool, str]], seed: int) -> None:
    person = Person(Manner(interruption=None, murmur=Murmur(says="嗯"), patience=1.0), random.Random(seed))
    for number, (loud, talking, words) in enumerate(steps):
        deeds = person.step(Moment(number * STEP, loud, talking, words))
        if talking:
            assert deeds == []
        if any(isinstance(deed, HangUp) for deed in deeds):
            break
