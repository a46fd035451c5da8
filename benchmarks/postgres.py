"""The PostgreSQL server that some benchmarks cannot do without: what grows, and what locks, says nothing on SQLite."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.postgres import find_binaries

NEEDING = ("scale", "dispatch", "processes")
ADVICE = (
    "needs a PostgreSQL server (initdb and postgres, on the PATH or in /usr/lib/postgresql), and none is installed: "
    "on Debian and Ubuntu, apt-get install postgresql"
)


def require_binaries(name: str) -> Path:
    """The directory of initdb and postgres. Exits with 1 and what to install if there is none."""
    return find_binaries() or sys.exit(f"{name} {ADVICE}")
