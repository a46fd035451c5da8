"""numbers on the do-not-call list compared as lines; events without a call and old calls that never left, by indexes"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.numbers import line
from shared.settings import load

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

AT_ONCE = 1_000
_UNMATCHED = sa.text("call_uuid IS NULL")
_UNPLACED = sa.text("state = 'unplaced'")
_list = sa.table("do_not_call", sa.column("number", sa.String), sa.column("line", sa.String), sa.column("created_at"))


def upgrade() -> None:
    op.create_index(
        "ix_phone_events_unmatched", "phone_events", ["id"], postgresql_where=_UNMATCHED, sqlite_where=_UNMATCHED
    )
    op.create_index("ix_calls_unplaced", "calls", ["created_at"], postgresql_where=_UNPLACED, sqlite_where=_UNPLACED)
    op.add_column("do_not_call", sa.Column("line", sa.String(length=24), nullable=True))
    _fill(load().country_code)
    with op.batch_alter_table("do_not_call") as table:
        table.alter_column("line", existing_type=sa.String(length=24), nullable=False)
        table.create_unique_constraint("uq_do_not_call_line", ["line"])


def _fill(country: str) -> None:
    """Of two spellings of one line the older entry stays."""
    connection = op.get_bind()
    known: dict[str, str] = {}
    twice = []
    for (number,) in connection.execute(sa.select(_list.c.number).order_by(_list.c.created_at, _list.c.number)):
        kept = known.setdefault(line(number, country), number)
        twice += [number] if kept != number else []
    for start in range(0, len(twice), AT_ONCE):
        connection.execute(sa.delete(_list).where(_list.c.number.in_(twice[start : start + AT_ONCE])))
    one = sa.update(_list).where(_list.c.number == sa.bindparam("kept")).values(line=sa.bindparam("its_line"))
    rows = [{"kept": number, "its_line": its_line} for its_line, number in known.items()]
    for start in range(0, len(rows), AT_ONCE):
        connection.execute(one, rows[start : start + AT_ONCE])


def downgrade() -> None:
    with op.batch_alter_table("do_not_call") as table:
        table.drop_constraint("uq_do_not_call_line", type_="unique")
        table.drop_column("line")
    op.drop_index("ix_calls_unplaced", table_name="calls")
    op.drop_index("ix_phone_events_unmatched", table_name="phone_events")
