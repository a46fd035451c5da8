"""What the ``waihu`` command prints. All of it passes through here, so that none of it acts on a terminal.

Tickets, reasons, dialogues and answers were written by others, and a terminal obeys what it is shown: control
characters are written out instead (``shared.visible``), in tables, lines and errors, piped or not. A test sees to it
that no other module of the command prints.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import IO, Any

import click
import rich.console
import rich.table
from rich.text import Text

from shared.visible import UNSEEN, visible, visible_json

LAYOUT = "\n\t"
"""What our own texts are laid out with. A cell that others wrote may break a line of its table, and no more."""


class Console(rich.console.Console):
    """Rich's, whose texts are harmless. Within a table they are if it is a ``Table`` of this module."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*map(shown, objects), **options)


class Table(rich.table.Table):
    """Rich's, whose cells are harmless."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        super().add_row(*map(shown, cells), **options)


def shown(part: Any) -> Any:
    """A string or a Text as it may be shown, of the same style; anything else as it is."""
    if isinstance(part, str):
        return visible(part, keep=LAYOUT)
    if not isinstance(part, Text) or not UNSEEN.search(part.plain):
        return part
    edges = sorted({edge for found in UNSEEN.finditer(part.plain) for edge in found.span()})
    pieces = part.divide(edges)
    for piece in pieces:
        if UNSEEN.match(piece.plain):
            piece.plain = visible(piece.plain, keep=LAYOUT)
    return Text("", style=part.style).join(pieces)


def say(text: str, *, err: bool = False) -> None:
    """One line, or several, to standard output or standard error."""
    click.echo(visible(text, keep=LAYOUT), err=err)


def say_row(cells: Sequence[str], file: IO[str]) -> None:
    """One line for programs: a tab between cells, and none within. (Rich would turn tabs into blanks.)"""
    click.echo("\t".join(visible(" ".join(cell.split())) for cell in cells), file=file)


def say_file(body: bytes) -> None:
    """A file to standard output: word for word where a program reads it, harmless where a person does."""
    if sys.stdout.isatty():
        say(body.decode("utf-8", "replace").replace("\r\n", "\n").removesuffix("\n"))
    else:
        sys.stdout.buffer.write(body)


def print_json(document: Any, file: IO[str] | None = None) -> None:
    """The document itself, whatever is in it: JSON has an escape for every character."""
    click.echo(visible_json(document, indent=2), file=file)
