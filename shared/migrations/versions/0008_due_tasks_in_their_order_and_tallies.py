"""due tasks found in their order, however many are due; tallies of tasks and calls, kept by triggers"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

DUE = "ix_tasks_due"
COLUMNS = [sa.text("priority DESC"), sa.text("due_at"), sa.text("batch_id")]
SINCE = "ix_tasks_waiting_since"
_due = sa.text("due_at IS NOT NULL")
_waiting = sa.text("state IN ('pending', 'retry_wait')")

OVER_TASKS = ("completed", "expired", "failed", "not_connected", "stopped", "unknown")
OVER_CALLS = ("ended", "lost", "refused", "unplaced")
OVER = {"tasks": OVER_TASKS, "calls": OVER_CALLS}
TYPES = ("01", "02", "03")
KINDS = {"tasks": "'task', ''", "calls": "'call', {row}call_type"}
"""kind and call_type of a row's tally."""


def upgrade() -> None:
    op.drop_index(DUE, "tasks")
    op.create_index(DUE, "tasks", COLUMNS, postgresql_where=_due, sqlite_where=_due)
    op.create_index(SINCE, "tasks", ["state", "state_at"], postgresql_where=_due, sqlite_where=_due)
    made = op.create_table(
        "tallies",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("call_type", sa.String(length=2), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tallies")),
        sqlite_autoincrement=True,
    )
    postgresql = op.get_bind().dialect.name == "postgresql"
    for statement in _postgresql() if postgresql else _sqlite():
        op.execute(statement)
    keys = [("task", "", state) for state in ("", *OVER_TASKS)]
    keys += [("call", call_type, state) for call_type in TYPES for state in OVER_CALLS]
    rows = [{"kind": kind, "call_type": call_type, "state": state, "amount": 0} for kind, call_type, state in keys]
    op.bulk_insert(made, rows)
    for table, states in OVER.items():
        op.execute(
            f"INSERT INTO tallies (kind, call_type, state, amount) SELECT {KINDS[table].format(row='')}, state, count(*) "
            f"FROM {table} WHERE state IN {states} GROUP BY 1, 2, 3"
        )
    op.execute("INSERT INTO tallies (kind, call_type, state, amount) SELECT 'task', '', '', count(*) FROM tasks")


def _postgresql() -> Iterator[str]:
    """A row for each statement that adds or removes rows, and for each row that is over or is not any more."""
    for table, states in OVER.items():
        kind, every = KINDS[table].format(row=""), ""
        for event, rows, sign in (("INSERT", "NEW", ""), ("DELETE", "OLD", "-")):
            if table == "tasks":
                every = f"INSERT INTO tallies (kind, call_type, state, amount) SELECT 'task', '', '', {sign}count(*) FROM changed;"
            name = f"waihu_tally_{table}_{event.lower()}"
            yield f"""CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                {every}
                INSERT INTO tallies (kind, call_type, state, amount)
                    SELECT {kind}, state, {sign}count(*) FROM changed WHERE state IN {states} GROUP BY 1, 2, 3;
                RETURN NULL; END $$"""
            yield f"""CREATE TRIGGER {name} AFTER {event} ON {table} REFERENCING {rows} TABLE AS changed
                FOR EACH STATEMENT EXECUTE FUNCTION {name}()"""
        name = f"waihu_tally_{table}_update"
        yield f"""CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO tallies (kind, call_type, state, amount)
                SELECT change.* FROM (VALUES ({KINDS[table].format(row="OLD.")}, OLD.state, -1),
                    ({KINDS[table].format(row="NEW.")}, NEW.state, 1)) AS change (kind, call_type, state, amount)
                WHERE change.state IN {states};
            RETURN NULL; END $$"""
        yield f"""CREATE TRIGGER {name} AFTER UPDATE ON {table} FOR EACH ROW
            WHEN (OLD.state <> NEW.state AND (OLD.state IN {states} OR NEW.state IN {states}))
            EXECUTE FUNCTION {name}()"""
        name = f"waihu_tally_{table}_truncate"
        yield f"""CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            DELETE FROM tallies WHERE kind = '{table[:-1]}'; RETURN NULL; END $$"""
        yield f"CREATE TRIGGER {name} AFTER TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {name}()"


def _sqlite() -> Iterator[str]:
    """Counted in place: there is one writer at a time."""
    for table in OVER:
        call_type = {"tasks": "''", "calls": "{row}.call_type"}[table]
        for event, changes in (
            ("INSERT", (("NEW", 1),)),
            ("DELETE", (("OLD", -1),)),
            ("UPDATE OF state", (("OLD", -1), ("NEW", 1))),
        ):
            name = f"waihu_tally_{table}_{event.split()[0].lower()}"
            body = "".join(_count(table[:-1], call_type.format(row=row), f"{row}.state", by) for row, by in changes)
            if table == "tasks" and len(changes) == 1:
                body += _count("task", "''", "''", changes[0][1])
            yield f"CREATE TRIGGER {name} AFTER {event} ON {table} BEGIN {body} END"


def _count(kind: str, call_type: str, state: str, by: int) -> str:
    """The first row of a kind takes it; states that are not over have none."""
    first = f"SELECT min(id) FROM tallies WHERE kind = '{kind}' AND call_type = {call_type} AND state = {state}"
    return f"UPDATE tallies SET amount = amount + ({by}) WHERE id = ({first});"


def downgrade() -> None:
    for table in OVER:
        for event in ("insert", "delete", "update", "truncate"):
            name = f"waihu_tally_{table}_{event}"
            if op.get_bind().dialect.name == "postgresql":
                op.execute(f"DROP FUNCTION {name} CASCADE")
            else:
                op.execute(f"DROP TRIGGER IF EXISTS {name}")
    op.drop_table("tallies")
    op.drop_index(SINCE, "tasks")
    op.drop_index(DUE, "tasks")
    op.create_index(DUE, "tasks", COLUMNS, postgresql_where=_waiting, sqlite_where=_waiting)
