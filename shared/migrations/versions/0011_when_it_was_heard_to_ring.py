"""when a call was heard to ring: one of which nothing was heard is not one that was not answered"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("rang_at", sa.BigInteger(), nullable=True))
    op.execute("UPDATE calls SET rang_at = dialing_at WHERE state = 'ringing'")  # taken for heard, as it was until now


def downgrade() -> None:
    op.drop_column("calls", "rang_at")
