"""The one SQL schema, for PostgreSQL and SQLite alike. Times are milliseconds since 1970 in UTC; ids of tasks are 64-bit.

Writers (design, section 2): ``api`` inserts tasks, phone events and idempotency keys, records the wish to stop, and
puts a final task back to pending when a person dials it again (``api.redialing``); ``workers`` alone change the state
of tasks and calls otherwise, and line_country; ``media`` writes no SQL at all. ``api`` and the command line keep do_not_call, pauses and
api_keys, insert into audit, and erase (``shared.erasure``). Whoever makes a task
final, ``workers`` or ``api`` stopping one at once, inserts into webhook_deliveries (``shared.outbox``); ``api`` keeps
webhook_endpoints and sends a delivery back to the queue on request; ``workers`` alone send them.
Changes to these tables come with a migration in ``shared/migrations``; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.lifecycle import FINAL_TASKS, LIVE_CALLS, WAITING_TASKS, TaskState

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit key; SQLite counts up only a column declared INTEGER, which is 64-bit there."""
Document = JSON().with_variant(JSONB, "postgresql")


def _one_of(column: str, states: frozenset[str]) -> str:
    return f"{column} IN ({', '.join(repr(str(state)) for state in sorted(states))})"


tasks = Table(
    "tasks",
    metadata,
    Column("batch_id", Id, primary_key=True, autoincrement=True),
    Column("ticket_no", String(200), nullable=False),
    Column("phone", String(40), nullable=False),  # as it was given, and is shown again
    Column("number", String(24), nullable=False),  # normalised: what is dialled
    Column("exten", String(16), nullable=False, server_default=""),
    Column("username", String(200), nullable=False),
    Column("ticket_type", String(200), nullable=False),
    Column("ticket_content", Text, nullable=False),
    Column("digest", LargeBinary(16), nullable=False),  # of the ticket's body: the same ticket sent twice has the same
    Column("state", String(16), nullable=False, server_default="pending"),
    Column("state_at", BigInteger, nullable=False),
    Column("connected", Boolean),
    Column("created_at", BigInteger, nullable=False),
    Column("due_at", BigInteger),  # when it may be dialled next; null unless it waits
    Column("expires_at", BigInteger),
    Column("priority", Integer, nullable=False, server_default="0"),  # higher goes first
    Column("stop_requested_at", BigInteger),
    Column("final_at", BigInteger),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("no_answers", Integer, nullable=False, server_default="0"),
    Column("refusals", Integer, nullable=False, server_default="0"),
    Column("caller", String(24)),  # the number it was called from last: sticky over retries
    Column("zone", String(40)),  # the ticket's own time zone: its calling window is read there
    Column("held_by", String(16)),  # the gate that put off its due_at (window, frequency, paused): it can be undone
    Column("unknowns", Integer, nullable=False, server_default="0"),  # attempts of which nothing was heard
    Column("line", String(24), nullable=False),  # what the number is compared by (shared.lines); "" once erased
    sqlite_autoincrement=True,
)
Index("ix_tasks_ticket_no", tasks.c.ticket_no, tasks.c.created_at)
Index(
    "uq_tasks_live_ticket_no",
    tasks.c.ticket_no,
    unique=True,
    postgresql_where=text(f"NOT ({_one_of('state', FINAL_TASKS)})"),
    sqlite_where=text(f"NOT ({_one_of('state', FINAL_TASKS)})"),
)
"""One live task a ticket: two requests that post the same ticket at once cannot both win."""
Index(
    "ix_tasks_due",
    tasks.c.priority.desc(),
    tasks.c.due_at,
    tasks.c.batch_id,
    postgresql_where=tasks.c.due_at.is_not(None),
    sqlite_where=tasks.c.due_at.is_not(None),
)
"""Over what has a due_at, which is what waits, and asked with nothing but that: PostgreSQL multiplies the odds of a state
and of a due_at as if one said nothing of the other, expects next to no task to be due, and then sorts all that are."""
Index(
    "ix_tasks_waiting_since",
    tasks.c.state,
    tasks.c.state_at,
    postgresql_where=tasks.c.due_at.is_not(None),
    sqlite_where=tasks.c.due_at.is_not(None),
)
"""How many wait, and since when the first of them has."""
_ACTIVE = _one_of("state", frozenset(TaskState) - FINAL_TASKS - WAITING_TASKS)
Index("ix_tasks_active", tasks.c.state_at, postgresql_where=text(_ACTIVE), sqlite_where=text(_ACTIVE))
ACTIVE_TASKS = text(_ACTIVE)
"""Tasks that must have a live call: as few as there are calls, however many tasks there are."""
_EXPIRING = f"expires_at IS NOT NULL AND {_one_of('state', WAITING_TASKS)}"
Index("ix_tasks_expires_at", tasks.c.expires_at, postgresql_where=text(_EXPIRING), sqlite_where=text(_EXPIRING))
_UNSTOPPED = f"stop_requested_at IS NOT NULL AND {_one_of('state', WAITING_TASKS)}"
Index("ix_tasks_unstopped", tasks.c.stop_requested_at, postgresql_where=text(_UNSTOPPED), sqlite_where=text(_UNSTOPPED))
"""Waiting tasks that somebody asked to stop while they had a call; next to none."""
_HELD = f"held_by IS NOT NULL AND {_one_of('state', WAITING_TASKS)}"
Index("ix_tasks_held", tasks.c.held_by, tasks.c.ticket_type, postgresql_where=text(_HELD), sqlite_where=text(_HELD))
"""What a gate put off: a pause that ends finds its tasks by their type."""
Index("ix_tasks_created_at", tasks.c.created_at)
Index("ix_tasks_line", tasks.c.line)

calls = Table(
    "calls",
    metadata,
    Column("uuid", String(19), primary_key=True),
    Column("batch_id", Id, ForeignKey("tasks.batch_id")),
    Column(
        "call_type", String(2), nullable=False
    ),  # 01 came in, 02 made by a task, 03 placed through the Active Call API
    Column("state", String(16), nullable=False),
    Column("call_id", String(100), nullable=False, server_default=""),  # the phone system's
    Column("caller", String(24), nullable=False),
    Column("number", String(24), nullable=False),  # the customer's, normalised
    Column("telephone", String(40), nullable=False),  # the customer's, as given
    Column("exten", String(16), nullable=False, server_default=""),
    Column("created_at", BigInteger, nullable=False),
    Column("dialing_at", BigInteger),
    Column("answered_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("media_ended_at", BigInteger),
    Column("cdr_at", BigInteger),
    Column("closed_at", BigInteger),
    Column("hangup_requested_at", BigInteger),
    Column("stop_asked", Boolean, nullable=False, server_default=text("false")),
    Column("hangup_cause", String(64), nullable=False, server_default=""),
    Column("time_len", Integer, nullable=False, server_default="0"),
    Column("record_file", String(300), nullable=False, server_default=""),  # the vendor's name of its own recording
    Column("wav_file", String(200), nullable=False, server_default=""),  # ours, relative to the recordings root
    Column("extnum", String(40)),
    Column("dialogue", Document),  # [{"role", "content"}]: what was heard
    Column("tags", Document),  # outcome tags the agent gave, such as do_not_call
    Column("deadline_at", BigInteger),
    Column("rang_at", BigInteger),  # when the phone system said that it rings
    Column("line", String(24), nullable=False),  # its task's
    Column("beside", String(19), nullable=False, server_default=""),  # its uuid, if its line changed while it lived
)
Index(
    "uq_calls_live_task",
    calls.c.batch_id,
    unique=True,
    postgresql_where=text(_one_of("state", LIVE_CALLS)),
    sqlite_where=text(_one_of("state", LIVE_CALLS)),
)
LIVE_CALL = text(_one_of("state", LIVE_CALLS))
_LIVE_OUTBOUND = f"call_type = '02' AND {_one_of('state', LIVE_CALLS)}"
Index(
    "uq_calls_live_line",
    calls.c.line,
    calls.c.beside,
    unique=True,
    postgresql_where=text(_LIVE_OUTBOUND),
    sqlite_where=text(_LIVE_OUTBOUND),
)
"""One live call a customer's line. A call that lived when lines were computed anew is let be, whatever else lives on its
new line; no other can come, for whoever claims sees it by its line."""
Index("ix_calls_batch_id", calls.c.batch_id)
Index(
    "uq_calls_call_id",
    calls.c.call_id,
    unique=True,
    postgresql_where=text("call_id <> ''"),
    sqlite_where=text("call_id <> ''"),
)
Index(
    "ix_calls_deadline_at",
    calls.c.deadline_at,
    postgresql_where=text("deadline_at IS NOT NULL"),
    sqlite_where=text("deadline_at IS NOT NULL"),
)
_LISTED = "state IN ('ended', 'lost', 'refused')"
Index(
    "ix_calls_listed",
    calls.c.call_type,
    calls.c.created_at.desc(),
    calls.c.uuid.desc(),
    postgresql_where=text(_LISTED),
    sqlite_where=text(_LISTED),
)
Index("ix_calls_line", calls.c.line, calls.c.created_at)
Index("ix_calls_caller", calls.c.caller, calls.c.created_at)
"""Calls a day of a caller number, and how many of its latest were answered."""
Index(
    "ix_calls_recorded",
    calls.c.created_at,
    postgresql_where=text("wav_file <> ''"),
    sqlite_where=text("wav_file <> ''"),
)
Index(
    "ix_calls_heard",
    calls.c.created_at,
    postgresql_where=text("dialogue IS NOT NULL"),
    sqlite_where=text("dialogue IS NOT NULL"),
)
Index(
    "ix_calls_unplaced",
    calls.c.created_at,
    postgresql_where=text("state = 'unplaced'"),
    sqlite_where=text("state = 'unplaced'"),
)
"""The oldest recordings, dialogues and calls that never left: for what is kept only so long."""

tallies = Table(
    "tallies",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("kind", String(8), nullable=False),  # task, call
    Column("call_type", String(2), nullable=False),  # "" for tasks
    Column("state", String(16), nullable=False),  # one that is over; "" counts tasks of every state
    Column("amount", BigInteger, nullable=False),  # to be added up
    sqlite_autoincrement=True,
)
"""How many there are, kept by triggers on tasks and calls (``shared.tallies``); written by nothing else but add_up and repair."""

phone_events = Table(
    "phone_events",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("received_at", BigInteger, nullable=False),
    Column("event_name", String(64), nullable=False),
    Column("request_id", String(100), nullable=False, server_default=""),
    Column("call_id", String(100), nullable=False, server_default=""),
    Column("body", Document, nullable=False),  # as it came
    Column("applied_at", BigInteger),
    Column("call_uuid", String(19)),  # the call it was matched to; null once applied: it matched none
    sqlite_autoincrement=True,
)
"""The inbox: stored before anything else happens with it."""
Index(
    "ix_phone_events_waiting",
    phone_events.c.id,
    postgresql_where=text("applied_at IS NULL"),
    sqlite_where=text("applied_at IS NULL"),
)
Index(
    "ix_phone_events_unmatched",
    phone_events.c.id,
    postgresql_where=text("call_uuid IS NULL"),
    sqlite_where=text("call_uuid IS NULL"),
)
"""What belongs to no call, or is not applied yet: where a customer's events are looked for by number, erasing."""
Index(
    "ix_phone_events_waiting_request",
    phone_events.c.request_id,
    postgresql_where=text("applied_at IS NULL"),
    sqlite_where=text("applied_at IS NULL"),
)
"""What waits for one call: asked before its deadline is believed, however many strangers' events wait."""
Index("ix_phone_events_call_uuid", phone_events.c.call_uuid)
Index("ix_phone_events_call_id", phone_events.c.call_id)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("key", String(200), primary_key=True),  # stands for the client's key and whose it is (api.idempotency)
    Column("digest", LargeBinary(32), nullable=False),  # of the request's body
    Column("response", LargeBinary, nullable=False),  # word for word
    Column("created_at", BigInteger, nullable=False),
)
Index("ix_idempotency_keys_created_at", idempotency_keys.c.created_at)

do_not_call = Table(
    "do_not_call",
    metadata,
    Column("number", String(24), primary_key=True),  # as it was given, without extension
    Column("source", String(32), nullable=False),  # who asked: customer, import, person
    Column("reason", String(500), nullable=False, server_default=""),
    Column("call_uuid", String(19)),  # the call in which the customer asked
    Column("created_at", BigInteger, nullable=False),
    Column("line", String(24), nullable=False, unique=True),  # what numbers are compared by (shared.lines)
)

line_country = Table(
    "line_country",
    metadata,
    Column("country", String(3), primary_key=True),  # by which lines are computed
    Column("stage", String(8), nullable=False, server_default=""),  # what is computed anew just now; "": all is done
    Column("after", String(24), nullable=False, server_default=""),  # the key up to which that is done
)
"""One row (``shared.lines``): WAIHU_COUNTRY_CODE, as the lines that are stored know it."""

pauses = Table(
    "pauses",
    metadata,
    Column("ticket_type", String(200), primary_key=True),  # "" pauses all
    Column("reason", String(500), nullable=False, server_default=""),
    Column("created_at", BigInteger, nullable=False),
)

caller_rests = Table(
    "caller_rests",
    metadata,
    Column("caller", String(24), primary_key=True),
    Column("until", BigInteger, nullable=False),
    Column("reason", String(500), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
"""Caller numbers whose answer rate fell well below their own history, and rest."""

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(16), primary_key=True),  # the public part of the key: prefix of what the client sends
    Column("name", String(100), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),  # of the secret part
    Column("scopes", String(100), nullable=False),  # of submit, read, admin, numbers; separated by commas
    Column("rate", Integer),  # requests a minute; null: the house's setting
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", String(120), nullable=False),  # a key's name, the command line's user, or a worker
    Column("action", String(40), nullable=False),  # submit, stop, export, listen, redial, erase, …
    Column("subject", String(120), nullable=False, server_default=""),  # ids only, never a number
    Column("detail", Document, nullable=False),
    sqlite_autoincrement=True,
)
"""Who did what. Only ever inserted into; rows carry ids and counts, no numbers and no speech."""
Index("ix_audit_at", audit.c.at)
Index("ix_audit_subject", audit.c.subject)

house_secrets = Table(
    "house_secrets",
    metadata,
    Column("name", String(32), primary_key=True),  # links: signs recordings' URLs; numbers: marks numbers in the audit
    Column("value", LargeBinary(32), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
"""Drawn when the schema is made, so that all processes share them and nobody has to set them."""

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("url", String(1000), nullable=False),
    Column("secret", String(100), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
    sqlite_autoincrement=True,
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", String(36), primary_key=True),  # made from task, end and endpoint: the receiver knows a repeat by it
    Column("endpoint_id", Id, ForeignKey("webhook_endpoints.id"), nullable=False),
    Column("batch_id", Id, nullable=False),
    Column("event", String(40), nullable=False),
    Column("state", String(16), nullable=False),  # waiting, delivered, dead
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("due_at", BigInteger),  # of the next attempt; null unless it waits
    Column("created_at", BigInteger, nullable=False),
    Column("delivered_at", BigInteger),
    Column("last_error", String(300), nullable=False, server_default=""),
)
"""The outbox: written in the transaction that made a task final, sent afterwards. The body is built from SQL when sent."""
Index("ix_webhook_deliveries_batch_id", webhook_deliveries.c.batch_id)
Index("ix_webhook_deliveries_created_at", webhook_deliveries.c.created_at, webhook_deliveries.c.id)
Index(
    "ix_webhook_deliveries_due",
    webhook_deliveries.c.endpoint_id,
    webhook_deliveries.c.due_at,
    postgresql_where=text("state = 'waiting'"),
    sqlite_where=text("state = 'waiting'"),
)
"""By endpoint first: what waits for a receiver that is away must not be walked over to find another's."""
Index(
    "ix_webhook_deliveries_dead",
    webhook_deliveries.c.created_at,
    webhook_deliveries.c.id,
    postgresql_where=text("state = 'dead'"),
    sqlite_where=text("state = 'dead'"),
)
