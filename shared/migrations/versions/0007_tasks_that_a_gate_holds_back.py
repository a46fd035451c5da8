"""tasks that a gate holds back, found by the gate"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLE = "tasks"
_held = sa.text("held_by IS NOT NULL AND state IN ('pending', 'retry_wait')")


def upgrade() -> None:
    op.create_index("ix_tasks_held", TABLE, ["held_by", "ticket_type"], postgresql_where=_held, sqlite_where=_held)


def downgrade() -> None:
    op.drop_index("ix_tasks_held", table_name=TABLE)
