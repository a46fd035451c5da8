"""What no log, no metric and no page of Flower may hold (design, section 5, promise 6), and how it is looked for.

Redis's queues and hashes are no such place: briefings hold what media needs of a call, and expire.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from sqlalchemy import select

from shared.database import reading
from shared.schema import calls
from tests.faults.house import SECRETS, TICKET, Batch, House

NUMBER_DIGITS = 11
LEAST_CLAUSE = 5
"""Characters of a clause that is nobody's but a dialogue's: shorter ones ("您好") might be anywhere."""
_DIGITS = re.compile(rf"\d{{{NUMBER_DIGITS},}}", re.ASCII)
_CLAUSE = re.compile(r"[^\s，。？！；：、,.?!;:…「」“”（）()]+")

Forbidden = Mapping[str, frozenset[str]]
"""By what it is, the words themselves."""


def forbidden(house: House, batch: Batch, said: Iterable[str] = ()) -> Forbidden:
    """All that may not get out of this house: its secrets, and what its tickets and its calls to ``batch`` hold.

    ``said``: what people said, by the witness; what was recorded of it is asked of the database.
    """
    mine = select(calls.c.dialogue).where(calls.c.batch_id.in_(list(batch.ids.values())))
    with reading(house.engine) as connection:
        dialogues = connection.execute(mine).scalars().all()
    sentences = [turn["content"] for dialogue in dialogues for turn in dialogue or ()]
    return {
        "a number": frozenset(batch.ids),
        "a secret": frozenset(SECRETS.values()) | {_basic(f"waihu:{SECRETS['API_KEYS']}")},
        "a link's signature": frozenset(house.signatures),
        "a name": frozenset({TICKET["username"]}),
        "a ticket": frozenset(_clauses([TICKET["ticketContent"]])),
        "dialogue": frozenset(_clauses([*sentences, *said])),
    }


def found(text: str, words: Forbidden) -> list[str]:
    """What kinds of these stand in a text, in whatever spelling programs write them."""
    numbers = words.get("a number", frozenset())
    leaks = ["a number"] if _numbers(text) & numbers else []
    others = {kind: some for kind, some in words.items() if kind != "a number"}
    return leaks + [
        kind for kind, some in others.items() if any(way in text for one in some for way in _spellings(one))
    ]


def said_by_people(reports: Sequence[Mapping[str, object]]) -> list[str]:
    """The sentences in the witness's reports of calls."""
    audio = [report["audio"] for report in reports if report["audio"]]
    return [saying["text"] for one in audio for saying in one["said"]]  # type: ignore[index]


def _spellings(word: str) -> set[str]:
    """As it is, in JSON, in a URL, in a page, and as Python shows bytes."""
    return {word, json.dumps(word)[1:-1], quote(word, safe=""), html.escape(word), repr(word.encode())[2:-1]}


def _clauses(sentences: Iterable[str]) -> set[str]:
    return {clause for text in sentences for clause in _CLAUSE.findall(text) if len(clause) >= LEAST_CLAUSE}


def _basic(credentials: str) -> str:
    """As HTTP's Basic writes them."""
    return base64.b64encode(credentials.encode()).decode()


def _numbers(said: str) -> set[str]:
    """Whatever in a text may be a phone number of these attacks, also within more digits."""
    runs = set(_DIGITS.findall(said))
    return {run[at : at + NUMBER_DIGITS] for run in runs for at in range(len(run) - NUMBER_DIGITS + 1)}
