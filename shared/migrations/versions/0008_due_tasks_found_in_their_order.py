"""due tasks found in their order, however many are due"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLE = "tasks"
DUE = "ix_tasks_due"
COLUMNS = [sa.text("priority DESC"), sa.text("due_at"), sa.text("batch_id")]
_due = sa.text("due_at IS NOT NULL")
_waiting = sa.text("state IN ('pending', 'retry_wait')")


def upgrade() -> None:
    op.drop_index(DUE, TABLE)
    op.create_index(DUE, TABLE, COLUMNS, postgresql_where=_due, sqlite_where=_due)


def downgrade() -> None:
    op.drop_index(DUE, TABLE)
    op.create_index(DUE, TABLE, COLUMNS, postgresql_where=_waiting, sqlite_where=_waiting)
