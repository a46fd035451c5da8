"""Where processes' lines go: a terminal, coloured and prefixed; or one file each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from rich.text import Text

from deploy.screen import Console

_COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green", "bright_magenta")


NO_NEWS = {
    "redis": re.compile(
        # It keeps nothing on disk, so it never forks, and overcommit is nothing to it.
        r"oO0OoO0OoO0Oo|# Redis version=|# Configuration loaded|# Server initialized|# WARNING Memory overcommit"
    ),
    # Said once for every kind of question as long as no worker has come up; with a cause behind it, it is news.
    "flower": re.compile(r"WARNING flower Inspect method \w+ failed$|INFO flower Registered tasks:"),
}
"""What processes say at every start, whatever their level, and nobody need know: it goes to a file."""


class Terminal:
    """Prints every line behind the name of who said it; in colour if it is a terminal, plain if not.

    ``aside``: takes what is in NO_NEWS.
    """

    def __init__(self, console: Console, names: Iterable[str], aside: Files) -> None:
        self._console = console
        self._aside = aside
        ordered = list(names)
        self._width = max(map(len, ordered), default=0)
        self._styles = {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate(ordered)}

    def line(self, name: str, text: str) -> None:
        if name in NO_NEWS and NO_NEWS[name].search(text):
            self._aside.line(name, text)
            return
        prefix = Text(f"{name:<{self._width}} | ", style=self._styles.get(name, ""))
        self._console.print(prefix + Text(text), soft_wrap=True, highlight=False)

    def note(self, text: str) -> None:
        self._console.print(Text(f"waihu: {text}", style="bold"), soft_wrap=True, highlight=False)


class Files:
    """Writes every process's lines to a file of its own, ``<name>.log``, and notes to ``waihu.log``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[str, TextIO] = {}
        directory.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()

    def line(self, name: str, text: str) -> None:
        if name not in self._files:
            self._files[name] = (self._directory / f"{name}.log").open("w", encoding="utf-8", buffering=1)
        self._files[name].write(text + "\n")

    def note(self, text: str) -> None:
        self.line("waihu", text)
