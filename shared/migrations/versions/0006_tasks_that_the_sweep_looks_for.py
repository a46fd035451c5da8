"""tasks that the sweep looks for, found without a walk over all that are waiting or final"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLE = "tasks"
_WAITING = "state IN ('pending', 'retry_wait')"
_active = sa.text("state IN ('dialing', 'in_call', 'queued', 'stopping')")
_expiring = sa.text(f"expires_at IS NOT NULL AND {_WAITING}")
_unstopped = sa.text(f"stop_requested_at IS NOT NULL AND {_WAITING}")


def upgrade() -> None:
    op.create_index("ix_tasks_active", TABLE, ["state_at"], postgresql_where=_active, sqlite_where=_active)
    op.create_index("ix_tasks_expires_at", TABLE, ["expires_at"], postgresql_where=_expiring, sqlite_where=_expiring)
    op.create_index(
        "ix_tasks_unstopped", TABLE, ["stop_requested_at"], postgresql_where=_unstopped, sqlite_where=_unstopped
    )


def downgrade() -> None:
    op.drop_index("ix_tasks_unstopped", table_name=TABLE)
    op.drop_index("ix_tasks_expires_at", table_name=TABLE)
    op.drop_index("ix_tasks_active", table_name=TABLE)
