"""The scripted dialogue: a playbook's steps, one answer at a time. Pure.

Besides what a step lists, every step understands what customers say anywhere: wrong number, not now, questions about
who, what, when and where, "say that again", hello, goodbye. What is not understood is asked again. The wish not to be
called again never comes here: the agent sees to it, whatever the playbook.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from media.agent.intents import Intent, intents
from media.agent.playbook import Outcome, Playbook, Rule, Stop
from media.agent.templates import HEARD, Text

MAX_TURNS = 40
"""A conversation that has not come to its end by then goes in circles."""
MAX_REPEATS = 2
"""Times that one step is said again because it was not heard; after that a "what?" counts as not understood."""
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


class ScriptedDialogue:
    """One call's. Every method returns the move to make."""

    def __init__(self, playbook: Playbook, fields: Mapping[str, str]) -> None:
        self._book = playbook
        self._fields = fields
        self._place = _Place(step=playbook.start)
        self._before = self._place

    def begin(self) -> Move:
        """The greeting, and the first step behind it."""
        return self._enter(self._book.start, [self._text(self._book.greeting)], ())

    def hear(self, said: str) -> Move:
        """The customer's turn. Nothing to say means that nothing needs to be said."""
        self._before = self._place
        self._place = replace(self._place, turns=self._place.turns + 1)
        found = intents(said)
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
                return self._follow(outcome, key)
        return None

    def again(self) -> str:
        """The short form of what was last asked, or ""."""
        return self._text(self._stop.again)

    def rewind(self) -> None:
        """The answer to the last turn was not heard: it counts as not given."""
        self._place = self._before

    @property
    def _stop(self) -> Stop:
        return self._book.steps[self._place.step]

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
            self._place = replace(self._place, asking_callback=True)
            return Move((self._text(book.callback_ask),), (("callback_wanted", said[:LONGEST_TAG]),))
        if intent is Intent.GOODBYE:
            return self._end([], self._answer_tags(said))
        if intent is Intent.REPEAT:
            return self._repeat()
        if intent in book.answers:
            return Move(tuple(filter(None, (self._text(book.answers[intent]), self.again()))))
        return None

    def _answer_tags(self, said: str) -> Tags:
        """What a goodbye answers on the way: "不需要，再见" is still a no."""
        for intent in (Intent.NO, Intent.YES):
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
        self._place = replace(self._place, repeated=self._place.repeated + 1)
        said = self._text(self._stop.entering.say) or self.again() or self._text(self._book.greeting)
        return Move((said,))

    def _not_understood(self, said: str) -> Move:
        if self._stop.otherwise is not None:
            return self._follow(self._stop.otherwise, said)
        unclear = self._book.unclear
        count = self._place.unclear
        self._place = replace(self._place, unclear=count + 1)
        if count >= len(unclear.reprompts):
            return self._end([self._text(unclear.goodbye)], (("unclear", ""),))
        return Move(tuple(filter(None, (self._text(unclear.reprompts[count]), self.again()))))

    # --- moving on ---

    def _follow(self, outcome: Outcome, said: str) -> Move:
        says, tags = [self._text(outcome.say, said)], self._tags(outcome, said)
        self._place = replace(self._place, unclear=0, repeated=0)
        if outcome.end:
            return self._end(says, tags)
        if outcome.go:
            return self._enter(outcome.go, says, tags, said)
        return Move(tuple(filter(None, says)), tags)

    def _enter(self, name: str, says: list[str], tags: Tags, said: str = "") -> Move:
        """On to a step, and through those that do not listen. Loading made sure that this comes to an end."""
        while True:
            stop = self._book.steps[name]
            says.append(self._text(stop.entering.say, said))
            tags += self._tags(stop.entering, said)
            if stop.entering.end:
                return self._end(says, tags)
            if stop.listens:
                self._place = replace(self._place, step=name)
                return Move(tuple(filter(None, says)), tags)
            name = stop.entering.go

    def _end(self, says: list[str], tags: Tags) -> Move:
        """Nobody is left without a goodbye."""
        said = [text for text in says if text]
        if not says_goodbye("".join(said)):
            said.append(self._text(self._book.goodbye))
        return Move(tuple(said), tags, True)

    def _tags(self, outcome: Outcome, said: str) -> Tags:
        return tuple((name, self._text(value, said)[:LONGEST_TAG]) for name, value in outcome.tags)


def says_goodbye(text: str) -> bool:
    """Whether there is a goodbye in it."""
    return _GOODBYE.search(text) is not None


def _says(rule: Rule, said: str) -> bool:
    if rule.pattern is not None:
        return rule.pattern.search(said) is not None
    return any(word in said.lower() for word in rule.words)
