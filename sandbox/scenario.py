"""A scenario: who answers which number, what goes wrong, and how the phone system is set, from one YAML file.

The file's parts are all optional: `manners`, `numbers`, `default` (see sandbox/people/manners.yaml), `faults` (for all
calls; see sandbox/phone/faults.py) and `phone` (see sandbox/phone/settings.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import yaml

from sandbox.people.directory import Directory, DirectoryError, decode_people
from sandbox.phone.faults import NONE, Faults
from sandbox.phone.settings import PhoneSettings

MAX_FILE_BYTES = 1 << 20
"""A scenario is written by hand: above 1 MiB it is some other file."""

_PEOPLE = ("manners", "numbers", "default")
_PARTS = (*_PEOPLE, "faults", "phone")


class ScenarioError(ValueError):
    """The scenario can't be understood."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """What a scenario file says. The default is the built-in people and a phone system that does its work."""

    directory: Directory = msgspec.field(default_factory=Directory)
    faults: Faults = NONE
    phone: PhoneSettings = PhoneSettings()


def load_scenario(path: Path) -> Scenario:
    """The scenario in a YAML file. Raises ScenarioError with the file's name and the field, OSError if unreadable."""
    body = path.read_bytes()
    if len(body) > MAX_FILE_BYTES:
        raise ScenarioError(f"{path}: expected a scenario of at most {MAX_FILE_BYTES} bytes, got {len(body)}")
    try:
        document = yaml.safe_load(body)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: expected YAML: {error}") from error
    return decode_scenario(document, str(path))


def decode_scenario(document: Any, where: str = "scenario") -> Scenario:
    """The scenario in what YAML or JSON gave; None is an empty one. Raises ScenarioError."""
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ScenarioError(
            f"{where}: expected a mapping with any of {', '.join(_PARTS)}, got {type(document).__name__}"
        )
    unknown = [str(part) for part in document if part not in _PARTS]
    if unknown:
        raise ScenarioError(f"{where}: expected only {', '.join(_PARTS)}, got {', '.join(unknown)}")
    people = {part: document[part] for part in _PEOPLE if part in document}
    try:
        return Scenario(
            directory=Directory(decode_people(people, where)),
            faults=msgspec.convert(document.get("faults", {}), Faults),
            phone=msgspec.convert(document.get("phone", {}), PhoneSettings),
        )
    except (msgspec.ValidationError, DirectoryError) as error:
        raise ScenarioError(f"{where}: {error}") from error
