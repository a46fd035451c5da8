"""How the demo looks: a table that lives while the calls go on, then every call with its dialogue."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.live import Live
from rich.text import Text

from deploy import views
from deploy.console import Files
from deploy.expectations import Outcome
from deploy.screen import Console, Table


@dataclass(frozen=True)
class Result:
    """One ticket, judged. ``about``: what its callee does. ``recording``: its path, "" if there is none."""

    outcome: Outcome
    manner: str
    about: str
    recording: str
    problems: Sequence[str]


class Progress:
    """Shows notes and tasks as they change; what processes say goes to files."""

    def __init__(self, console: Console, files: Files) -> None:
        self._console = console
        self._files = files
        self._shown: dict[int, str] = {}
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def line(self, name: str, text: str) -> None:
        self._files.line(name, text)

    def note(self, text: str) -> None:
        self._files.note(text)
        self._console.print(Text(text, style="dim"), soft_wrap=True)

    def show(self, tasks: Sequence[Mapping[str, Any]]) -> None:
        """The tasks as they are now: a table redrawn in a terminal, a line for each change elsewhere."""
        if self._live is not None:
            self._live.update(_table(tasks))
            return
        for task in tasks:
            if self._shown.get(task["batchId"]) != task["status"]:
                self._shown[task["batchId"]] = task["status"]
                self._console.print(
                    f"{task['ticketNo']} {task['username']} {task['phone']} {task['status']}",
                    soft_wrap=True,
                    highlight=False,
                    markup=False,
                )


def print_results(console: Console, results: Sequence[Result], seconds: float, logs: Path) -> None:
    """Every call with its dialogue, then who ended as they should, and how to listen."""
    for result in results:
        _print_call(console, result)
    bad = [result for result in results if result.problems]
    talk = sum(result.outcome.record.get("timeLen", 0) for result in results)
    console.print()
    console.print(f"{len(results)} tickets, {talk} seconds of talk, {seconds:.0f} seconds in all.", highlight=False)
    recording = next((result.recording for result in results if result.recording), "")
    if recording:
        console.print("Listen to a call (left the customer, right the AI): ", highlight=False)
        console.print(Text(f"  aplay {shlex.quote(recording)}"), soft_wrap=True)
    if bad:
        names = ", ".join(result.outcome.task["ticketNo"] for result in bad)
        console.print(Text(f"✗ {len(bad)} did not end as they should: {names}", style="bold red"), soft_wrap=True)
        console.print(Text(f"  what every process said: {logs}"), soft_wrap=True)
    else:
        console.print(Text("✓ every ticket ended as its callee's manner demands", style="bold green"), soft_wrap=True)


def _print_call(console: Console, result: Result) -> None:
    task, record = result.outcome.task, result.outcome.record
    status = task["status"]
    heading = Text.assemble(
        (f"{task['ticketNo']} ", "bold"),
        f"{task['username']} {task['phone']} ",
        (status, views.status_style(status)),
        f" {record.get('timeLen', 0)} 秒 {record.get('hangupCause', '')}",
        (f"  {result.manner}: {result.about}", "dim"),
    )
    console.print()
    console.print(heading, soft_wrap=True)
    for line in views.dialogue_lines(record.get("dialogue", [])):
        console.print(Text.assemble("  ", (line[:3], views.ROLES[line[:3]]), line[3:]), soft_wrap=True)
    if result.recording:
        console.print(Text(f"  {result.recording}", style="dim"), soft_wrap=True)
    for problem in result.problems:
        console.print(Text(f"  ✗ {problem}", style="red"), soft_wrap=True)


def _table(tasks: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Waihu 外呼", title_justify="left")
    for heading in ("工单编号", "姓名", "电话", "类型", "状态"):
        table.add_column(heading)
    for task in tasks:
        status = task["status"]
        table.add_row(
            task["ticketNo"],
            task["username"],
            task["phone"],
            task["ticketType"],
            Text(status, style=views.status_style(status)),
        )
    return table
