"""``waihu do-not-call``: who must not be called."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import click

from deploy import tickets, views
from deploy.client import PAGE
from deploy.remote import find, remote
from deploy.screen import Console, print_json, say, say_file
from shared.numbers import mask

HEADINGS = ("号码", "来源", "原因", "加入")
PATH = "do-not-call"


@click.group("do-not-call")
def do_not_call() -> None:
    """The do-not-call list: who is on it is never called."""


@do_not_call.command()
@click.argument("number")
@click.option("--reason", default="", help="Why; it stays with the entry.")
@remote
def add(number: str, reason: str, url: str | None, key: str, as_json: bool) -> None:
    """Put NUMBER on the list: its waiting tasks are stopped, its ringing calls hung up."""
    with find(url, key).open() as api:
        answer = api.v1("POST", PATH, {"number": number, "reason": reason})
    if as_json:
        print_json(answer)
    else:
        say(f"{mask(number)} 已加入免打扰名单")


@do_not_call.command()
@click.argument("number")
@remote
def remove(number: str, url: str | None, key: str, as_json: bool) -> None:
    """Take NUMBER off the list; tasks that were stopped stay stopped."""
    with find(url, key).open() as api:
        api.v1("DELETE", f"{PATH}/{quote(number, safe='')}")
    if as_json:
        print_json({"removed": True})
    else:
        say(f"{mask(number)} 已从免打扰名单移除")


@do_not_call.command("list")
@click.option("--number", help="One number.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@remote
def show(number: str | None, limit: int, url: str | None, key: str, as_json: bool) -> None:
    """The list, newest first."""
    size = min(limit, PAGE)
    chosen = f"&number={quote(number, safe='')}" if number else ""
    found = []
    with find(url, key).open() as api:
        for page in range(1, -(-limit // size) + 1):
            rows = api.v1("GET", f"{PATH}?pageNum={page}&pageSize={size}{chosen}")["rows"]
            found += rows
            if len(rows) < size:
                break
    if as_json:
        print_json(found[:limit])
        return
    cells = [[row["number"], row["source"], row["reason"] or "", row["createdAt"]] for row in found[:limit]]
    views.show(Console(), "免打扰名单", HEADINGS, cells, 0)


@do_not_call.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@remote
def import_file(file: Path, url: str | None, key: str, as_json: bool) -> None:
    """Take in a CSV file (- for standard input), all of it or nothing: a number a line, and a reason if it has a heading."""
    text = tickets.read_text(file)
    with find(url, key).open() as api:
        answer = api.import_csv(f"{PATH}/import", text.encode())
    if as_json:
        print_json(answer)
    else:
        say(f"文件中有 {answer['numbers']} 个号码，新加入 {answer['added']} 个")


@do_not_call.command("export")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A file; by default standard output."
)
@click.option("--api", "url", help="Where the API is; by default what the settings say.")
@click.option("--key", default="", help="API key; by default the first of WAIHU_API_KEYS.")
def export(output: Path | None, url: str | None, key: str) -> None:
    """The whole list as CSV; `import` takes it back."""
    with find(url, key).open() as api:
        body = api.export_csv(f"{PATH}/export")
    if output is None:
        say_file(body)
    else:
        output.write_bytes(body)
