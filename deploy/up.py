"""``waihu up``: a whole house on this machine until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

from rich.text import Text

from deploy import plan
from deploy.console import Files, Terminal
from deploy.embedded import reachable
from deploy.plan import Plan
from deploy.preflight import require_startable
from deploy.screen import Console, Table
from deploy.state import held
from deploy.supervisor import House
from shared.leaving import leave_quickly
from shared.settings import load

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(console: Console, scenario: Path | None, without: frozenset[str]) -> None:
    """Runs until a signal says stop. Raises what require_startable, plan.draw, state.held and House raise before it runs."""
    leave_quickly()
    directory = Path.cwd()
    settings = load(os.environ, directory)
    with held(settings.state_dir):
        require_startable(settings, without, scenario)
        drawn = plan.draw(os.environ, directory, scenario=scenario, without=without)
        with Files(settings.state_dir / "logs") as files:
            asyncio.run(_run(drawn, console, files))


async def _run(drawn: Plan, console: Console, files: Files) -> None:
    output = Terminal(console, ["waihu", *(service.name for service in drawn.services)], files)
    for note in drawn.notes:
        output.note(note)
    house = House(drawn, output)
    stopped = stop_on_signals(house, output)
    starting = asyncio.create_task(house.start())
    stopping = asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not stopped.is_set():
            await starting
            _banner(drawn, console)
            await stopped.wait()
    finally:
        for task in (starting, stopping):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait([starting, stopping])
        await house.stop()
        output.note("everything has stopped")


def stop_on_signals(house: House, output: Terminal) -> asyncio.Event:
    """An event that the first signal sets; the second ends everything at once."""
    stopped = asyncio.Event()

    def told() -> None:
        if stopped.is_set():
            house.hurry()
            return
        stopped.set()
        output.note("stopping; Ctrl-C again ends everything at once")

    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, told)
    return stopped


def _banner(drawn: Plan, console: Console) -> None:
    settings = drawn.settings
    api = f"http://{reachable(settings.api_listen)}"
    rows = [
        ("console", f"{api}/"),
        ("API", f"{api}/api/aicall/createTasks"),
        ("API's documentation", f"{api}/docs"),
        ("phone events", f"{api}/api/phone/events"),
        ("audio socket", f"ws://{reachable(settings.media_listen)}/phone"),
        ("Flower", f"http://{reachable(settings.flower_listen)}/"),
        ("phone system", f"{settings.phone_url}" + (" (sandbox)" if "phone" in settings.standins else "")),
        ("state", str(settings.state_dir)),
    ]
    if not console.is_terminal:
        for name, value in rows:
            console.print(f"{name}: {value}", soft_wrap=True, highlight=False, markup=False)
    else:
        table = Table(title="Waihu 外呼 is up", show_header=False, title_justify="left")
        for name, value in rows:
            table.add_row(name, Text(value, style="cyan"))
        console.print(table)
    if settings.standins:
        closed = ", so nothing is dialled beside real services (WAIHU_ALLOW_STANDIN=1 dials all the same)"
        names = ", ".join(settings.standins)
        console.print(
            Text(f"stand-ins in use: {names}{closed if settings.standins_forbidden else ''}", style="yellow"),
            soft_wrap=True,
        )
    console.print("Ctrl-C stops everything.", highlight=False)
