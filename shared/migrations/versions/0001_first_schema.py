"""first schema"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_idempotency_keys")),
    )
    with op.batch_alter_table("idempotency_keys", schema=None) as batch_op:
        batch_op.create_index("ix_idempotency_keys_created_at", ["created_at"], unique=False)

    op.create_table(
        "phone_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("event_name", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=100), server_default="", nullable=False),
        sa.Column("call_id", sa.String(length=100), server_default="", nullable=False),
        sa.Column(
            "body", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=False
        ),
        sa.Column("applied_at", sa.BigInteger(), nullable=True),
        sa.Column("call_uuid", sa.String(length=19), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_phone_events")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("phone_events", schema=None) as batch_op:
        batch_op.create_index("ix_phone_events_call_id", ["call_id"], unique=False)
        batch_op.create_index("ix_phone_events_call_uuid", ["call_uuid"], unique=False)
        batch_op.create_index(
            "ix_phone_events_waiting",
            ["id"],
            unique=False,
            postgresql_where=sa.text("applied_at IS NULL"),
            sqlite_where=sa.text("applied_at IS NULL"),
        )

    op.create_table(
        "tasks",
        sa.Column("batch_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("ticket_no", sa.String(length=200), nullable=False),
        sa.Column("phone", sa.String(length=40), nullable=False),
        sa.Column("number", sa.String(length=24), nullable=False),
        sa.Column("exten", sa.String(length=16), server_default="", nullable=False),
        sa.Column("username", sa.String(length=200), nullable=False),
        sa.Column("ticket_type", sa.String(length=200), nullable=False),
        sa.Column("ticket_content", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), server_default="pending", nullable=False),
        sa.Column("state_at", sa.BigInteger(), nullable=False),
        sa.Column("connected", sa.Boolean(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("stop_requested_at", sa.BigInteger(), nullable=True),
        sa.Column("final_at", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("no_answers", sa.Integer(), server_default="0", nullable=False),
        sa.Column("refusals", sa.Integer(), server_default="0", nullable=False),
        sa.Column("caller", sa.String(length=24), nullable=True),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_tasks")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.create_index("ix_tasks_created_at", ["created_at"], unique=False)
        batch_op.create_index(
            "ix_tasks_due",
            [sa.literal_column("priority DESC"), "due_at", "batch_id"],
            unique=False,
            postgresql_where=sa.text("state IN ('pending', 'retry_wait')"),
            sqlite_where=sa.text("state IN ('pending', 'retry_wait')"),
        )
        batch_op.create_index("ix_tasks_number", ["number"], unique=False)
        batch_op.create_index("ix_tasks_ticket_no", ["ticket_no", "created_at"], unique=False)
        batch_op.create_index(
            "uq_tasks_live_ticket_no",
            ["ticket_no"],
            unique=True,
            postgresql_where=sa.text(
                "NOT (state IN ('completed', 'expired', 'failed', 'not_connected', 'stopped', 'unknown'))"
            ),
            sqlite_where=sa.text(
                "NOT (state IN ('completed', 'expired', 'failed', 'not_connected', 'stopped', 'unknown'))"
            ),
        )

    op.create_table(
        "calls",
        sa.Column("uuid", sa.String(length=19), nullable=False),
        sa.Column("batch_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("call_type", sa.String(length=2), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("call_id", sa.String(length=100), server_default="", nullable=False),
        sa.Column("caller", sa.String(length=24), nullable=False),
        sa.Column("number", sa.String(length=24), nullable=False),
        sa.Column("telephone", sa.String(length=40), nullable=False),
        sa.Column("exten", sa.String(length=16), server_default="", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("dialing_at", sa.BigInteger(), nullable=True),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("media_ended_at", sa.BigInteger(), nullable=True),
        sa.Column("cdr_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("hangup_requested_at", sa.BigInteger(), nullable=True),
        sa.Column("stop_asked", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("hangup_cause", sa.String(length=64), server_default="", nullable=False),
        sa.Column("time_len", sa.Integer(), server_default="0", nullable=False),
        sa.Column("record_file", sa.String(length=300), server_default="", nullable=False),
        sa.Column("wav_file", sa.String(length=200), server_default="", nullable=False),
        sa.Column("extnum", sa.String(length=40), nullable=True),
        sa.Column(
            "dialogue", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=True
        ),
        sa.Column("tags", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=True),
        sa.Column("deadline_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["tasks.batch_id"], name=op.f("fk_calls_batch_id_tasks")),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_calls")),
    )
    with op.batch_alter_table("calls", schema=None) as batch_op:
        batch_op.create_index("ix_calls_batch_id", ["batch_id"], unique=False)
        batch_op.create_index(
            "ix_calls_deadline_at",
            ["deadline_at"],
            unique=False,
            postgresql_where=sa.text("deadline_at IS NOT NULL"),
            sqlite_where=sa.text("deadline_at IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_calls_listed",
            ["call_type", sa.literal_column("created_at DESC"), sa.literal_column("uuid DESC")],
            unique=False,
            postgresql_where=sa.text("state IN ('ended', 'lost', 'refused')"),
            sqlite_where=sa.text("state IN ('ended', 'lost', 'refused')"),
        )
        batch_op.create_index("ix_calls_number", ["number"], unique=False)
        batch_op.create_index(
            "uq_calls_call_id",
            ["call_id"],
            unique=True,
            postgresql_where=sa.text("call_id <> ''"),
            sqlite_where=sa.text("call_id <> ''"),
        )
        batch_op.create_index(
            "uq_calls_live_number",
            ["number"],
            unique=True,
            postgresql_where=sa.text(
                "call_type = '02' AND state IN ('answered', 'dialing', 'queued', 'ringing', 'unknown')"
            ),
            sqlite_where=sa.text(
                "call_type = '02' AND state IN ('answered', 'dialing', 'queued', 'ringing', 'unknown')"
            ),
        )
        batch_op.create_index(
            "uq_calls_live_task",
            ["batch_id"],
            unique=True,
            postgresql_where=sa.text("state IN ('answered', 'dialing', 'queued', 'ringing', 'unknown')"),
            sqlite_where=sa.text("state IN ('answered', 'dialing', 'queued', 'ringing', 'unknown')"),
        )


def downgrade() -> None:
    with op.batch_alter_table("calls", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_calls_live_task",
            postgresql_where=sa.text("state IN ('answered', 'dialing', 'queued', 'ringing', 'unknown')"),
            sqlite_where=sa.text("state IN ('answered', 'dialing', 'queued', 'ringing', 'unknown')"),
        )
        batch_op.drop_index(
            "uq_calls_live_number",
            postgresql_where=sa.text(
                "call_type = '02' AND state IN ('answered', 'dialing', 'queued', 'ringing', 'unknown')"
            ),
            sqlite_where=sa.text(
                "call_type = '02' AND state IN ('answered', 'dialing', 'queued', 'ringing', 'unknown')"
            ),
        )
        batch_op.drop_index(
            "uq_calls_call_id", postgresql_where=sa.text("call_id <> ''"), sqlite_where=sa.text("call_id <> ''")
        )
        batch_op.drop_index("ix_calls_number")
        batch_op.drop_index(
            "ix_calls_listed",
            postgresql_where=sa.text("state IN ('ended', 'lost', 'refused')"),
            sqlite_where=sa.text("state IN ('ended', 'lost', 'refused')"),
        )
        batch_op.drop_index(
            "ix_calls_deadline_at",
            postgresql_where=sa.text("deadline_at IS NOT NULL"),
            sqlite_where=sa.text("deadline_at IS NOT NULL"),
        )
        batch_op.drop_index("ix_calls_batch_id")

    op.drop_table("calls")
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_tasks_live_ticket_no",
            postgresql_where=sa.text(
                "NOT (state IN ('completed', 'expired', 'failed', 'not_connected', 'stopped', 'unknown'))"
            ),
            sqlite_where=sa.text(
                "NOT (state IN ('completed', 'expired', 'failed', 'not_connected', 'stopped', 'unknown'))"
            ),
        )
        batch_op.drop_index("ix_tasks_ticket_no")
        batch_op.drop_index("ix_tasks_number")
        batch_op.drop_index(
            "ix_tasks_due",
            postgresql_where=sa.text("state IN ('pending', 'retry_wait')"),
            sqlite_where=sa.text("state IN ('pending', 'retry_wait')"),
        )
        batch_op.drop_index("ix_tasks_created_at")

    op.drop_table("tasks")
    with op.batch_alter_table("phone_events", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_phone_events_waiting",
            postgresql_where=sa.text("applied_at IS NULL"),
            sqlite_where=sa.text("applied_at IS NULL"),
        )
        batch_op.drop_index("ix_phone_events_call_uuid")
        batch_op.drop_index("ix_phone_events_call_id")

    op.drop_table("phone_events")
    with op.batch_alter_table("idempotency_keys", schema=None) as batch_op:
        batch_op.drop_index("ix_idempotency_keys_created_at")

    op.drop_table("idempotency_keys")
