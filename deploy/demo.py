"""``waihu demo``: a house of its own calls twenty simulated customers, and every call is held against its callee's manner."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy import expectations, plan, tickets
from deploy.client import Api
from deploy.console import Files
from deploy.display import Progress, Result, print_results
from deploy.embedded import reachable
from deploy.outcomes import gather, records_closed
from deploy.plan import Plan
from deploy.procfile import ROOT
from deploy.screen import Console, print_json
from deploy.state import LOCK_FILE, held
from deploy.supervisor import House
from sandbox.people.directory import Directory
from shared.lifecycle import FINAL_TASKS, STATUS_TEXT
from shared.settings import PREFIX, load, names

TICKETS = ROOT / "docs" / "examples" / "tickets.json"
CALLS_WITHIN = 140.0
"""Seconds from the tickets' submission to the last closed record: the longest talk takes 70, closing a record 30."""
LOOK_AGAIN = 0.5
_FINAL = frozenset(STATUS_TEXT[state] for state in FINAL_TASKS)


class DemoTooSlow(Exception):
    """The calls did not all end in time."""


def demo(console: Console, *, as_json: bool) -> int:
    """0 if every ticket ended as it should, else 1. Raises what plan.draw, state.held, House and Api raise."""
    began = time.monotonic()
    directory = Path.cwd()
    state_dir = _state_dir(os.environ, directory)
    environment = _environment(os.environ, state_dir)
    told = Console(stderr=True) if as_json else console
    with held(load(environment, directory).state_dir):
        _empty(state_dir)
        drawn = plan.draw(environment, directory, stand_in_llm=True)
        with Files(state_dir / "logs") as files, _terminable():
            results = asyncio.run(_run(drawn, files, told, tickets.read(TICKETS).tickets))
    seconds = time.monotonic() - began
    if as_json:
        print_json(_document(results, seconds), console.file)
    else:
        print_results(console, results, seconds, state_dir / "logs")
    return 0 if all(not result.problems for result in results) else 1


def _state_dir(base: Mapping[str, str], directory: Path) -> Path:
    """``demo`` in the state directory that WAIHU_STATE_DIR names, in the environment or ``.env``: emptied at every run."""
    only = {PREFIX + name.upper(): "" for name in names() if name != "state_dir"}
    given = {name: value for name, value in base.items() if name == f"{PREFIX}STATE_DIR"}
    return load({**only, **given}, directory).state_dir / "demo"


def _environment(base: Mapping[str, str], state_dir: Path) -> dict[str, str]:
    """Every setting of this machine's environment and ``.env`` put out of force, and the demo's own in their place."""
    own = {"STATE_DIR": str(state_dir), "PLAYBOOKS_DIR": str(ROOT / "playbooks")}
    unset = {PREFIX + name.upper(): "" for name in names()}
    others = {name: value for name, value in base.items() if not name.startswith(PREFIX)}
    return {**others, **unset, **{PREFIX + name: value for name, value in own.items()}}


def _empty(state_dir: Path) -> None:
    """Every demo begins with nothing; only the lock that is held stays."""
    for path in state_dir.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK_FILE:
            path.unlink()


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does: through the way on which everything is stopped."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


async def _run(drawn: Plan, files: Files, console: Console, batch: list[dict[str, Any]]) -> list[Result]:
    with Progress(console, files) as progress:
        for note in drawn.notes:
            progress.note(note)
        progress.note("starting everything on this machine")
        async with House(drawn, progress):
            return await asyncio.to_thread(_call_everyone, drawn, batch, progress)


def _call_everyone(drawn: Plan, batch: list[dict[str, Any]], progress: Progress) -> list[Result]:
    settings = drawn.settings
    with Api(f"http://{reachable(settings.api_listen)}") as api:
        created = api.create_tasks(batch)
        progress.note(f"{len(created)} tickets submitted to {api.url}/api/aicall/createTasks")
        wanted = [task["batchId"] for task in created]
        _wait(api, wanted, progress)
        return [_result(api, drawn, batch_id) for batch_id in wanted]


def _wait(api: Api, wanted: list[int], progress: Progress) -> None:
    """Returns once every task is final and every call's record is closed. Raises DemoTooSlow."""
    deadline = time.monotonic() + CALLS_WITHIN
    open_records = set(wanted)
    while True:
        rows = {row["batchId"]: row for row in api.tasks(limit=len(wanted))}
        progress.show([rows[batch_id] for batch_id in wanted])
        final = {batch_id for batch_id in open_records if rows[batch_id]["status"] in _FINAL}
        open_records -= {batch_id for batch_id in final if records_closed(api.task(batch_id))}
        if not open_records:
            return
        if time.monotonic() > deadline:
            left = ", ".join(
                f"{rows[batch_id]['ticketNo']} {rows[batch_id]['status']}" for batch_id in sorted(open_records)
            )
            raise DemoTooSlow(f"not done within {CALLS_WITHIN:g} s: {left}")
        time.sleep(LOOK_AGAIN)


def _result(api: Api, drawn: Plan, batch_id: int) -> Result:
    outcome = gather(api, drawn.sandbox_url, batch_id)
    wav_url = outcome.record.get("wavFileUrl", "")
    manner, behaviour, _ = Directory().find(outcome.task["phone"])
    path = str(drawn.settings.recordings_dir / wav_url.partition("filename=")[2].partition("&")[0]) if wav_url else ""
    found = expectations.problems(outcome, manner) if outcome.record else ["there is no record of it"]
    return Result(outcome=outcome, manner=manner, about=behaviour.about, recording=path, problems=found)


def _document(results: list[Result], seconds: float) -> dict[str, Any]:
    """All of it for programs."""
    statuses: dict[str, int] = {}
    for result in results:
        status = result.outcome.task["status"]
        statuses[status] = statuses.get(status, 0) + 1
    good = sum(not result.problems for result in results)
    return {
        "ok": good == len(results),
        "tickets": [_ticket(result) for result in results],
        "totals": {
            "tickets": len(results),
            "asTheyShould": good,
            "statuses": statuses,
            "talkSeconds": sum(result.outcome.record.get("timeLen", 0) for result in results),
            "startcalls": sum(result.outcome.report.get("startcalls") or 0 for result in results),
            "seconds": round(seconds, 1),
        },
    }


def _ticket(result: Result) -> dict[str, Any]:
    outcome = result.outcome
    heard = dict(outcome.heard)
    heard.pop("words", None)
    return {
        "batchId": outcome.task["batchId"],
        "ticketNo": outcome.task["ticketNo"],
        "phone": outcome.task["phone"],
        "manner": result.manner,
        "status": outcome.task["status"],
        "connected": outcome.task["connected"],
        "uuid": outcome.record.get("uuid", ""),
        "dialogue": outcome.record.get("dialogue", []),
        "hangupCause": outcome.record.get("hangupCause", ""),
        "timeLen": outcome.record.get("timeLen", 0),
        "tags": outcome.call.get("tags", []),
        "recording": result.recording,
        "heard": heard,
        "problems": result.problems,
    }
