"""``waihu stop``, ``redial``, ``pause`` and ``resume``: what people decide about calls to come."""

from __future__ import annotations

from typing import Any

import click

from deploy import views
from deploy.client import Api, ApiError
from deploy.remote import find, remote
from deploy.screen import Console, print_json, say
from shared.lifecycle import TaskState

UNKNOWN, UNSEEN, ASKED = "没有这个任务", "已要求停止；密钥没有 read 权限，看不到结果", "已要求停止"
MOST_SHOWN = 100
"""Tasks whose state is asked for after a stop, one request each; of more only the number is told."""
PAUSE_HEADINGS = ("类型", "原因", "自")
_STOPPED = (str(TaskState.STOPPED), str(TaskState.STOPPING))


@click.command()
@click.argument("batch_ids", nargs=-1, required=True, type=int, metavar="BATCH_ID...")
@remote
def stop(batch_ids: tuple[int, ...], url: str | None, key: str, as_json: bool) -> None:
    """Stop tasks: nothing of them is dialled any more, and live calls are hung up.

    Says what became of each; exits with 1 if one does not exist.
    """
    wanted = list(dict.fromkeys(batch_ids))
    with find(url, key).open() as api:
        api.stop_tasks(wanted)
        many = len(wanted) > MOST_SHOWN
        if many and not as_json:
            say(f"{len(wanted)} 个任务已要求停止")
            return
        found = {batch_id: ("", ASKED) if many else _state(api, batch_id) for batch_id in wanted}
    if as_json:
        print_json(
            {
                "stopped": [batch_id for batch_id, (state, _) in found.items() if state in _STOPPED],
                "unknown": [batch_id for batch_id, (_, text) in found.items() if text == UNKNOWN],
                "results": {str(batch_id): text for batch_id, (_, text) in found.items()},
            }
        )
    else:
        rows = [[str(batch_id), text] for batch_id, (_, text) in found.items()]
        views.show(Console(), "停止", ("任务", "结果"), rows, 1)
    if any(text == UNKNOWN for _, text in found.values()):
        raise SystemExit(1)


def _state(api: Api, batch_id: int) -> tuple[str, str]:
    """A task's state after the stop, and what to say of it."""
    try:
        task = api.task(batch_id)
    except ApiError as error:
        if error.status == 404:
            return "", UNKNOWN
        if error.status == 403:
            return "", UNSEEN
        raise
    state, status = task["state"], task["status"]
    return state, status if state in _STOPPED else f"此前已经结束：{status}"


@click.command()
@click.argument("batch_id", type=int)
@click.option("--reason", required=True, help="Why; the audit trail keeps it.")
@remote
def redial(batch_id: int, reason: str, url: str | None, key: str, as_json: bool) -> None:
    """Dial a task again that is over and reached nobody."""
    with find(url, key).open() as api:
        answer = api.v1("POST", f"tasks/{batch_id}/redial", {"reason": reason})
    _say(answer, as_json, f"任务 {batch_id} 将再次拨打")


@click.command()
@click.option("--type", "ticket_type", help="One ticket type; by default every one.")
@click.option("--reason", required=True, help="Why; whoever waits is shown it.")
@remote
def pause(ticket_type: str | None, reason: str, url: str | None, key: str, as_json: bool) -> None:
    """Dial nothing of one ticket type, or of any, until it is resumed; calls that live go on."""
    with find(url, key).open() as api:
        answer = api.v1("POST", "pause", _chosen(ticket_type) | {"reason": reason})
    _show_pauses(answer, as_json)


@click.command()
@click.option("--type", "ticket_type", help="One ticket type; by default the pause of every one.")
@remote
def resume(ticket_type: str | None, url: str | None, key: str, as_json: bool) -> None:
    """End a pause, and say what is still paused."""
    with find(url, key).open() as api:
        answer = api.v1("POST", "resume", _chosen(ticket_type))
    _show_pauses(answer, as_json)


def _chosen(ticket_type: str | None) -> dict[str, Any]:
    return {} if ticket_type is None else {"ticketType": ticket_type}


def _show_pauses(answer: dict[str, Any], as_json: bool) -> None:
    rows = [[row["ticketType"] or "全部", row["reason"] or "", row["since"]] for row in answer["rows"]]
    if as_json or not rows:
        _say(answer, as_json, "没有暂停")
        return
    views.show(Console(), "暂停中", PAUSE_HEADINGS, rows, 0)


def _say(answer: dict[str, Any], as_json: bool, text: str) -> None:
    if as_json:
        print_json(answer)
    else:
        say(text)
