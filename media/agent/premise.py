"""What of our words the customer has heard, and what has to be said (again) before an answer to them counts. Pure.

Texts are compared letter by letter: marks and blanks are not heard, and a transcript may have other ones.
"""

from __future__ import annotations

import re

from media.subtitle import sentence_ends

ENOUGH = 0.5
"""Of a question: who heard so much of its last clause knows what is asked."""
_CLAUSE_END = re.compile(r"[，、：；。！？…]+|[,:;.!?](?!\w)")


def left_over(owed: str, said: str, heard: str, question: str = "") -> str:
    """What is still to be said of ``owed`` after we said ``said`` and ``heard`` was heard of that; "" if nothing is.

    From the sentence that was cut; if only the question at the end was, its short form ``question`` if there is one.
    ``owed`` itself if it did not come up in ``said``, or nothing of it was heard.
    """
    wanted, spoken = _letters(owed), _letters(said)
    begins = spoken.rfind(wanted)
    reached = _agreeing(spoken, _letters(heard)) - begins
    if not wanted or begins < 0 or reached <= 0:
        return owed
    if reached >= len(wanted):
        return ""
    clause = _last_clause(owed)
    asked, before = len(_letters(owed[clause:])), len(_letters(owed[:clause]))
    if reached < before:
        return owed[_sentence_of(owed, reached) :].strip()
    if reached - before >= asked * ENOUGH:
        return ""
    return question or owed[clause:].strip()


def unheard(said: str, heard: str) -> str:
    """What of ``said`` lies behind what was ``heard``."""
    count = _agreeing(_letters(said), _letters(heard))
    return said[_place_of(said, count) :].strip() if count else said.strip()


def cut_sentence(said: str, heard: str) -> int:
    """Where in ``said`` the sentence begins whose end was not ``heard``; its length if all of it was."""
    count = _agreeing(_letters(said), _letters(heard))
    return _sentence_of(said, count) if count < len(_letters(said)) else len(said)


def question_of(text: str) -> str:
    """Its last clause, which asks."""
    return text[_last_clause(text) :].strip()


def covers(text: str, part: str) -> bool:
    """Whether all that ``part`` says is said in ``text``."""
    return bool(_letters(part)) and _letters(part) in _letters(text)


def from_sentence_with(text: str, part: str) -> str:
    """``text`` from the sentence in which ``part``, which it covers, begins."""
    return text[_sentence_of(text, _letters(text).find(_letters(part))) :].strip()


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


def _agreeing(said: str, heard: str) -> int:
    """How many letters from the beginning are the same."""
    both = enumerate(zip(said, heard, strict=False))
    return next((at for at, (ours, theirs) in both if ours != theirs), min(len(said), len(heard)))


def _place_of(text: str, letters: int) -> int:
    """Where the letter behind the first ``letters`` ones stands."""
    places = [at for at, character in enumerate(text) if character.isalnum()]
    return places[letters] if letters < len(places) else len(text)


def _sentence_of(text: str, letters: int) -> int:
    """Where the sentence begins to which the letter behind the first ``letters`` ones belongs."""
    place = _place_of(text, letters)
    return max((end for end in sentence_ends(text) if end <= place), default=0)


def _last_clause(text: str) -> int:
    """Where the last clause begins: behind the last mark with letters after it."""
    ends = [match.end() for match in _CLAUSE_END.finditer(text) if _letters(text[match.end() :])]
    return ends[-1] if ends else 0
