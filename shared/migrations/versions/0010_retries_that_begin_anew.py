"""attempts of which nothing was heard counted by themselves; events that wait for one call found by its uuid"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_waiting = sa.text("applied_at IS NULL")
_FILL = """
    UPDATE tasks SET unknowns = attempts - no_answers - refusals
    WHERE attempts > no_answers + refusals
      AND state NOT IN ('completed', 'not_connected', 'failed', 'unknown', 'stopped', 'expired')
"""
"""Of those that may be dialled again: what was counted against all attempts goes on from there."""


def upgrade() -> None:
    op.add_column("tasks", sa.Column("unknowns", sa.Integer(), server_default="0", nullable=False))
    op.execute(_FILL)
    op.create_index(
        "ix_phone_events_waiting_request",
        "phone_events",
        ["request_id"],
        postgresql_where=_waiting,
        sqlite_where=_waiting,
    )


def downgrade() -> None:
    op.drop_index("ix_phone_events_waiting_request", table_name="phone_events")
    op.drop_column("tasks", "unknowns")
