"""What decides the words: the interface between the agent, who has the conversation's manners, and its two minds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from media.agent.answer import Answer
from media.agent.playbook import Playbook
from media.agent.scripted import Move, ScriptedDialogue

UNHEARD = 4
"""Characters: of an answer that was cut so early nothing was understood; the turn before it goes on."""


class Host(Protocol):
    """What a brain asks of the agent."""

    def open_answer(self, *, interruptible: bool = True) -> Answer:
        """A new answer of ours; what still played of the one before is cut by its first sentence."""

    def finish_answer(self, answer: Answer, *, end: bool = False) -> None:
        """All of it was added. ``end``: hang up when it was heard."""

    def note(self, name: str, value: str) -> None:
        """An outcome of the call."""

    def give_up(self) -> None:
        """No answer can be found: the agent says so, behind what of one is being said, and goodbye."""


class Brain(Protocol):
    """Decides what is said. Never called once ``close`` was."""

    def begin(self) -> None:
        """The greeting. May be asked for again if nobody heard it."""

    def hear(self, said: str) -> None:
        """The customer's turn; the answer comes through the host, at once or later."""

    def takes(self, key: str) -> bool:
        """Whether a key of the phone means anything here."""

    def press(self, key: str) -> bool:
        """A key of the phone. False if it means nothing here."""

    def ask(self) -> str:
        """What a reminder ends with: what was not heard of what was last said, or the question again; may be ""."""

    def go_on(self) -> bool:
        """Nothing but a noise has cut our voice: says what was not heard, as a new answer. False if all was heard."""

    def cut(self, answer: Answer, heard: str) -> None:
        """The customer heard no more of this answer than ``heard``."""

    def note_own(self, answer: Answer) -> None:
        """This is said of the agent's own accord: a reminder, a goodbye. All of its text was added."""

    def note_again(self, answer: Answer) -> None:
        """Synthesis failed, and what was said last is said again as this answer."""

    def rewind(self) -> None:
        """The last turn goes on: its answer was not heard, and ``hear`` comes again with the whole of it."""

    def cancel(self) -> None:
        """The customer speaks again before an answer was found: think no further."""

    @property
    def thinking(self) -> bool:
        """Whether an answer is still to come, and none of it was said."""

    def close(self) -> None:
        """The call is over."""


class ScriptedBrain:
    """Implements Brain with a playbook's steps: it never needs to think."""

    thinking = False

    def __init__(self, host: Host, playbook: Playbook, fields: Mapping[str, str]) -> None:
        self._host = host
        self._lost = ""
        """Our last answer, if it was cut before anything of it was understood."""
        self._dialogue = ScriptedDialogue(playbook, fields)

    def begin(self) -> None:
        """See Brain."""
        self._make(self._dialogue.begin())

    def hear(self, said: str) -> None:
        """See Brain. A yes to what was not heard is none: it is said first."""
        self._make(self._dialogue.hear(said))

    def takes(self, key: str) -> bool:
        """See Brain."""
        return self._dialogue.takes(key)

    def press(self, key: str) -> bool:
        """See Brain."""
        move = self._dialogue.press(key)
        if move is not None:
            self._make(move)
        return move is not None

    def ask(self) -> str:
        """See Brain."""
        return self._dialogue.ask()

    def go_on(self) -> bool:
        """See Brain. What is told of the step's words; and the reply before them, if nothing was heard of that."""
        owed = self._dialogue.go_on()
        rest, self._lost = self._lost or owed, ""
        if rest:
            self._make(Move((rest,)))
        return rest != ""

    def cut(self, answer: Answer, heard: str) -> None:
        """See Brain."""
        self._lost = answer.text if len(heard) < UNHEARD else ""
        self._dialogue.cut(answer.text, heard)

    def note_own(self, answer: Answer) -> None:
        """See Brain. ``ask`` has told what of it an answer refers to."""

    def note_again(self, answer: Answer) -> None:
        """See Brain."""

    def rewind(self) -> None:
        """See Brain."""
        self._dialogue.rewind()

    def cancel(self) -> None:
        """See Brain."""

    def close(self) -> None:
        """See Brain."""

    def _make(self, move: Move) -> None:
        for name, value in move.tags:
            self._host.note(name, value)
        answer = self._host.open_answer(interruptible=not move.end)
        for text in move.say:
            answer.add(text)
            answer.pause()
        self._host.finish_answer(answer, end=move.end)
