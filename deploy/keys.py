"""``waihu keys``: API keys in SQL."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import click

from deploy import views
from deploy.databases import existing
from deploy.screen import Console, print_json, say
from shared import api_keys
from shared.audit import command_line_actor
from shared.database import house_clock, reading, writing
from shared.moments import iso, printed
from shared.settings import load

HEADINGS = ("id", "name", "scopes", "rate", "created", "revoked")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def keys() -> None:
    """API keys: add, list, revoke. As soon as there is one, every request needs one."""


@keys.command()
@click.argument("name")
@click.option("--scopes", required=True, help=f"Separated by commas: {', '.join(api_keys.SCOPES)}.")
@click.option("--rate", type=click.IntRange(1, 1_000_000), help="Requests a minute; by default WAIHU_RATE_LIMIT.")
@_as_json
def add(name: str, scopes: str, rate: int | None, as_json: bool) -> None:
    """Make a key and print it: this once."""
    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    with existing(load()) as engine:
        now = house_clock(engine).now_ms()
        with writing(engine) as connection:
            key = api_keys.add(connection, name, wanted, now, rate=rate, actor=command_line_actor())
    if as_json:
        print_json({"id": key.partition(".")[0], "key": key})
    else:
        say(key)
    say("Keep it: it is not stored and cannot be shown again.", err=True)


@keys.command("list")
@_as_json
def list_keys(as_json: bool) -> None:
    """All keys, the revoked ones too; never their secrets."""
    settings = load()
    with existing(settings) as engine, reading(engine) as connection:
        found = api_keys.find_all(connection)
    if as_json:
        print_json([_document(key, settings.timezone) for key in found])
        return
    rows = [[*_shown(key, settings.timezone)] for key in found]
    views.show(Console(), "API keys", HEADINGS, rows, 0)


@keys.command()
@click.argument("key_id", metavar="ID")
@_as_json
def revoke(key_id: str, as_json: bool) -> None:
    """End a key; every process knows within two seconds."""
    with existing(load()) as engine:
        now = house_clock(engine).now_ms()
        with writing(engine) as connection:
            api_keys.revoke(connection, key_id, now, actor=command_line_actor())
    if as_json:
        print_json({"id": key_id, "revoked": True})
    else:
        say(f"{key_id} is revoked")


def _shown(key: api_keys.ApiKey, zone: ZoneInfo) -> tuple[str, ...]:
    rate = "" if key.rate is None else str(key.rate)
    return key.id, key.name, ",".join(_scopes(key)), rate, printed(key.created_at, zone), printed(key.revoked_at, zone)


def _document(key: api_keys.ApiKey, zone: ZoneInfo) -> dict[str, Any]:
    """As _shown, for programs: ``rate`` and ``revokedAt`` are null where there is none."""
    times = {"createdAt": iso(key.created_at, zone), "revokedAt": iso(key.revoked_at, zone)}
    return {"id": key.id, "name": key.name, "scopes": _scopes(key), "rate": key.rate} | times


def _scopes(key: api_keys.ApiKey) -> list[str]:
    return [scope for scope in api_keys.SCOPES if scope in key.scopes]
