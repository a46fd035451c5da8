"""The retry matrix: how a ticket type's attempts are repeated, by what came of them. Pure.

``RETRY_NO_ANSWER``, ``RETRY_REFUSED`` and ``REDIAL_UNKNOWN`` hold for all; ``RETRY_BY_TYPE`` overrides them for some:
``活动通知*: no_answer=10m,1h; refused=1m | 回访: no_answer=``. An answered call is never dialled again.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.values import durations

MOST_RETRIES = 20
"""Of one outcome: more than so many calls for one ticket is a slip of the keyboard, and nothing a customer should bear."""
_OUTCOMES = ("no_answer", "refused", "unknown")

Delays = tuple[int, ...]
"""Milliseconds before the first retry, the second, and so on; their number is the number of retries."""


@dataclass(frozen=True)
class Retries:
    """Of one ticket type. None: as for all."""

    no_answer: Delays | None = None
    refused: Delays | None = None
    unknown: Delays | None = None


@dataclass(frozen=True)
class RetryRules:
    """``exact`` by ticket type, ``prefixes`` by how it begins, longest first."""

    exact: tuple[tuple[str, Retries], ...] = ()
    prefixes: tuple[tuple[str, Retries], ...] = ()

    def of(self, ticket_type: str) -> Retries:
        """The rule that names this type, else the one with the longest prefix of it, else one that changes nothing."""
        named = (retries for name, retries in self.exact if name == ticket_type)
        begun = (retries for prefix, retries in self.prefixes if ticket_type.startswith(prefix))
        return next(named, None) or next(begun, None) or Retries()


def parse_retries(text: str) -> RetryRules:
    """What RETRY_BY_TYPE says. Raises ValueError that says what was expected."""
    found: dict[str, Retries] = {}
    for part in (part.strip() for part in text.split("|")) if text.strip() else ():
        name, colon, matrix = part.rpartition(":")
        name = name.strip()
        if not colon or not name or "*" in name[:-1]:
            raise ValueError(f"expected TYPE: no_answer=10m,1h; refused=1m (or TYPE*: …), got {part[:60]!r}")
        if name in found:
            raise ValueError(f"expected each ticket type once, got {name!r} twice")
        found[name] = _matrix(matrix)
    prefixes = [(name[:-1], retries) for name, retries in found.items() if name.endswith("*")]
    exact = [(name, retries) for name, retries in found.items() if not name.endswith("*")]
    return RetryRules(tuple(exact), tuple(sorted(prefixes, key=lambda rule: -len(rule[0]))))


def _matrix(text: str) -> Retries:
    values: dict[str, Delays] = {}
    for part in (part.strip() for part in text.split(";")):
        name, equals, delays = (piece.strip() for piece in part.partition("="))
        if not equals or name not in _OUTCOMES or name in values:
            raise ValueError(f"expected no_answer=…, refused=… or unknown=…, each once, got {part[:60]!r}")
        values[name] = tuple(round(delay * 1000) for delay in durations(delays))
        if len(values[name]) > MOST_RETRIES:
            raise ValueError(f"expected at most {MOST_RETRIES} retries, got {len(values[name])} of {name}")
    return Retries(**values)
