"""secrets of the house, and indexes for what is found by subject or by age"""

from __future__ import annotations

import secrets
import time

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_RECORDED = sa.text("wav_file <> ''")
_HEARD = sa.text("dialogue IS NOT NULL")


def upgrade() -> None:
    made = op.create_table(
        "house_secrets",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_house_secrets")),
    )
    now = time.time_ns() // 1_000_000
    rows = [{"name": name, "value": secrets.token_bytes(32), "created_at": now} for name in ("links", "numbers")]
    op.bulk_insert(made, rows)
    op.create_index("ix_audit_subject", "audit", ["subject"])
    op.create_index("ix_calls_recorded", "calls", ["created_at"], postgresql_where=_RECORDED, sqlite_where=_RECORDED)
    op.create_index("ix_calls_heard", "calls", ["created_at"], postgresql_where=_HEARD, sqlite_where=_HEARD)


def downgrade() -> None:
    op.drop_index("ix_calls_heard", table_name="calls")
    op.drop_index("ix_calls_recorded", table_name="calls")
    op.drop_index("ix_audit_subject", table_name="audit")
    op.drop_table("house_secrets")
