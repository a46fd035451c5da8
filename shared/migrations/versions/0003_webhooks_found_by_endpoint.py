"""webhooks found by endpoint"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLE = "webhook_deliveries"
DUE = "ix_webhook_deliveries_due"
_waiting = sa.text("state = 'waiting'")
_dead = sa.text("state = 'dead'")


def upgrade() -> None:
    op.drop_index(DUE, TABLE)
    op.create_index(DUE, TABLE, ["endpoint_id", "due_at"], postgresql_where=_waiting, sqlite_where=_waiting)
    op.create_index("ix_webhook_deliveries_created_at", TABLE, ["created_at", "id"])
    op.create_index(
        "ix_webhook_deliveries_dead", TABLE, ["created_at", "id"], postgresql_where=_dead, sqlite_where=_dead
    )


def downgrade() -> None:
    op.drop_index("ix_webhook_deliveries_dead", TABLE)
    op.drop_index("ix_webhook_deliveries_created_at", TABLE)
    op.drop_index(DUE, TABLE)
    op.create_index(DUE, TABLE, ["due_at"], postgresql_where=_waiting, sqlite_where=_waiting)
