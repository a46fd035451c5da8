"""numbers of tasks and calls compared as lines: one live call to a customer's line, however its number is spelled"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.numbers import SHORTEST_ABROAD, SHORTEST_NATIONAL
from shared.settings import load

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLES = ("tasks", "calls")
_LIVE = sa.text("call_type = '02' AND state IN ('answered', 'dialing', 'queued', 'ringing', 'unknown')")


def upgrade() -> None:
    country = load().country_code
    made = op.create_table(
        "line_country",
        sa.Column("country", sa.String(length=3), nullable=False),
        sa.Column("stage", sa.String(length=8), server_default="", nullable=False),
        sa.Column("after", sa.String(length=24), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("country", name=op.f("pk_line_country")),
    )
    op.bulk_insert(made, [{"country": country}])
    op.drop_index("ix_tasks_number", "tasks")
    op.drop_index("ix_calls_number", "calls")
    op.drop_index("uq_calls_live_number", "calls")
    dialect = op.get_bind().dialect
    line = line_of(sa.column("number", sa.String), country)
    written = str(line.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    if dialect.name == "postgresql":
        _rewrite(written)
    else:
        _refill(written)
    op.add_column("calls", sa.Column("beside", sa.String(length=19), server_default="", nullable=False))
    op.execute(f"UPDATE calls SET beside = uuid WHERE {_LIVE}")  # two of them may be on one line
    op.create_index("ix_tasks_line", "tasks", ["line"])
    op.create_index("ix_calls_line", "calls", ["line", "created_at"])
    op.create_index(
        "uq_calls_live_line", "calls", ["line", "beside"], unique=True, postgresql_where=_LIVE, sqlite_where=_LIVE
    )


def _rewrite(line: str) -> None:
    """The tables are written anew, with their indexes: some seconds for a million rows, where an UPDATE takes a minute."""
    for table in TABLES:
        op.add_column(table, sa.Column("line", sa.String(length=24), nullable=True))
        op.execute(f"ALTER TABLE {table} ALTER line TYPE varchar(24) USING ({line}), ALTER line SET NOT NULL")


def _refill(line: str) -> None:
    """SQLite adds a column that must not be null to empty tables only: they are emptied, and filled again.

    Their triggers, which count, are away meanwhile.
    """
    connection = op.get_bind()
    of_ours = "type = 'trigger' AND tbl_name IN ('tasks', 'calls')"
    triggers = connection.exec_driver_sql(f"SELECT name, sql FROM sqlite_master WHERE {of_ours}").all()
    for trigger in triggers:
        op.execute(f"DROP TRIGGER {trigger.name}")
    for table in reversed(TABLES):  # calls refer to tasks
        op.execute(f"CREATE TEMP TABLE kept_{table} AS SELECT * FROM {table}")
        op.execute(f"DELETE FROM {table}")
    for table in TABLES:
        names = ", ".join(column["name"] for column in sa.inspect(connection).get_columns(table))
        op.add_column(table, sa.Column("line", sa.String(length=24), nullable=False))
        op.execute(f"INSERT INTO {table} ({names}, line) SELECT {names}, {line} FROM temp.kept_{table}")
        op.execute(f"DROP TABLE temp.kept_{table}")
    for trigger in triggers:
        connection.exec_driver_sql(trigger.sql)


def line_of(number: sa.ColumnElement[str], country: str) -> sa.ColumnElement[str]:
    """What ``shared.numbers.line`` says of a column as it was when this was written, in SQL."""
    size, length = len(country), sa.func.length(number)

    def begins(prefix: str) -> sa.ColumnElement[bool]:
        return sa.func.substr(number, 1, len(prefix)) == prefix

    def rest(characters: int) -> sa.ColumnElement[str]:
        return sa.func.substr(number, characters + 1, type_=sa.String)

    abroad = sa.and_(begins("00"), length >= SHORTEST_ABROAD)
    national = sa.case(
        (begins("+" + country), rest(size + 1)),
        (begins("+"), None),
        (sa.and_(abroad, begins("00" + country)), rest(size + 2)),
        (abroad, None),
        (sa.and_(begins(country), length >= size + SHORTEST_NATIONAL), rest(size)),
        else_=number,
    )
    trunk = sa.and_(sa.func.length(national) > SHORTEST_NATIONAL, sa.func.substr(national, 1, 1) == "0")
    bare: sa.ColumnElement[str] = sa.case((trunk, sa.func.substr(national, 2, type_=sa.String)), else_=national)
    return sa.case(
        (begins("+") & national.is_(None), number),
        (national.is_(None), "+" + rest(2)),
        (sa.func.substr(bare, 1, 1) == "0", number),
        (sa.func.length(bare) >= SHORTEST_NATIONAL, f"+{country}" + bare),
        else_=bare,
    )


def downgrade() -> None:
    op.drop_index("uq_calls_live_line", "calls")
    op.drop_index("ix_calls_line", "calls")
    op.drop_index("ix_tasks_line", "tasks")
    op.drop_column("calls", "beside")
    for table in TABLES:
        op.drop_column(table, "line")
    op.create_index(
        "uq_calls_live_number", "calls", ["number"], unique=True, postgresql_where=_LIVE, sqlite_where=_LIVE
    )
    op.create_index("ix_calls_number", "calls", ["number", "created_at"])
    op.create_index("ix_tasks_number", "tasks", ["number"])
    op.drop_table("line_country")
