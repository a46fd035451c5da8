"""Which words a call's record must hold, by the witness alone: what our files say plays no part in it.

The sandbox reports when each word of the robot had been heard, what its people said and when, and which stretches of
that a socket took. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

LAST_SECOND_MS = 1250
"""What may be lost with a process: it writes what was heard so far about once a second (docs/reliability.md), and a busy
machine a quarter of a second late."""
UNDERSTOOD_MS = 500
"""From a person's word to its being understood: recognition takes 30 ms after the word's end, a busy machine longer; and
where in a sentence a word stood is known by its share of the sentence only."""
HUNG_UP_MS = 300
"""A call's end reaches media that much later than the ear, or its last word that much earlier, at most."""
FRAME_MS = 20
_SOUNDS = ("digits", "cough", "beep")
"""What people do that is no word."""


@dataclass(frozen=True)
class Word:
    """One character that counts as a word or part of one. Times are milliseconds since the answer."""

    text: str
    began: float
    """When what it belongs to began: a saying, or the piece of one."""
    start: float
    end: float


@dataclass(frozen=True)
class Stretch:
    """A time of a call, in milliseconds since the answer."""

    start: float
    end: float


def answered_ms(report: dict[str, Any]) -> int | None:
    """When the witness says that the call was answered (Unix time); None if it was not."""
    return next((int(mark["wall_ms"]) for mark in report["states"] if mark["state"] == "answered"), None)


def ended_ms(report: dict[str, Any]) -> float:
    """The end of a talk, in milliseconds since the answer: when it was over, or when we wanted it to be, which the phone
    system may have refused."""
    hung_up = [action["at_ms"] for action in report["actions"] if action["action"] == "hangup"]
    return float(min([report["audio"]["talk_seconds"] * 1000, *hung_up]))


def heard(report: dict[str, Any]) -> list[Word]:
    """What the callee understood of us, in order."""
    pieces = report["audio"]["heard"]["words"]
    return [word for piece in pieces for word in _spread(piece["text"], piece["start_ms"], piece["end_ms"])]


def said(report: dict[str, Any]) -> list[Word]:
    """What the callee said to its end, in order: of what the call's end cut off nobody knows how far it came."""
    over = ended_ms(report)
    sayings = [one for one in report["audio"]["said"] if one["kind"] not in _SOUNDS and one["end_ms"] < over - FRAME_MS]
    return [word for one in sayings for word in _spread(one["text"], one["start_ms"], one["end_ms"])]


def must_be_recorded(
    report: dict[str, Any],
    deaths: Sequence[int] = (),
    unwritten: Sequence[Stretch] = (),
    unheard: Sequence[Stretch] = (),
) -> dict[str, str]:
    """By role, the words that nothing excuses. All in Unix time, milliseconds: when a media process died; when nothing
    could be written, which loses the words of that time in calls that ended in it, and the calls that began in it; and when recognition was at
    fault, which loses what was said in calls of that time.

    A word that we said is ours to keep unless the line broke within a second after it, or media died within a second
    after the call. What was heard while there was no line came from one that had died. A word that the callee said is
    ours if a socket took it, and was still there long enough afterwards; and if media ever learned whose call it was:
    where workers have no database for ten seconds, somebody may give up before that.
    """
    answered = answered_ms(report)
    assert answered is not None, "a call with a talk was answered"
    over = ended_ms(report)
    carried = report["audio"]["line"]["carried_ms"]
    lines = [Stretch(start, min(end, over)) for start, end in carried if start < over]
    last = HUNG_UP_MS + (LAST_SECOND_MS if _died_at(answered + over, deaths) else 0)
    lasts = [last if line is lines[-1] and line.end >= over - HUNG_UP_MS else LAST_SECOND_MS for line in lines]
    ours = [Stretch(line.start, line.end - lost) for line, lost in zip(lines, lasts, strict=True)]
    theirs = [
        Stretch(line.start, line.end - lost - UNDERSTOOD_MS)
        for line, lost in zip(lines, lasts, strict=True)
        if line.end >= over - HUNG_UP_MS or _taken(report, line)
    ]
    if any(one.start <= answered <= one.end for one in unwritten):
        return {"assistant": "", "user": ""}
    nobody_knew = not any(action["action"] == "start_stream" for action in report["actions"])
    if nobody_knew or during(report, unheard):
        theirs = []
    away = [
        Stretch(one.start - answered - LAST_SECOND_MS, one.end - answered + LAST_SECOND_MS)
        for one in unwritten
        if answered + over <= one.end + LAST_SECOND_MS  # else it waited in memory, and was written when there was room
    ]
    return {"assistant": _within(heard(report), ours, away), "user": _within(said(report), theirs, away)}


def during(report: dict[str, Any], stretches: Sequence[Stretch]) -> bool:
    """Whether the call's talk touches one of the stretches, in Unix time."""
    answered = answered_ms(report)
    return answered is not None and any(
        one.start <= answered + ended_ms(report) and answered <= one.end for one in stretches
    )


def missing(expected: str, recorded: str) -> int:
    """How many of the expected words are in no place of the record that keeps their order."""
    if expected in recorded:
        return 0
    best = [0] * (len(recorded) + 1)  # of the longest common subsequence
    for word in expected:
        before = 0
        for place, other in enumerate(recorded, 1):
            before, best[place] = best[place], before + 1 if word == other else max(best[place], best[place - 1])
    return len(expected) - best[-1]


def words_of(texts: Iterable[str]) -> str:
    """The characters of a dialogue that count: recognition may set its marks and spaces as it likes."""
    return "".join(char for text in texts for char in text if char.isalnum())


def _spread(text: str, start: float, end: float) -> list[Word]:
    """The characters of a piece, its time shared out evenly."""
    share = (end - start) / max(1, len(text))
    return [
        Word(char, start, start + place * share, start + (place + 1) * share)
        for place, char in enumerate(text)
        if char.isalnum()
    ]


def _within(words: Iterable[Word], stretches: Sequence[Stretch], away: Sequence[Stretch]) -> str:
    """The words that lie wholly in one of the stretches, and touch none that are away. A socket that opened in the middle
    of a saying took what followed a while later: where in it a word stood is not known better."""
    return "".join(
        word.text
        for word in words
        if any(
            (one.start <= word.began or one.start + UNDERSTOOD_MS <= word.start) and word.end <= one.end
            for one in stretches
        )
        and not any(one.start < word.end and word.start < one.end for one in away)
    )


def _taken(report: dict[str, Any], line: Stretch) -> bool:
    """Whether a line that broke had been taken by somebody who knew the call: the first that such a one does is to begin
    the stream. A worker may have died before it wrote down whose call this is; until another has, nothing is recorded."""
    begun = [action["at_ms"] for action in report["actions"] if action["action"] == "start_stream"]
    return any(line.start <= at <= line.end - LAST_SECOND_MS for at in begun)


def _died_at(end: float, deaths: Sequence[int]) -> bool:
    """Whether media died at a call's end, or so soon after it that it cannot have written the last of it."""
    return any(abs(death - end) <= LAST_SECOND_MS for death in deaths)
