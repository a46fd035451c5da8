"""The scripted dialogue: a playbook's steps, one answer at a time. Pure.

Besides what a step lists, every step understands what customers say anywhere: wrong number, not now, questions about
who, what, when and where, "say that again", hello, goodbye. What is not understood is asked again. What was cut before it
was heard is said again, from the sentence that was cut, before a yes to it counts. The wish not to be called again never
comes here: the agent sees to it, whatever the playbook.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from media.agent.intents import Intent, intents, is_acknowledgement
from media.agent.manners import asks_to_wait, meant_after_goodbye
from media.agent.playbook import Outcome, Playbook, Rule, Stop
from media.agent.premise import covers, from_sentence_with, left_over, question_of
from media.agent.templates import HEARD, Text
from media.turns import join

MAX_TURNS = 40
"""A conversation that has not come to its end by then goes in circles."""
MAX_REPEATS = 2
"""Times that one step is said again because it was not heard; after that a "what?" counts as not understood."""
MAX_RESUMED = 3
"""Times in a row that we begin anew with what was not heard, and get no further; then whoever cuts in is left alone."""
LONGEST_TAG = 200
"""Characters of a tag's value."""
_GOODBYE = re.compile(r"再见|拜拜|bye", re.IGNORECASE)
_COURTESIES = (Intent.BACKCHANNEL, Intent.THANKS)
"""To a question they are a yes, unless the step says otherwise."""

Tags = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Move:
    """What the agent does: says these texts one after another, notes tags, and hangs up when all was heard if ``end``."""

    say: tuple[str, ...] = ()
    tags: Tags = ()
    end: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    step: str = ""
    unclear: int = 0
    repeated: int = 0
    turns: int = 0
    asking_callback: bool = False
    closing: bool = False
    """The goodbye was said: what comes now is no answer to the step's question, and after one of ours it is said again."""
    notice: str = ""
    """All that the step says on entering."""
    asked: str = ""
    """What was said last that an answer refers to."""
    owed: str = ""
    """What of ``asked`` was not heard, since we were cut."""
    resumed: int = 0


class ScriptedDialogue:
    """One call's. Every method returns the move to make."""

    def __init__(self, playbook: Playbook, fields: Mapping[str, str]) -> None:
        self._book = playbook
        self._fields = fields
        self._place = _Place(step=playbook.start)
        self._before = self._place

    def begin(self) -> Move:
        """The greeting, and the first step behind it."""
        move = self._enter(self._book.start, [self._text(self._book.greeting)], ())
        self._place = replace(self._place, asked=_joined(move.say), owed="")
        return move

    def hear(self, said: str) -> Move:
        """The customer's turn. Nothing to say means that nothing needs to be said."""
        self._before = self._place
        self._place = replace(self._place, turns=self._place.turns + 1)
        found = meant_after_goodbye(said) if self._place.closing else intents(said)
        if self._place.owed and is_acknowledgement(said):
            return self._then_ask()
        if self._place.asking_callback:
            return self._callback_time(said)
        if self._place.turns > MAX_TURNS:
            return self._end([], (("unclear", ""),))
        return self._react(said, found)

    def press(self, key: str) -> Move | None:
        """A key of the phone. None if the step has no use for it."""
        for rule, outcome in self._stop.branches:
            if rule.kind == "key" and rule.key == key:
                self._before = self._place
                return self._then_ask() if self._place.owed else self._follow(outcome, key)
        return None

    def takes(self, key: str) -> bool:
        """Whether the step has a use for a key of the phone."""
        return any(rule.kind == "key" and rule.key == key for rule, _ in self._stop.branches)

    def ask(self) -> str:
        """What is still to be heard of what was said last; if all was heard, the short form of the question, or ""."""
        place = self._place
        text = place.owed or self._question()
        if text:
            self._place = replace(place, asked=text, owed="", resumed=place.resumed + bool(place.owed))
        return text

    def go_on(self) -> str:
        """What is still to be heard of what was said last, or "": nobody has cut in but a noise, which counts for nothing."""
        place = self._place
        if place.owed:
            self._place = replace(place, asked=place.owed, owed="")
        return place.owed

    def cut(self, said: str, heard: str) -> None:
        """Of what we ``said`` last only this was ``heard``."""
        place = self._place
        if covers(said, place.asked):
            owed = left_over(place.asked, said, heard, self._question())
            self._place = replace(place, owed=owed, resumed=place.resumed if owed == place.asked else 0)

    def rewind(self) -> None:
        """The answer to the last turn was not heard: it counts as not given."""
        self._place = self._before

    @property
    def _stop(self) -> Stop:
        return self._book.steps[self._place.step]

    def _question(self) -> str:
        if self._place.asking_callback:
            return question_of(self._text(self._book.callback_ask))
        return "" if self._place.closing else self._text(self._stop.again)

    def _text(self, text: Text | None, heard: str = "") -> str:
        return text.render({**self._fields, HEARD: heard}) if text is not None else ""

    # --- reacting ---

    def _react(self, said: str, found: tuple[Intent, ...]) -> Move:
        for rule, outcome in self._stop.branches:
            if rule.kind in ("words", "pattern") and _says(rule, said):
                return self._leave_or(outcome, said, found)
        for intent in found:
            branch = self._branch(intent)
            if branch is not None:
                return self._leave_or(branch, said, found)
            move = self._anywhere(intent, said)
            if move is not None:
                return move
        return self._not_understood(said)

    def _branch(self, intent: Intent) -> Outcome | None:
        """The step's own branch for an intent."""
        wanted = (intent, Intent.YES) if intent in _COURTESIES else (intent,)
        for name in wanted:
            for rule, outcome in self._stop.branches:
                if rule.intent is name:
                    return outcome
        return None

    def _leave_or(self, outcome: Outcome, said: str, found: tuple[Intent, ...]) -> Move:
        """Follows a branch; but who says goodbye with the answer is let go: "好的，谢谢，再见"."""
        if Intent.GOODBYE in found and not outcome.end and self._branch(Intent.GOODBYE) is None:
            return self._end([], self._tags(outcome, said))
        return self._follow(outcome, said)

    def _anywhere(self, intent: Intent, said: str) -> Move | None:
        """What every step understands."""
        book = self._book
        if intent is Intent.WRONG_NUMBER:
            return Move((self._text(book.wrong_number),), (("wrong_number", ""),), True)
        if intent is Intent.CALLBACK:
            asked = self._text(book.callback_ask)
            self._place = replace(self._place, asking_callback=True, asked=asked, owed="", resumed=0)
            return Move((asked,), (("callback_wanted", said[:LONGEST_TAG]),))
        if intent is Intent.GOODBYE:
            return self._end([], self._answer_tags(said))
        if intent is Intent.REPEAT:
            return self._repeat()
        if intent in book.answers:
            return self._tell(self._text(book.answers[intent]))
        return None

    def _tell(self, answer: str) -> Move:
        """Answers a question. Where what we were cut in is the answer, that is said, and nothing twice."""
        place = self._place
        if place.closing:
            return self._end([answer], ())
        if place.owed and covers(place.notice, answer):
            self._place = replace(place, owed=from_sentence_with(place.notice, answer))
            return self._then_ask()
        return self._then_ask(answer)

    def _then_ask(self, *says: str) -> Move:
        """Says this, then what is still to be heard, or asks again. Who cuts in again and again is left alone."""
        if self._place.owed and self._place.resumed >= MAX_RESUMED:
            return self._end([*says, self._text(self._book.unheard)], (("unheard", ""),))
        return Move(tuple(filter(None, (*says, self.ask()))))

    def _answer_tags(self, said: str) -> Tags:
        """What a goodbye answers on the way: "不需要，再见" is still a no. A yes needs a question that was heard."""
        for intent in (Intent.NO,) if self._place.owed else (Intent.NO, Intent.YES):
            branch = self._branch(intent) if intent in intents(said) else None
            if branch is not None:
                return self._tags(branch, said)
        return ()

    def _callback_time(self, said: str) -> Move:
        self._place = replace(self._place, asking_callback=False)
        return self._end([self._text(self._book.callback_done)], (("callback_wanted", said[:LONGEST_TAG]),))

    def _repeat(self) -> Move:
        """Says again what the step says; the greeting if it has no words of its own. Not for ever."""
        if self._place.repeated >= MAX_REPEATS:
            return self._not_understood("")
        said = self._place.notice or self._question() or self._text(self._book.greeting)
        self._place = replace(self._place, repeated=self._place.repeated + 1, asked=said, owed="")
        return Move((said,))

    def _not_understood(self, said: str) -> Move:
        if self._place.closing:
            return self._not_understood_in_closing(said)
        if self._stop.otherwise is not None:
            return self._then_ask() if self._place.owed else self._follow(self._stop.otherwise, said)
        unclear = self._book.unclear
        count = self._place.unclear
        self._place = replace(self._place, unclear=count + 1)
        if count >= len(unclear.reprompts):
            return self._end([self._text(unclear.goodbye)], (("unclear", ""),))
        return self._then_ask(self._text(unclear.reprompts[count]))

    def _not_understood_in_closing(self, said: str) -> Move:
        """Who asks us to wait is listened to. The call had its outcome: that we cannot help is none."""
        unclear, count = self._book.unclear, self._place.unclear
        self._place = replace(self._place, unclear=count + 1)
        if count < MAX_REPEATS and asks_to_wait(said):
            return Move((self._text(self._book.go_ahead),))
        if count >= len(unclear.reprompts):
            return self._end([self._text(unclear.goodbye)], ())
        return Move((self._text(unclear.reprompts[count]),))

    # --- moving on ---

    def _follow(self, outcome: Outcome, said: str) -> Move:
        says, tags = [self._text(outcome.say, said)], self._tags(outcome, said)
        self._place = replace(self._place, unclear=0, repeated=0)
        if outcome.end:
            return self._end(says, tags)
        if outcome.go:
            return self._enter(outcome.go, says, tags, said)
        if self._place.owed:
            return replace(self._then_ask(*says), tags=tags)
        return Move(tuple(filter(None, says)), tags)

    def _enter(self, name: str, says: list[str], tags: Tags, said: str = "") -> Move:
        """On to a step, and through those that do not listen. Loading made sure that this comes to an end."""
        replies = len(says)
        while True:
            stop = self._book.steps[name]
            says.append(self._text(stop.entering.say, said))
            tags += self._tags(stop.entering, said)
            if stop.entering.end:
                return self._end(says, tags)
            if stop.listens:
                notice = _joined(says[replies:])
                asked = notice or _joined(says)  # a step without words of its own is asked by what leads to it
                place = replace(self._place, step=name, notice=notice, asked=asked)
                self._place = replace(place, owed="", resumed=0, closing=False)
                return Move(tuple(filter(None, says)), tags)
            name = stop.entering.go

    def _end(self, says: list[str], tags: Tags) -> Move:
        """Nobody is left without a goodbye."""
        self._place = replace(self._place, closing=True, asked="", owed="")
        said = [text for text in says if text]
        if not says_goodbye("".join(said)):
            said.append(self._text(self._book.goodbye))
        return Move(tuple(said), tags, True)

    def _tags(self, outcome: Outcome, said: str) -> Tags:
        return tuple((name, self._text(value, said)[:LONGEST_TAG]) for name, value in outcome.tags)


def _joined(says: Iterable[str]) -> str:
    return functools.reduce(join, says, "")


def says_goodbye(text: str) -> bool:
    """Whether there is a goodbye in it."""
    return _GOODBYE.search(text) is not None


def _says(rule: Rule, said: str) -> bool:
    if rule.pattern is not None:
        return rule.pattern.search(said) is not None
    return any(word in said.lower() for word in rule.words)
