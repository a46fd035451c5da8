"""``waihu submit``: a file of tickets becomes tasks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from deploy import tickets, views
from deploy.client import Api, ApiError
from deploy.remote import find, remote
from deploy.screen import Console, print_json, say
from deploy.tickets import Batch

MOST_TOLD = 20
"""Wrong fields that are named one by one; a column that is wrong throughout has thousands."""
_ROUNDED = re.compile(r"\d(?:\.\d+)?[eE]\+?\d+")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@remote
def submit(file: Path, url: str | None, key: str, as_json: bool) -> None:
    """Create a task for every ticket in FILE (JSON or CSV; - for standard input).

    A CSV may have columns for priority (优先级), notBefore (最早拨打时间), expiresAt (过期时间) and timezone (时区).
    """
    remote_api = find(url, key)
    batch = tickets.read(file)
    if batch.passed_over:
        say(f"未用到的列：{'、'.join(batch.passed_over)}", err=True)
    with remote_api.open() as api:
        fresh, made = _send(api, batch, remote_api.settings.batch_limit)
    known = len(made) - fresh
    if known:
        rest = f"{fresh} 个新任务" if fresh else "没有新任务，不会再拨打任何人"
        say(f"{known} 张工单此前已提交，任务早已存在：{rest}", err=True)
    if as_json:
        print_json(made)
        return
    rows = [[str(task["batchId"]), task["ticketNo"]] for task in made]
    views.show(Console(), f"{fresh} 个任务已创建", ("任务", "工单编号"), rows, 1)


def _send(api: Api, batch: Batch, limit: int) -> tuple[int, list[dict[str, Any]]]:
    """How many tasks are new, and all of them. Raises ApiError that names what is wrong by its place in the file."""
    fresh, made = 0, list[dict[str, Any]]()
    for start in range(0, len(batch.tickets), limit):
        try:
            created, tasks = api.submit(batch.tickets[start : start + limit])
        except ApiError as error:
            already = f"（前 {start} 张工单已经提交）" if start else ""
            said = _told(batch, start, error) if error.problems else str(error)
            raise ApiError(f"{said}{already}", error.status, [_placed(start, one) for one in error.problems]) from error
        fresh += created
        made += tasks
    return fresh, made


def _placed(start: int, problem: dict[str, Any]) -> dict[str, Any]:
    """The problem by its ticket's place in the file, not in the request, which began at ``start``."""
    index = problem.get("index")
    return problem if index is None else {**problem, "index": start + index}


def _told(batch: Batch, start: int, error: ApiError) -> str:
    """One line for every wrong field: where it stands, and what is wrong."""
    lines = [_line(batch, start, problem) for problem in error.problems[:MOST_TOLD]]
    left = len(error.problems) - MOST_TOLD
    return "没有创建任务：\n" + "\n".join(lines) + (f"\n……另有 {left} 处" if left > 0 else "")


def _line(batch: Batch, start: int, problem: dict[str, Any]) -> str:
    index, field, message = problem.get("index"), problem.get("field") or "", problem.get("message")
    if index is None:
        return f"{field}：{message}" if field else str(message)
    value = str(batch.tickets[start + index].get(field, ""))
    advice = ""
    if field == "phone" and _ROUNDED.fullmatch(value):
        advice = "；表格软件把号码存成了科学计数法，末尾几位已丢失：请把该列设为文本，重新填入号码再导出"
    return f"{batch.places[start + index]} {field}：{message}{advice}"
