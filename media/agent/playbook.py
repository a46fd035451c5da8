"""Playbooks as the agent uses them: checked, compiled, and chosen by a ticket's type."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from media.agent.intents import Intent
from media.agent.sentences import split
from media.agent.templates import Text
from media.turns import TurnRule
from shared.errors import WaihuError

log = logging.getLogger(__name__)


class PlaybookError(WaihuError):
    """Playbooks cannot be used; every line of the message names a file, a line and a field."""

    code = "playbook"


@dataclass(frozen=True, slots=True)
class Rule:
    """When a branch is taken."""

    kind: Literal["intent", "words", "pattern", "key"]
    intent: Intent | None = None
    words: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a branch or step does. ``tags``: name and template of its value. ``go``: a step's name, or ""."""

    say: Text | None
    tags: tuple[tuple[str, Text], ...]
    go: str
    end: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """One step: its outcome on entering, then, if it has branches, what the answer leads to."""

    entering: Outcome
    again: Text | None
    branches: tuple[tuple[Rule, Outcome], ...]
    otherwise: Outcome | None

    @property
    def listens(self) -> bool:
        """Whether it waits for an answer."""
        return bool(self.branches) or self.otherwise is not None


@dataclass(frozen=True, slots=True)
class Prompting:
    """Reminders and how they end; ``after`` in seconds."""

    after: float
    reprompts: tuple[Text, ...]
    goodbye: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Playbook:
    """One way to talk. Durations are seconds."""

    name: str
    path: Path
    serves: tuple[str, ...]
    default: bool
    kind: Literal["scripted", "llm"]
    language: str
    voice: str
    speed: float
    volume: int
    greeting: Text
    hello_wait: float
    silence: Prompting
    unclear: Prompting
    goodbye: Text
    opt_out: Text
    wrong_number: Text
    callback_ask: Text
    callback_done: Text
    go_ahead: Text
    apology: Text
    failure: Text
    thinking: Text | None
    voicemail: Text | None
    longest: float
    unheard: Text
    ending: Text
    turns: TurnRule
    answers: Mapping[Intent, Text]
    start: str
    steps: Mapping[str, Stop]
    prompt: Text | None
    tools: tuple[str, ...]
    outcomes: tuple[str, ...]
    fallback: str

    def constant_pieces(self) -> Iterator[str]:
        """What may be said in any call and is the same in all, in the pieces in which it is spoken: worth synthesising
        before the first call. What is said when something fails comes first; ``apology`` is spoken by sessions, whole."""
        if self.apology.constant:
            yield self.apology.source.strip()
        for text in self._texts():
            if text is not None and text.constant:
                yield from split(text.source.strip())

    def _texts(self) -> Iterator[Text | None]:
        yield from (
            self.apology,
            self.failure,
            self.greeting,
            self.goodbye,
            self.opt_out,
            self.wrong_number,
            self.unheard,
            self.ending,
        )
        yield from (*self.silence.reprompts, self.silence.goodbye, *self.unclear.reprompts, self.unclear.goodbye)
        yield from (self.callback_ask, self.callback_done, self.go_ahead, self.thinking, self.voicemail)
        yield from self.answers.values()
        for stop in self.steps.values():
            yield from (stop.entering.say, stop.again)
            yield from (outcome.say for _, outcome in stop.branches)
            yield stop.otherwise.say if stop.otherwise else None


class Playbooks:
    """All of them. One is the default."""

    def __init__(self, playbooks: Sequence[Playbook]) -> None:
        self._all = {playbook.name: playbook for playbook in playbooks}
        self._default = next(playbook for playbook in playbooks if playbook.default)

    def __iter__(self) -> Iterator[Playbook]:
        return iter(self._all.values())

    def __len__(self) -> int:
        return len(self._all)

    def named(self, name: str) -> Playbook:
        """Raises KeyError."""
        return self._all[name]

    def serving(self, ticket_type: str) -> Playbook:
        """The playbook for a ticket type: by its exact name, else the longest prefix, else a pattern, else the default."""
        exact = [book for book in self if ticket_type in book.serves]
        prefixed = [
            (len(served), book)
            for book in self
            for served in book.serves
            if served.endswith("*") and ticket_type.startswith(served[:-1])
        ]
        matching = [book for book in self if any(_matches(served, ticket_type) for served in book.serves)]
        if exact:
            return exact[0]
        if prefixed:
            return max(prefixed, key=lambda found: found[0])[1]
        return matching[0] if matching else self._default

    def choose(self, ticket_type: str, *, llm: bool) -> Playbook:
        """As ``serving``; without a language model, the scripted playbook that an LLM one names in its stead."""
        playbook = self.serving(ticket_type)
        if playbook.kind == "scripted" or llm:
            return playbook
        fallback = self._all[playbook.fallback]
        log.info(
            "no language model is configured, the scripted fallback is used",
            extra={"playbook": playbook.name, "fallback": fallback.name},
        )
        return fallback


def is_pattern(served: str) -> bool:
    """Whether an entry of ``serves`` is a regular expression between slashes."""
    return len(served) > 2 and served.startswith("/") and served.endswith("/")


def compile_pattern(entry: str, flags: int = 0) -> re.Pattern[str]:
    """The expression between the slashes. Raises ValueError, which says what is wrong with it."""
    try:
        return re.compile(entry[1:-1], flags)
    except (re.error, OverflowError, RecursionError) as error:  # a count beyond 2**32; a thousand brackets
        raise ValueError(f"not a pattern: {error}") from error


def _matches(served: str, ticket_type: str) -> bool:
    return is_pattern(served) and re.fullmatch(served[1:-1], ticket_type) is not None
