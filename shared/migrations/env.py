"""Runs migrations for SQLite and PostgreSQL; on PostgreSQL one process at a time, the others wait and find nothing to do."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from shared.database import open_engine
from shared.schema import metadata

MIGRATION_LOCK = 0x7761_6968_75
"""An arbitrary key for PostgreSQL's advisory lock: "waihu" in ASCII."""


def run() -> None:
    engine = open_engine(context.config.attributes["url"], pool_size=1)
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            # Waiting for another's migration, or indexing millions of rows, takes as long as it takes.
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        # SQLite's lock is taken by BEGIN IMMEDIATE already; batch mode alters tables there by copying them.
        context.configure(
            connection=connection, target_metadata=metadata, render_as_batch=connection.dialect.name == "sqlite"
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
