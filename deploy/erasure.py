"""``waihu erase``: everything of one customer goes, with proof (``shared.erasure``)."""

from __future__ import annotations

import click

from deploy.databases import existing, place
from deploy.screen import print_json, say
from shared import numbers
from shared.audit import command_line_actor
from shared.database import house_clock, settle, writing
from shared.erasure import erase as erase_number
from shared.settings import load


@click.command()
@click.argument("number")
@click.option("--reason", required=True, help="Why; the audit trail keeps it.")
@click.option("--drop-do-not-call", is_flag=True, help="Also take the number off the do-not-call list.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="For programs: failures are JSON too, and --yes is demanded.")
def erase(number: str, reason: str, drop_do_not_call: bool, yes: bool, as_json: bool) -> None:
    """Erase all data of the customer with NUMBER, and print the proof as JSON. It cannot be undone.

    Exits with 1 if nothing was found: the number, or the database that the proof names, may be the wrong one.
    """
    if as_json and not yes:
        raise click.UsageError("with --json nobody is asked: say with --yes that everything of the number is to go")
    customer = numbers.parse_loosely(number)
    shown = numbers.mask(customer.number) + (" with its one extension" if customer.exten else "")
    settings = load()
    with existing(settings) as engine:
        where = place(settings.database_url)
        if not yes:
            click.confirm(f"Erase everything of {shown} in {where}?", abort=True, err=True)
        now = house_clock(engine).now_ms()
        with writing(engine) as connection:
            proof = erase_number(
                connection,
                customer.number,
                settings.recordings_dir,
                settings.timezone,
                now,
                reason=reason,
                actor=command_line_actor(),
                exten=customer.exten,
                drop_do_not_call=drop_do_not_call,
            )
        if not settle(engine):
            say("the database is busy: the file's write-ahead log is emptied of it a little later", err=True)
    print_json({"database": where, **proof.document})
    if not proof.erased.total:
        say(f"Error: nothing of {shown} was found in {where}", err=True)
        raise SystemExit(1)
