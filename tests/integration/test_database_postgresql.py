"""Migrations on PostgreSQL; tests/shared has the same on SQLite."""

from __future__ import annotations

from tests.postgres import fresh_database
from tests.shared.migration_steps import require_steps


def test_every_migration_goes_back_and_forth_with_rows(postgresql_server: str) -> None:
    with fresh_database(postgresql_server) as url:
        require_steps(url)
