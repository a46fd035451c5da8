"""The table of attacks that pytest prints at its end: one line for each, whether it struck a house of processes or one process.

Whoever attacks makes a Verdict, counts into it what happened, and gives it to ``record``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

HEADER = """| attack | tried | tasks | survived | answered | rings per call row (max) | tasks not final | lost words |
|---|---|---|---|---|---|---|---|"""


@dataclass
class Verdict:
    """One line of the table."""

    attack: str
    tried: int = 0
    """Blows struck: deaths, kills, outages, stops, races, things told in disorder, forged requests."""
    tasks: int = 0
    suffered: set[str] = field(default_factory=set)
    """Tasks that lost something, each by a name of its own: not final, rung twice, words or sound missing."""
    answered: int = 0
    most_rings: int = 0
    not_final: int = 0
    speech: bool = True
    """Whether anybody says anything in this attack; if not, no word can be lost."""
    words: int = 0
    """What the witness heard of us and what its people said to us, in words that no death excuses."""
    lost_words: int = 0
    """Those of them that are in no record."""
    broken: list[str] = field(default_factory=list)
    """What was promised and did not hold."""

    @property
    def survived(self) -> int:
        """Tasks that kept all that was promised to each."""
        return self.tasks - len(self.suffered)

    def __str__(self) -> str:
        lost = f"{self.lost_words} of {self.words}" if self.speech else "-"
        return (
            f"| {self.attack} | {self.tried} | {self.tasks} | {self.survived} | {self.answered} | {self.most_rings} "
            f"| {self.not_final} | {lost} |"
        )


_recorded: list[Verdict] = []


def record(*verdicts: Verdict) -> None:
    """Puts them in the table, and fails if a promise was broken."""
    _recorded.extend(verdicts)
    assert not any(verdict.broken for verdict in verdicts), "\n".join(
        f"{verdict.attack}: {what}" for verdict in verdicts for what in verdict.broken
    )


@contextmanager
def recorded(attack: str, *, speech: bool = True) -> Iterator[Verdict]:
    """A verdict to count into, which is in the table whether or not the test fails that struck the attack."""
    verdict = Verdict(attack, speech=speech)
    try:
        yield verdict
    finally:
        _recorded.append(verdict)


def told() -> list[dict[str, Any]]:
    """What is in the table, as one process tells it to another."""
    return [asdict(verdict) | {"suffered": sorted(verdict.suffered)} for verdict in _recorded]


def take(verdicts: Iterable[dict[str, Any]]) -> None:
    """Puts in the table what another process has ``told``."""
    _recorded.extend(Verdict(**{**verdict, "suffered": set(verdict["suffered"])}) for verdict in verdicts)


def lines() -> list[str]:
    """The whole table, in the order in which attacks were first struck; nothing if none was. What was struck under one
    name again and again, with other seeds or lives, is one line."""
    named: dict[str, list[Verdict]] = {}
    for verdict in _recorded:
        named.setdefault(verdict.attack, []).append(verdict)
    return [*HEADER.splitlines(), *(str(summed(several)) for several in named.values())] if named else []


def summed(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict for all of them, whose tasks are others each time."""
    return Verdict(
        verdicts[0].attack,
        tried=sum(one.tried for one in verdicts),
        tasks=sum(one.tasks for one in verdicts),
        suffered={f"{place}: {task}" for place, one in enumerate(verdicts) for task in one.suffered},
        answered=sum(one.answered for one in verdicts),
        most_rings=max(one.most_rings for one in verdicts),
        not_final=sum(one.not_final for one in verdicts),
        speech=any(one.speech for one in verdicts),
        words=sum(one.words for one in verdicts),
        lost_words=sum(one.lost_words for one in verdicts),
        broken=[what for one in verdicts for what in one.broken],
    )
