"""Who answers which number."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

import msgspec
import yaml

from sandbox.people.manner import Manner
from sandbox.phone.faults import NONE, Faults

T = TypeVar("T")

_PATTERN = re.compile(r"\*[0-9]+|\+?[0-9]+")


class DirectoryError(ValueError):
    """The description of the people can't be understood."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is behind a number: the name of a manner, and what goes wrong with calls to it."""

    manner: str
    faults: Faults = NONE


class People(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The people of a scenario, as `manners.yaml` describes them. Empty parts are taken from the built-in ones."""

    manners: dict[str, Manner] = {}
    numbers: dict[str, str | Entry] = {}
    default: str | None = None


class Directory:
    """Finds the manner, and the faults, behind a number."""

    def __init__(self, people: People | None = None) -> None:
        """`people` replace and extend the built-in ones. Raises DirectoryError for a bad pattern or unknown manner."""
        builtin = _builtin()
        own = people or People()
        self._manners = {**builtin.manners, **own.manners}
        self._numbers = {
            check_pattern(pattern): _entry(entry) for pattern, entry in {**builtin.numbers, **own.numbers}.items()
        }
        self._default = Entry(manner=own.default or builtin.default or "")
        for pattern, entry in [*self._numbers.items(), ("default", self._default)]:
            if entry.manner not in self._manners:
                known = ", ".join(sorted(self._manners))
                raise DirectoryError(f"expected one of the manners {known} for {pattern}, got {entry.manner!r}")

    def find(self, number: str) -> tuple[str, Manner, Faults]:
        """The manner's name, the manner and the faults of a number: exact first, then the longest last digits."""
        entry = by_number(number, self._numbers) or self._default
        return entry.manner, self._manners[entry.manner], entry.faults

    def manner(self, name: str) -> Manner:
        """The manner of this name. Raises KeyError if there is none."""
        return self._manners[name]

    def table(self) -> list[dict[str, str]]:
        """Pattern, manner and what it does, for people to read."""
        rows = [*self._numbers.items(), ("others", self._default)]
        return [
            {
                "number": pattern,
                "manner": entry.manner,
                "about": self._manners[entry.manner].about,
                "faults": _told(entry),
            }
            for pattern, entry in rows
        ]


def by_number(number: str, table: Mapping[str, T]) -> T | None:
    """The entry for a number: its own, else that of the longest pattern (`*` and last digits) that fits, else None."""
    if number in table:
        return table[number]
    return next((table[pattern] for start in range(len(number)) if (pattern := "*" + number[start:]) in table), None)


def check_pattern(pattern: str) -> str:
    """The pattern. Raises DirectoryError unless it is a number, or `*` and last digits."""
    if not _PATTERN.fullmatch(pattern):
        raise DirectoryError(f"expected a number, or * and its last digits, got {pattern!r}")
    return pattern


def decode_people(document: Any, where: str) -> People:
    """People from what YAML or JSON gave. Raises DirectoryError, which says where and what."""
    try:
        return msgspec.convert(document, People)
    except msgspec.ValidationError as error:
        raise DirectoryError(f"{where}: {error}") from error


@cache
def _builtin() -> People:
    text = files("sandbox.people").joinpath("manners.yaml").read_text(encoding="utf-8")
    return decode_people(yaml.safe_load(text), "manners.yaml")


def _entry(entry: str | Entry) -> Entry:
    return Entry(manner=entry) if isinstance(entry, str) else entry


def _told(entry: Entry) -> str:
    changed = {
        field: getattr(entry.faults, field)
        for field in entry.faults.__struct_fields__
        if getattr(entry.faults, field) != getattr(NONE, field)
    }
    return ", ".join(f"{field}={value}" for field, value in changed.items())
