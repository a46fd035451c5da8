"""Settings as they are printed: in the words in which they can be given again, secrets masked, with what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from shared import gate_config
from shared.settings import PREFIX, read, setting_fields
from shared.values import Caller

MASK = "********"
_SECONDS = (("d", 86400), ("h", 3600), ("m", 60))


@dataclass(frozen=True)
class Row:
    """One setting. ``value`` can be put into ``.env`` unless it is masked; ``problem``: what is wrong with it, "" if nothing."""

    name: str
    value: str
    source: str
    about: str
    problem: str = ""


def describe(environment: Mapping[str, str] | None = None, directory: Path | None = None) -> list[Row]:
    """A row for every setting, and one for every name that is none. As ``shared.settings.load``, but nothing is refused."""
    settings, problems = read(environment, directory)
    wrong = {problem.variable: (problem.given, problem.message) for problem in problems}
    for message in gate_config.problems(settings):
        wrong[message.partition(":")[0]] = ("", message)
    rows = []
    for item in setting_fields():
        variable, source = PREFIX + item.name.upper(), settings.sources.get(item.name, "default")
        value = _shown(getattr(settings, item.name), secret=item.metadata["secret"])
        given, message = wrong.pop(variable, ("", ""))
        malformed = any(problem.variable == variable for problem in problems)
        rows.append(Row(variable, (given or MASK) if malformed else value, source, item.metadata["about"], message))
    strangers = [Row(name, "", "", "", message) for name, (_, message) in wrong.items()]
    return strangers + rows


def written(value: Any) -> str:
    """A setting's value in words that parse to it again."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return _duration(value)
    if isinstance(value, Caller):
        daily = f",daily={value.daily}" if value.daily else ""
        return f"{value.number}:concurrency={value.concurrency},cps={value.cps:.12g}{daily}"
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], int):
        host, port = value
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if isinstance(value, tuple):
        between = ";" if any(isinstance(item, Caller) for item in value) else ","
        return between.join(map(written, value))
    return str(value)


def _duration(seconds: float) -> str:
    """In the largest unit of which it is a whole number."""
    for unit, size in _SECONDS:
        if seconds and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    if seconds == int(seconds):
        return f"{int(seconds)}s" if seconds else "0"
    return f"{seconds:.12f}".rstrip("0") + "s"


def _shown(value: Any, *, secret: bool) -> str:
    if secret:
        return MASK if value else ""
    return _mask_url(written(value)) if isinstance(value, str) else written(value)


def _mask_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        password = parts.password
    except ValueError:
        return text
    if not password:
        return text
    host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:{MASK}@{host}{port}"))
