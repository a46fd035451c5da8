"""The ``waihu`` command. It reads top to bottom; each subcommand's work stands in a module of its name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.text import Text

from deploy import demo as demonstration
from deploy import doctor as examination
from deploy import procfile, tickets, views
from deploy.client import ApiError
from deploy.databases import place, require_reachable
from deploy.dialling import pause, redial, resume, stop
from deploy.do_not_call import do_not_call
from deploy.embedded import RedisMissing
from deploy.erasure import erase
from deploy.keys import keys
from deploy.plan import own_path
from deploy.ports import PortTaken
from deploy.remote import find, remote
from deploy.screen import LAYOUT, Console, Table, print_json, say
from deploy.state import StateHeld, StateUnwritable
from deploy.submission import submit
from deploy.supervisor import StartFailed
from deploy.up import up as run_house
from shared.database import upgrade
from shared.errors import SettingsError, WaihuError
from shared.setting_rows import Row, describe
from shared.settings import load
from shared.visible import visible

EXPECTED = (
    WaihuError,
    ApiError,
    StateHeld,
    StateUnwritable,
    StartFailed,
    PortTaken,
    RedisMissing,
    tickets.TicketFileError,
    demonstration.DemoTooSlow,
)
"""What can go wrong for a reason that the message tells; anything else is a bug and shows its traceback."""


class _Group(click.Group):
    """Says what went wrong on standard error and exits with 1, with 2 if the command was not understood.

    With --json a program also finds it on standard output: ``{"error", "data"}``, unless the command has printed a
    document of its own, which says more.
    """

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        context.meta[_AS_JSON] = "--json" in args
        return super().parse_args(context, args)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except EXPECTED as error:
            _tell(context, str(error), error.problems if isinstance(error, ApiError) else ())
            raise click.ClickException(visible(str(error), keep=LAYOUT)) from error
        except click.ClickException as error:
            _tell(context, error.format_message(), ())
            raise


_AS_JSON = "deploy.cli.as_json"


def _tell(context: click.Context, message: str, problems: Sequence[dict[str, Any]]) -> None:
    if context.meta[_AS_JSON]:
        print_json({"error": message, "data": list(problems)})


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Waihu 外呼: calls customers on behalf of your ticket system."""


@main.command()
@click.option(
    "--scenario",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
    metavar="FILE",
    help="People and faults of the sandbox's phone system: a YAML file.",
)
@click.option("--without", multiple=True, help="A process of the Procfile to leave out, such as flower.")
def up(scenario: Path | None, without: tuple[str, ...]) -> None:
    """Run everything on this machine until Ctrl-C."""
    unknown = sorted(set(without) - set(procfile.read()))
    if unknown:
        raise click.BadParameter(
            f"expected any of {', '.join(procfile.read())}, got {unknown[0]!r}", param_hint="--without"
        )
    run_house(_console(), scenario, frozenset(without))


@main.command()
@click.argument("name")
def run(name: str) -> None:
    """Become one process of the Procfile: what containers and unit files start."""
    commands = procfile.read()
    if name not in commands:
        raise click.BadParameter(f"expected one of {', '.join(commands)}, got {name!r}", param_hint="NAME")
    os.chdir(procfile.ROOT)
    os.environ["PATH"] = own_path(os.environ)
    os.execv("/bin/sh", ["/bin/sh", "-c", f"exec {commands[name]}"])


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def demo(as_json: bool) -> None:
    """Call twenty simulated customers, print the records, stop; exit 0 only if every call went as it should."""
    raise SystemExit(demonstration.demo(_console(), as_json=as_json))


@main.command()
@click.option("--batch", "batch_id", type=int, help="One task.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@remote
def tasks(batch_id: int | None, limit: int, url: str | None, key: str, as_json: bool) -> None:
    """List tasks, newest first."""
    remote = find(url, key)
    with remote.open() as api:
        found = api.tasks(limit=limit, batchId=batch_id)
    if as_json:
        print_json(found)
        return
    rows = views.task_rows(found, remote.settings.timezone)
    views.show(_console(), "任务", views.TASK_HEADINGS, rows, views.TASK_HEADINGS.index("状态"))


@main.command()
@click.option("--uuid", help="One call, by our id or the phone system's.")
@click.option("--telephone", help="Calls with one number.")
@click.option("--type", "call_type", default="02", show_default=True, type=click.Choice(["01", "02", "03"]))
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100_000))
@remote
def records(
    uuid: str | None, telephone: str | None, call_type: str, limit: int, url: str | None, key: str, as_json: bool
) -> None:
    """List call records, newest first."""
    with find(url, key).open() as api:
        found = api.records(limit=limit, uuid=uuid, telephone=telephone, callType=call_type)
    if as_json:
        print_json(found)
        return
    views.show_records(_console(), found)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Check every connection and say what to fix; exit 1 if something is broken."""
    raise SystemExit(examination.doctor(_console(), load(), as_json=as_json))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def settings(as_json: bool) -> None:
    """Print every setting with its source, in words that .env takes; secrets are masked. Exit 1 if one is wrong."""
    rows = describe()
    problems = [row.problem for row in rows if row.problem]
    told = "settings are not right:\n  " + "\n  ".join(problems)
    if as_json:
        print_json([asdict(row) for row in rows])
        if problems:
            say(f"Error: {told}", err=True)
            raise SystemExit(1)
        return
    _print_settings(_console(), rows)
    if problems:
        raise SettingsError(told)


def _print_settings(console: Console, rows: list[Row]) -> None:
    if not console.is_terminal:
        for row in rows:
            say(f"{row.name}={row.value}\t{row.source}" + (f"\t{row.problem}" if row.problem else ""))
        return
    table = Table(title="Settings", title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
    # A name that is broken in two cannot be copied, nor found again; at 80 columns values and words make room for it.
    table.add_column("name", no_wrap=True, min_width=max(len(row.name) for row in rows))
    table.add_column("value", overflow="fold")
    table.add_column("from", no_wrap=True)
    table.add_column("what it is for", overflow="fold")
    for row in rows:
        about = Text(row.problem or row.about, style="red" if row.problem else "")
        style = "" if row.source == "default" else "cyan"
        table.add_row(Text(row.name), Text(row.value), Text(row.source, style=style), about)
    console.print(table)


@main.group()
def db() -> None:
    """The database's schema."""


@db.command("upgrade")
def db_upgrade() -> None:
    """Bring the schema to this version; safe to run at any time."""
    settings = load()
    require_reachable(settings)
    upgrade(settings.database_url)
    say(f"{place(settings.database_url)}: the schema is up to date")


for _command in (submit, stop, redial, pause, resume, do_not_call, keys, erase):
    main.add_command(_command)


def _console() -> Console:
    return Console()


if __name__ == "__main__":
    main()
