"""Our goodbye: who is answered all the same, and how long the line is held."""

from __future__ import annotations

from media.agent.alarm import Alarm
from media.agent.answer import Answer
from media.agent.intents import intents
from media.agent.parting import CUT_GOODBYE_SECONDS, LAST_WORDS_SECONDS, MAX_REVIVALS, Parting
from media.agent.speaking import Speaking
from media.protocol import events

from .conftest import Call

GOODBYE = "好的，那就不打扰您了，祝您生活愉快，再见。"
QUESTION = "等一下，地址在哪里？"


class Leaving:
    """A driver of which nothing is left but its goodbye."""

    def __init__(self) -> None:
        self.call = Call("default")
        self.call.driver = self
        self.answered: list[str] = []
        self.said_on = 0
        self.hung_up: list[float] = []
        self.may_say_on = True
        self.speaks = False
        self.voice = Speaking(self.call, lambda play_id: None)
        self.parting = Parting(
            Alarm(self.call),
            self.call.clock,
            self.voice,
            say_on=self._say_on,
            revive=self.answered.append,
            hang_up=lambda: self.hung_up.append(self.call.clock.monotonic()),
        )

    def _say_on(self) -> bool:
        self.said_on += self.may_say_on
        return self.may_say_on

    def on_event(self, event: events.AnyEvent) -> None:
        answer = self.voice.of(getattr(event, "play_id", None))
        if answer is None:
            return
        if isinstance(event, events.TrackStart):
            self.voice.started(event.play_id)
        elif isinstance(event, events.Interruption):
            answer.cut = True
            self.parting.interrupted(self.voice.heard_of(answer))
        elif isinstance(event, events.TrackEnd):
            self.voice.over()
            self.voice.answer = None
            self.parting.ended(answer, customer_speaks=self.speaks)

    def say(self, seconds: float = 0.0) -> Answer:
        """Our goodbye, of which so many seconds are heard."""
        answer = self.voice.open(interruptible=False)
        answer.add(GOODBYE)
        self.voice.finish(answer)
        self.call.wait(seconds)
        return answer

    def speak(self, said: str) -> None:
        self.parting.spoken(said, set(intents(said)))
        self.call.deliver()


def test_a_goodbye_that_was_heard_ends_the_call() -> None:
    leaving = Leaving()
    leaving.say()
    leaving.call.listen()
    assert len(leaving.hung_up) == 1


def test_who_is_speaking_as_it_ends_is_waited_for_and_no_longer() -> None:
    leaving = Leaving()
    leaving.speaks = True
    leaving.say()
    leaving.call.listen()
    leaving.call.wait(CUT_GOODBYE_SECONDS - 0.1)
    assert not leaving.hung_up
    leaving.parting.understood("我想问", customer_speaks=True)
    leaving.call.wait(CUT_GOODBYE_SECONDS - 0.1)
    assert not leaving.hung_up
    leaving.call.wait(0.2)
    assert len(leaving.hung_up) == 1


def test_words_do_not_hold_the_line_for_ever() -> None:
    leaving = Leaving()
    leaving.speaks = True
    leaving.say()
    leaving.call.listen()
    began = leaving.call.clock.monotonic()
    while not leaving.hung_up:
        leaving.call.wait(0.5)
        leaving.parting.understood("然后", customer_speaks=True)
    assert LAST_WORDS_SECONDS - 0.1 <= leaving.hung_up[0] - began <= LAST_WORDS_SECONDS + 1


def test_a_question_over_it_stops_it_and_is_answered_when_it_has_stopped() -> None:
    leaving = Leaving()
    leaving.say(1)
    leaving.speak(QUESTION)
    assert leaving.answered == [QUESTION]
    assert (leaving.voice.answer, leaving.hung_up) == (None, [])
    assert leaving.parting.revived


def test_who_asks_us_to_wait_is_let_speak() -> None:
    leaving = Leaving()
    leaving.say(1)
    leaving.parting.understood("那个预约的", customer_speaks=True)
    assert leaving.voice.speaks
    leaving.parting.understood("等一下", customer_speaks=True)
    leaving.call.deliver()
    assert not leaving.voice.speaks
    leaving.speak("等一下")
    assert leaving.answered == ["等一下"]


def test_a_courtesy_is_no_reason_to_stop_it() -> None:
    leaving = Leaving()
    leaving.say(1)
    leaving.speak("好的，谢谢")
    assert (leaving.voice.speaks, leaving.answered, leaving.hung_up) == (True, [], [])


def test_after_it_a_courtesy_ends_the_call_and_a_question_does_not() -> None:
    for said, answered, hung_up in (("谢谢", [], 1), (QUESTION, [QUESTION], 0)):
        leaving = Leaving()
        leaving.speaks = True
        leaving.say()
        leaving.call.listen()
        leaving.speak(said)
        assert (leaving.answered, len(leaving.hung_up)) == (answered, hung_up)


def test_who_did_not_hear_it_for_a_goodbye_hears_the_rest_unless_they_take_their_leave() -> None:
    for said, may_say_on, said_on, hung_up in (("嗯", True, 1, 0), ("嗯", False, 0, 1), ("再见", True, 0, 1)):
        leaving = Leaving()
        leaving.may_say_on = may_say_on
        leaving.say(0.5)
        leaving.voice.interrupt()
        leaving.call.deliver()
        leaving.speak(said)
        assert (leaving.said_on, len(leaving.hung_up)) == (said_on, hung_up)


def test_who_cut_it_once_it_was_heard_for_one_is_not_told_again() -> None:
    leaving = Leaving()
    leaving.say(len(GOODBYE) * 0.2 - 0.1)
    leaving.voice.interrupt()
    leaving.call.deliver()
    leaving.speak("嗯")
    assert (leaving.said_on, len(leaving.hung_up)) == (0, 1)


def test_one_that_could_not_be_spoken_is_a_goodbye_all_the_same() -> None:
    leaving = Leaving()
    leaving.speaks = True
    answer = leaving.say(1)
    answer.failed = answer.cut = True
    leaving.call.listen()
    assert len(leaving.hung_up) == 1


def test_it_is_answered_a_number_of_times_and_never_when_we_cannot() -> None:
    leaving = Leaving()
    for _ in range(MAX_REVIVALS + 1):
        leaving.speak(QUESTION)
    assert leaving.answered == [QUESTION] * MAX_REVIVALS
    assert len(leaving.hung_up) == 1
    failed = Leaving()
    failed.parting.final = True
    failed.speak(QUESTION)
    assert (failed.answered, len(failed.hung_up)) == ([], 1)
