"""``waihu erase``: everything of one customer goes, with proof (``shared.erasure``)."""

from __future__ import annotations

import json
import time

import click

from shared import numbers
from shared.audit import command_line_actor
from shared.database import open_engine, writing
from shared.erasure import erase as erase_number
from shared.settings import load


@click.command()
@click.argument("number")
@click.option("--reason", required=True, help="Why; the audit trail keeps it.")
@click.option("--drop-do-not-call", is_flag=True, help="Also take the number off the do-not-call list.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase(number: str, reason: str, drop_do_not_call: bool, yes: bool) -> None:
    """Erase all data of the customer with NUMBER, and print the proof as JSON. It cannot be undone."""
    normalised = numbers.parse_loosely(number).number
    if not yes:
        click.confirm(f"Erase everything of {numbers.mask(normalised)}?", abort=True, err=True)
    settings = load()
    engine = open_engine(settings.database_url)
    with writing(engine) as connection:
        proof = erase_number(
            connection,
            normalised,
            settings.recordings_dir,
            settings.timezone,
            time.time_ns() // 1_000_000,
            country=settings.country_code,
            reason=reason,
            actor=command_line_actor(),
            drop_do_not_call=drop_do_not_call,
        )
    engine.dispose()
    click.echo(json.dumps(proof.document, ensure_ascii=False, indent=2))
