"""The driver of our own calls: a conversation's manners, around a brain that finds the words.

It lets the customer say hello first, greets, listens, answers, reminds who stays silent, leaves mailboxes alone, lets
whoever wants no more calls go at once, and hangs up only when its goodbye was heard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

from media.agent.alarm import Alarm
from media.agent.answer import Answer, Purpose
from media.agent.brain import UNHEARD, Brain, Host
from media.agent.intents import Intent, intents
from media.agent.listening import Comprehension, TurnMemory
from media.agent.mailbox import Mailbox
from media.agent.manners import only_hello, wants_no_greeting
from media.agent.parting import Parting
from media.agent.playbook import Playbook
from media.agent.speaking import Speaking
from media.agent.templates import Text
from media.agent.voicemail import AnswerDetector, Verdict
from media.driver import SessionPort
from media.protocol import events
from media.protocol.commands import Hangup

HELLO_LONGEST = 8.0
"""Seconds that we let somebody talk before our greeting."""
NOISE_SECONDS = 10.0
"""Speech that goes on for so long without a new word is noise, in which nobody answers; then it is as if all were
silent, or a call out of a workshop would last until its longest duration."""
MOST_SPEECH_FAILURES = 2
"""In a row; then the call is ended with a goodbye from the cache."""
MOST_NOISES = 2
"""Long coughs in a row after which our voice goes on by itself; more is a noisy place, where words are waited for."""
_NO_RETURN = {"agent_failed", "speech_failed", "max_duration"}
"""Tags of goodbyes after which nothing could be answered."""
GREETINGS = 2
"""Times that the greeting is said when a hello ran into it."""


class Phase(Enum):
    """Where the call is."""

    OPENING = "opening"
    TALKING = "talking"
    LEAVING = "leaving"
    MAILBOX = "mailbox"
    OVER = "over"


class Agent:
    """Implements media.driver.Driver, and brain.Host for its brain."""

    def __init__(
        self,
        port: SessionPort,
        playbook: Playbook,
        fields: Mapping[str, str],
        make_brain: Callable[[Host], Brain],
    ) -> None:
        self._port = port
        self._book = playbook
        self._fields = fields
        self._brain = make_brain(self)
        self._phase = Phase.OPENING
        self._detector = AnswerDetector()
        self._wait = Alarm(port)
        """For a hello, for the customer's answer, for the end of a mailbox's words: one of them at a time."""
        self._mailbox = Mailbox(
            self._wait,
            playbook.voicemail,
            lambda message: self._leave(message, ("message_left", "")),
            lambda: self._hang_up("voicemail"),
        )
        self._voice = Speaking(port, self._ended)
        self._parting = Parting(
            self._wait,
            port.clock,
            self._voice,
            say_on=self._say_goodbye_on,
            revive=self._revive,
            hang_up=lambda: self._hang_up("goodbye"),
        )
        self._answered_at = 0
        self._customer_speaks = False
        self._greetings = 0
        self._greeting_cut = False
        self._noises = 0
        """After so many of those in a row we went on by ourselves."""
        self._key = ""
        """Pressed into our voice, which has not stopped yet."""
        self._turn = TurnMemory()
        self._comprehension = Comprehension()
        self._reminders = 0
        self._speech_failures = 0

    def on_event(self, event: events.AnyEvent) -> None:
        """See Driver."""
        if self._phase is Phase.OVER:
            return
        match event:
            case events.Answer():
                self._answered_at = event.timestamp
                self._wait.set(self._book.hello_wait, self._greet)
            case events.Speaking():
                self._customer_began()
            case events.AsrDelta() | events.AsrFinal():
                self._understood(event)
            case events.Eou():
                self._customer_ended(event)
            case events.Interruption():
                self._interrupted(event.play_id)
            case events.TrackStart():
                self._voice.started(event.play_id)
            case events.TrackEnd():
                self._ended(event.play_id)
            case events.Dtmf():
                self._pressed(event.digit)
            case events.Error(sender=sender):
                self._failed(sender)
            case events.Other(sender="session", extra=extra) if extra and "ending" in extra:
                self._leave(self._book.ending, ("max_duration", ""))
            case events.Hangup():
                self._close()
            case _:
                pass

    # --- Host ---

    def open_answer(self, *, interruptible: bool = True) -> Answer:
        """See Host."""
        self._wait.clear()
        return self._voice.open(interruptible=interruptible)

    def finish_answer(self, answer: Answer, *, end: bool = False) -> None:
        """See Host."""
        if answer is not self._voice.answer or self._phase is Phase.OVER:
            return
        if end:
            self._phase = Phase.LEAVING
            self._key = ""
        if self._voice.finish(answer):
            return
        if not answer.begun:
            self._voice.answer = None
            self._nothing_to_say(end=end)
        elif answer.over:
            self._voice.answer = None
            self._not_heard(answer)

    def _nothing_to_say(self, *, end: bool) -> None:
        if end:
            self._hang_up("goodbye")
        else:
            self._listen()

    def note(self, name: str, value: str) -> None:
        """See Host."""
        self._port.note_tag(name, value)

    def give_up(self) -> None:
        """See Host."""
        answer = self._voice.answer
        if answer is None or not answer.begun or answer.cut or answer.over:
            self._leave(self._book.failure, ("agent_failed", ""))
            return
        self._parting.final = True
        self.note("agent_failed", "")
        answer.pause()
        answer.add(self._text(self._book.failure))
        self.finish_answer(answer, end=True)

    # --- the customer ---

    def _customer_began(self) -> None:
        self._customer_speaks = True
        if self._phase is Phase.OPENING:
            self._wait.set(HELLO_LONGEST, self._greet)
        elif self._phase is Phase.MAILBOX:
            self._mailbox.spoke()
        elif self._phase is Phase.TALKING:
            self._wait.clear()
        if self._noises < MOST_NOISES:  # else it is noisy here, and whoever waits for our answer would wait for ever
            self._think_no_further()
        self._listen()

    def _think_no_further(self) -> None:
        if self._brain.thinking:
            self._brain.cancel()
            self._turn.unanswered = True

    def _understood(self, event: events.AsrDelta | events.AsrFinal) -> None:
        self._comprehension.words()
        if self._phase is Phase.LEAVING:
            self._parting.understood(event.text, customer_speaks=self._customer_speaks)
        if self._phase not in (Phase.OPENING, Phase.TALKING):
            return
        start, end = event.start_time - self._answered_at, event.end_time - self._answered_at
        final = isinstance(event, events.AsrFinal)
        if self._detector.hear(event.index, event.text, start, end, final=final) is Verdict.MACHINE:
            self._meet_mailbox()
        else:
            if self._customer_speaks:
                self._think_no_further()
            self._listen()

    def _customer_ended(self, event: events.Eou) -> None:
        self._customer_speaks = False
        said = event.text.strip()
        self._comprehension.turn(said, event.end_time - event.start_time)
        found = set(intents(said))
        if self._phase is Phase.MAILBOX:
            self._mailbox.fell_silent()
        elif self._phase is Phase.LEAVING:
            if Intent.OPT_OUT in found:
                self.note("do_not_call", said[:200])
            self._parting.spoken(said, found)
        elif Intent.OPT_OUT in found:
            self._leave(self._book.opt_out, ("do_not_call", said[:200]))
        elif event.overlapped and self._voice.answer is not None:
            self._turn.overlapped(said, self._port.clock.monotonic())
        elif self._phase is Phase.OPENING:
            self._first_words(said, found)
        elif said:
            self._take_turn(said, found)
        elif self._greeting_cut and self._greetings < GREETINGS:
            self._greet()
        elif self._turn.unanswered and self._noises < MOST_NOISES:
            self._noises += 1
            if not self._go_on():
                self._take_turn(said, found)
        elif self._comprehension.lacking and not self._brain.thinking:
            self._cannot_hear()
        elif self._voice.cut_short and self._noises < MOST_NOISES and self._go_on():
            self._noises += 1
        else:
            self._listen()

    def _go_on(self) -> bool:
        """A noise has cut our voice: what was not heard of our answer is said. False if there is none."""
        purpose: Purpose = "turn" if self._turn.unanswered else "other"
        if not self._voice.cut_short or not self._brain.go_on():
            return False
        self._turn.unanswered = False
        if self._voice.answer is not None:
            self._voice.answer.purpose = purpose
        return True

    def _first_words(self, said: str, found: set[Intent]) -> None:
        if wants_no_greeting(found):
            self._phase = Phase.TALKING
            self._take_turn(said, found)
        else:
            self._greet()

    def _take_turn(self, said: str, found: set[Intent]) -> None:
        """The customer has spoken: what was said, with what went before if that was not answered yet."""
        if said:
            self._reminders = self._noises = 0
        if self._voice.greeting_waits and only_hello(found):
            return
        if self._greeting_cut and only_hello(found) and self._greetings < GREETINGS:
            self._greet()
            return
        self._greeting_cut = False
        if self._turn.unanswered:
            self._brain.rewind()
        self._wait.clear()
        self._brain.hear(self._turn.take(said))

    def _say_goodbye_on(self) -> bool:
        if self._noises >= MOST_NOISES:
            return False
        self._noises += 1
        return self._go_on()

    def _revive(self, said: str) -> None:
        """The goodbye is taken back: what was said last counts for itself, as a turn of its own."""
        self._phase = Phase.TALKING
        self._turn.unanswered = False
        self._take_turn(said, set(intents(said)))

    def _pressed(self, key: str) -> None:
        """A key stops our voice, as a word does, and counts once it is known what was heard before it."""
        if self._phase is not Phase.TALKING or not self._brain.takes(key):
            return
        self._reminders = 0
        if self._voice.answer is not None and self._voice.answer.begun and self._voice.speaks:
            self._key = key
            self._voice.interrupt()
        elif self._brain.press(key):
            self._turn.pressed(key)

    # --- our voice ---

    def _greet(self) -> None:
        if self._phase is Phase.MAILBOX:
            return
        self._phase = Phase.TALKING
        self._greetings += 1
        self._greeting_cut = False
        self._brain.begin()
        if self._voice.answer is not None:
            self._voice.answer.purpose = "greeting"

    def _say(self, *texts: str, end: bool = False) -> None:
        """Of our own accord, not in answer to a turn. A goodbye is heard out."""
        answer = self.open_answer(interruptible=not end)
        answer.purpose = "other"
        for text in texts:
            answer.add(text)
            answer.pause()
        self._brain.note_own(answer)
        self.finish_answer(answer, end=end)

    def _say_again(self, text: str) -> None:
        answer = self.open_answer()
        answer.purpose = "other"
        answer.add(text)
        answer.pause()
        self._brain.note_again(answer)
        self.finish_answer(answer)

    def _interrupted(self, play_id: str | None) -> None:
        answer = self._voice.of(play_id)
        if answer is None:
            return
        answer.cut = self._voice.cut_short = True
        heard = self._voice.heard_of(answer)
        self._brain.cut(answer, heard)
        self._greeting_cut = answer.purpose == "greeting"
        self._turn.unanswered = answer.purpose == "turn" and len(heard) < UNHEARD
        if self._phase is Phase.LEAVING:
            self._parting.interrupted(heard)

    def _ended(self, play_id: str | None) -> None:
        answer = self._voice.of(play_id)
        if answer is None:
            return
        self._voice.over()
        answer.over = True
        if answer.failed and not answer.complete:
            return  # its text is still being thought of; finish_answer goes on from here
        self._voice.answer = None
        if answer.failed:
            self._not_heard(answer)
            return
        self._speech_failures = 0
        if self._phase is Phase.LEAVING:
            self._parting.ended(answer, customer_speaks=self._customer_speaks)
            return
        key, self._key = self._key, ""
        if key and self._phase is Phase.TALKING and self._brain.press(key):
            self._turn.pressed(key)
            return
        early = self._turn.early_answer(self._port.clock.monotonic())
        if early and not answer.cut and self._phase is Phase.TALKING:
            self._take_turn(early, set(intents(early)))
        else:
            self._listen()

    def _not_heard(self, answer: Answer) -> None:
        """The fallback was heard instead: say it again, and when that does not help, goodbye from the cache."""
        if self._phase is Phase.LEAVING:
            self._parting.ended(answer, customer_speaks=self._customer_speaks)
        elif self._speech_failures < MOST_SPEECH_FAILURES:
            self._say_again(answer.text)
        else:
            self._leave(self._book.failure, ("speech_failed", "tts"))

    def _failed(self, sender: str) -> None:
        if sender == "tts" and self._voice.answer is not None:
            self._speech_failures += 1
            self._voice.answer.failed = self._voice.answer.cut = True
        elif sender == "asr":
            self._comprehension.recogniser_failed()

    def _cannot_hear(self) -> None:
        """Somebody speaks, and no words come of it: the recogniser hangs, or is out of order."""
        self._comprehension.failures += 1
        if self._comprehension.failures > len(self._book.unclear.reprompts[:1]):
            self._leave(self._book.unclear.goodbye, ("speech_failed", "asr"))
        else:
            self._say(self._text(self._book.unclear.reprompts[0]), self._brain.ask())

    # --- silence and the end ---

    def _listen(self) -> None:
        """It is the customer's turn, and perhaps taken already."""
        if self._phase is Phase.TALKING and self._voice.answer is None and not self._brain.thinking:
            self._wait.set(NOISE_SECONDS if self._customer_speaks else self._book.silence.after, self._remind)

    def _remind(self) -> None:
        if self._parting.revived:
            self._leave(self._book.goodbye)
            return
        reprompts = self._book.silence.reprompts
        if self._reminders >= len(reprompts):
            self._leave(self._book.silence.goodbye, ("no_input", ""))
            return
        reminder = self._text(reprompts[self._reminders])
        self._reminders += 1
        self._turn.unanswered = False  # what is said next answers the reminder
        self._say(reminder, self._brain.ask())

    def _leave(self, goodbye: Text, *tags: tuple[str, str]) -> None:
        """Says goodbye, is heard out, hangs up."""
        if self._phase in (Phase.LEAVING, Phase.OVER):
            return
        for name, value in tags:
            self.note(name, value)
            self._parting.final = self._parting.final or name in _NO_RETURN
        self._brain.cancel()
        self._say(self._text(goodbye), end=True)

    def _meet_mailbox(self) -> None:
        self.note("voicemail", "")
        self._wait.clear()
        self._brain.cancel()
        self._voice.silence()
        self._phase = Phase.MAILBOX
        self._mailbox.meet()

    def _hang_up(self, reason: str) -> None:
        self._port.submit(Hangup(reason=reason, initiator="system"))
        self._close()

    def _close(self) -> None:
        self._phase = Phase.OVER
        self._wait.clear()
        self._voice.over()
        self._brain.close()

    def _text(self, text: Text) -> str:
        return text.render(self._fields)
