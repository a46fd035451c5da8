"""The Procfile: which processes there are and how each is started, in production and here alike."""

from __future__ import annotations

import re
from pathlib import Path

_LINE = re.compile(r"([a-z][a-z0-9_-]*):\s*(\S.*)")
ROOT = Path(__file__).resolve().parents[1]
"""Where the Procfile, the playbooks and the examples lie."""


def parse(text: str) -> dict[str, str]:
    """Name -> shell command, in the file's order. Raises ValueError that names the line."""
    commands: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None or match[1] in commands:
            raise ValueError(f"Procfile, line {number}: expected `name: command`, each name once, got {line[:60]!r}")
        commands[match[1]] = match[2]
    return commands


def read(root: Path = ROOT) -> dict[str, str]:
    """The house's own. Raises OSError, ValueError."""
    return parse((root / "Procfile").read_text(encoding="utf-8"))
