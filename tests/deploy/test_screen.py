"""Nothing that others wrote acts on the terminal in which a command is run."""

from __future__ import annotations

import ast
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

import deploy
from deploy import screen, views
from shared.visible import UNSEEN, visible, visible_json

HOSTILE = "\x1b]0;pwned\x07 \x1b[2J \x9b31m \u202e \u2028 \r \x7f"
SOURCES = sorted(Path(deploy.__file__).parent.glob("*.py"))


def acting(text: str) -> list[str]:
    return [found for found in UNSEEN.findall(text) if found not in "\n\t"]


@pytest.mark.parametrize("terminal", [True, False])
def test_no_cell_acts_on_a_terminal(terminal: bool) -> None:
    file = io.StringIO()
    console = screen.Console(file=file, force_terminal=terminal, color_system=None, width=300)
    views.show(console, "任务", ("工单编号", "状态"), [[f"T{HOSTILE}", f"已完成{HOSTILE}"]], 1)
    console.print(Text(HOSTILE), HOSTILE)
    written = file.getvalue()
    assert acting(written) == []
    assert "\\x1b]0;pwned\\x07" in written
    assert "\\x9b31m" in written


def test_colours_stay_where_they_were() -> None:
    text = Text.assemble(("a\x1b", "red"), ("b", "green"))
    shown = screen.shown(text)
    assert shown.plain == "a\\x1bb"
    assert [(span.style, shown.plain[span.start : span.end]) for span in shown.spans if span.style == "green"] == [
        ("green", "b")
    ]


def test_our_own_lines_and_tabs_stay() -> None:
    assert screen.shown("a\n\tb") == "a\n\tb"
    assert screen.shown(Text("a\n→ b")).plain == "a\n→ b"


def test_what_is_written_out_is_the_same_for_logs_and_commands() -> None:
    assert visible("a\x1b\n") == "a\\x1b\\n"
    assert visible("a\x1b\n", keep="\n") == "a\\x1b\n"


@pytest.mark.parametrize("indent", [None, 2])
def test_json_is_the_same_document_and_harmless_to_look_at(indent: int | None) -> None:
    document = [{"ticketNo": HOSTILE, "b": ["\n", 1, None]}]
    written = visible_json(document, indent=indent)
    assert json.loads(written) == document
    assert acting(written) == []


def test_a_file_is_word_for_word_where_a_program_reads_it(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = f"number,reason\r\n13800138000,{HOSTILE}\r\n".encode()
    screen.say_file(body)
    assert capsysbinary.readouterr().out == body
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    screen.say_file(body)
    assert acting(capsysbinary.readouterr().out.decode()) == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_no_other_module_prints(source: Path) -> None:
    if source.name == "screen.py":
        return
    found = [where for where in map(printing, ast.walk(ast.parse(source.read_text("utf-8")))) if where]
    assert found == []


def printing(node: Any) -> str:
    """What prints past ``deploy.screen``, with its line; "" if nothing does."""
    names: list[str] = []
    if isinstance(node, ast.ImportFrom):
        names = [f"{node.module}.{name.name}" for name in node.names]
    elif isinstance(node, ast.Call):
        names = [ast.unparse(node.func)]
    forbidden = ("rich.console.Console", "rich.table.Table", "print", "click.echo", "click.secho")
    bad = [name for name in names if name in forbidden or name.startswith(("sys.stdout.", "sys.stderr."))]
    return f"{node.lineno}: {bad[0]}" if bad else ""
