"""The audit trail: who did what, to which ids, how much of it. Written in the transaction that does it.

Rows hold no number, no name and no speech. A number is spoken of by its mark: a keyed hash that whoever knows the
number and has the database can make again, and nobody else.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import re
from typing import Any

from sqlalchemy import Connection, insert, select

from shared.numbers import mask
from shared.schema import audit, house_secrets, tasks

LONGEST_ACTOR = 120
LINKS, NUMBERS = "links", "numbers"
"""The house's secrets by name; the migration that made the table drew them."""
_DIGITS = re.compile(r"\d(?:[ -]?\d){6,}")
ACTIONS = (
    "submit",
    "stop",
    "redial",
    "pause",
    "resume",
    "dnc_add",
    "dnc_remove",
    "dnc_import",
    "export",
    "listen",
    "key_add",
    "key_revoke",
    "webhook_add",
    "webhook_remove",
    "webhook_replay",
    "erase",
)


def note(connection: Connection, actor: str, action: str, now: int, *, subject: str = "", **detail: Any) -> None:
    """Adds one row. ``detail``: ids, counts, a reason.

    ``subject``: ``task:ID``, ``call:UUID``, ``key:ID``, ``webhook:ID``, ``delivery:UUID`` or ``number:MARK``.
    """
    kept = {name: scrubbed(value) if isinstance(value, str) else value for name, value in detail.items()}
    row = {"at": now, "actor": actor[:LONGEST_ACTOR], "action": action, "subject": subject, "detail": kept}
    connection.execute(insert(audit).values(row))


def is_noted(connection: Connection, actor: str, action: str, subject: str, since: int) -> bool:
    """Whether ``actor`` did this to the subject after ``since``."""
    noted = audit.c
    mine = (noted.subject == subject, noted.actor == actor[:LONGEST_ACTOR], noted.action == action, noted.at > since)
    return connection.execute(select(noted.id).where(*mine).limit(1)).first() is not None


def scrubbed(text: str) -> str:
    """What a person wrote, with everything that may be a phone number masked."""
    return _DIGITS.sub(lambda found: mask(found[0]), text)


def of_task(batch_id: int) -> str:
    return f"task:{batch_id}"


def about_task(connection: Connection, batch_id: int) -> list[int]:
    """Ids of the rows about a task: those whose subject it is, and the batch it was submitted in or stopped with.

    A batch's row names no subject, and of a large one not every id; it is found by its moment, which is the task's own.
    """
    noted = audit.c
    found = list(connection.execute(select(noted.id).where(noted.subject == of_task(batch_id))).scalars())
    moments = connection.execute(
        select(tasks.c.created_at, tasks.c.stop_requested_at).where(tasks.c.batch_id == batch_id)
    ).one_or_none()
    if moments is None:
        return found
    created_at, stopped_at = moments
    query = select(noted.id, noted.action, noted.at, noted.detail).where(
        noted.at.in_([at for at in moments if at is not None]),
        noted.subject == "",
        noted.action.in_(("submit", "stop")),
    )
    for row in connection.execute(query):
        if row.action == "submit":
            about = row.at == created_at and row.detail["first"] <= batch_id <= row.detail["last"]
        else:
            named = row.detail["batchIds"]
            about = row.at == stopped_at and (batch_id in named or len(named) < row.detail["asked"])
        if about:
            found.append(row.id)
    return found


def of_call(uuid: str) -> str:
    return f"call:{uuid}"


def of_webhook(endpoint_id: int) -> str:
    return f"webhook:{endpoint_id}"


def of_delivery(delivery_id: str) -> str:
    return f"delivery:{delivery_id}"


def of_line(connection: Connection, line: str) -> str:
    """The subject that stands for a customer's line (shared.numbers.line): always the same, and of no use without the
    house's secret."""
    mark = hmac.new(house_secret(connection, NUMBERS), line.encode(), hashlib.sha256).hexdigest()[:32]
    return f"number:{mark}"


def house_secret(connection: Connection, name: str) -> bytes:
    """A secret that all processes share (32 bytes)."""
    return bytes(connection.execute(select(house_secrets.c.value).where(house_secrets.c.name == name)).scalar_one())


def command_line_actor() -> str:
    """``cli:`` and the user of this machine who runs the command; the number of one without a name."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli:unknown"
