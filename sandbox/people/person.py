"""A person on the phone: given what is heard and the time, decides what to say. No sockets, no clock, no sound.

The caller steps the person once a frame (20 ms) with a :class:`Moment` and carries out the deeds that come back.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, Protocol

from sandbox.people.ear import Ear
from sandbox.people.manner import FAREWELL, Departure, Mailbox, Manner, Reply

BREATH = 0.3
"""Seconds between the lines of somebody who talks over everything."""

PARTING = 1.0
"""Seconds between the last word of somebody who has said goodbye and the receiver going down."""

PARTING_PATIENCE = 6.0
"""The robot may finish its own goodbye first, but no longer than this many seconds."""

MAILBOX_PAUSE = 0.4
"""Seconds of nothing before a mailbox's prompt, and between its prompt and its beep."""

GOODBYES = ("再见", "拜拜")

SpeechKind = Literal["greeting", "reply", "interruption", "murmur", "talk_over", "check", "prompt"]


@dataclass(frozen=True, slots=True)
class Say:
    """Speak this text."""

    text: str
    kind: SpeechKind


@dataclass(frozen=True, slots=True)
class Sound:
    """Make this sound: a cough, a mailbox's beep of `seconds`, or the tones of `digits`."""

    name: Literal["cough", "beep", "digits"]
    seconds: float = 0.0
    digits: str = ""


@dataclass(frozen=True, slots=True)
class HangUp:
    """Put the receiver down."""

    why: str


Deed = Say | Sound | HangUp


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of time: seconds since the answer, what is heard now, and whether the person still makes a sound."""

    at: float
    loud: bool
    talking: bool
    words: str = ""
    """Words that were understood since the last step."""


class Callee(Protocol):
    """Whoever answers."""

    def step(self, moment: Moment) -> list[Deed]:
        """The deeds of this moment, mostly none. Called with rising times until HangUp comes back."""


def callee(manner: Manner, rng: random.Random) -> Callee:
    """Somebody of this manner, or the machine that answers instead."""
    return Machine(manner.mailbox) if manner.mailbox is not None else Person(manner, rng)


class Person:
    """Decides, step by step, what somebody of one manner does."""

    def __init__(self, manner: Manner, rng: random.Random) -> None:
        self._manner = manner
        self._rng = rng
        self._ear = Ear()
        self._understood = ""
        self._answered_sentence = 0
        self._wait = rng.uniform(*manner.turn_wait)
        self._used: set[int] = set()
        self._improvised = 0
        self._checks = 0
        self._lines_over = 0
        self._greeted = False
        self._interrupted = False
        self._murmurs = 0
        self._murmured_sentence = 0
        self._last_sound = 0.0
        self._last_talk = 0.0
        self._leaving = ""

    def step(self, moment: Moment) -> list[Deed]:
        """See :class:`Callee`."""
        self._ear.listen(moment.at, moment.loud)
        self._understood += moment.words
        if moment.talking:
            self._last_talk = moment.at
        if moment.talking or moment.loud:
            self._last_sound = moment.at
        departure = self._manner.departure
        if departure is not None and self._departs(departure, moment.at):
            return [HangUp("left mid-sentence" if departure.sentence else "left")]
        if self._manner.silent or moment.talking:
            return []
        if self._leaving:
            return self._part(moment)
        if self._manner.talks_over:
            return self._talk_over(moment.at)
        return self._greet(moment.at) or self._cut_in(moment.at) or self._murmur(moment.at) or self._turn(moment.at)

    def _departs(self, plan: Departure, at: float) -> bool:
        if plan.sentence == 0:
            return at >= plan.after
        return self._into(plan.sentence, plan.after, at)

    def _into(self, sentence: int, after: float, at: float) -> bool:
        """Whether the robot is `after` seconds into this sentence or a later one."""
        return self._ear.speaking and self._ear.sentences >= sentence and at - self._ear.began >= after

    def _greet(self, at: float) -> list[Deed]:
        if self._greeted or at < self._manner.greeting_after:
            return []
        self._greeted = True
        if not self._manner.greeting or self._ear.speaking:  # who is greeted first listens
            return []
        return [Say(self._manner.greeting, "greeting")]

    def _cut_in(self, at: float) -> list[Deed]:
        plan = self._manner.interruption
        if plan is None or self._interrupted or not self._into(plan.sentence, plan.after, at):
            return []
        self._interrupted = True
        self._take_turn()
        return [Say(plan.says, "interruption")]

    def _murmur(self, at: float) -> list[Deed]:
        plan = self._manner.murmur
        sentence = self._ear.sentences
        if plan is None or self._murmurs >= plan.times or self._murmured_sentence == sentence:
            return []
        if not self._into(plan.sentence, plan.after, at):
            return []
        self._murmured_sentence = sentence
        self._murmurs += 1
        return [Sound("cough") if plan.sound == "cough" else Say(plan.says, "murmur")]

    def _turn(self, at: float) -> list[Deed]:
        """Replies once the robot has been quiet for a while; asks whether it is there if it stays quiet."""
        if self._ear.speaking:
            return []
        if self._ear.sentences > self._answered_sentence and at - self._ear.ended >= self._wait:
            return self._reply()
        if at - self._last_sound < self._manner.patience:
            return []
        self._last_sound = at
        self._checks += 1
        if self._checks > len(self._manner.checks):
            return [HangUp("heard nothing")]
        return [Say(self._manner.checks[self._checks - 1], "check")]

    def _reply(self) -> list[Deed]:
        words = self._understood
        reply = self._choose(words)
        self._take_turn()
        if reply is None:
            return self._improvise(words)
        if reply.hangs_up:
            self._leaving = "had said all"
        deeds: list[Deed] = [Say(reply.says, "reply")] if reply.says else []
        return deeds + ([Sound("digits", digits=reply.presses)] if reply.presses else [])

    def _choose(self, words: str) -> Reply | None:
        """The first unused reply whose words were heard; one without words answers anything but a goodbye."""
        goodbye = any(word in words for word in GOODBYES)
        for number, reply in enumerate(self._manner.replies):
            if number in self._used and not reply.again:
                continue
            if any(word in words for word in reply.hears) or (not reply.hears and not goodbye):
                self._used.add(number)
                return reply
        return None

    def _improvise(self, words: str) -> list[Deed]:
        if any(word in words for word in GOODBYES):
            self._leaving = "said goodbye"
            return [Say(FAREWELL, "reply")]
        lines = self._manner.otherwise
        if not lines:
            return []
        self._improvised += 1
        return [Say(lines[(self._improvised - 1) % len(lines)], "reply")]

    def _take_turn(self) -> None:
        """What was heard so far has had its answer; the next wait is drawn anew, as people's waits differ."""
        self._understood = ""
        self._answered_sentence = self._ear.sentences
        self._wait = self._rng.uniform(*self._manner.turn_wait)

    def _talk_over(self, at: float) -> list[Deed]:
        due = self._last_talk + BREATH if self._lines_over else self._manner.greeting_after
        if at < due:
            return []
        self._lines_over += 1
        if self._lines_over > len(self._manner.talks_over):
            return [HangUp("had said all")]
        return [Say(self._manner.talks_over[self._lines_over - 1], "talk_over")]

    def _part(self, moment: Moment) -> list[Deed]:
        """Puts the receiver down a moment after the last word of either side."""
        quiet = moment.at - max(self._last_talk, self._ear.ended)
        if quiet >= PARTING or moment.at - self._last_talk >= PARTING_PATIENCE:
            return [HangUp(self._leaving)]
        return []


class Machine:
    """A mailbox: prompt, beep, recording. It listens to nothing."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._stage: Literal["silent", "prompting", "beeping", "recording"] = "silent"
        self._since = 0.0

    def step(self, moment: Moment) -> list[Deed]:
        """See :class:`Callee`."""
        if moment.talking:
            self._since = moment.at
            return []
        waited = moment.at - self._since
        if self._stage == "silent" and waited >= MAILBOX_PAUSE:
            return self._go("prompting", moment.at, Say(self._mailbox.prompt, "prompt"))
        if self._stage == "prompting" and waited >= MAILBOX_PAUSE:
            return self._go("beeping", moment.at, Sound("beep", seconds=self._mailbox.beep))
        if self._stage == "beeping":
            return self._go("recording", moment.at, None)
        if self._stage == "recording" and waited >= self._mailbox.records:
            return [HangUp("recording full")]
        return []

    def _go(self, stage: Literal["prompting", "beeping", "recording"], at: float, deed: Deed | None) -> list[Deed]:
        self._stage = stage
        self._since = at
        return [] if deed is None else [deed]
