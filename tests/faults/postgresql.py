"""A PostgreSQL server that can be taken away and brought back; the same data, the same port."""

from __future__ import annotations

import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import text

from shared.database import open_engine, reading
from tests.postgres import START_SECONDS, as_owner, find_binaries, server_options


class PostgreSQL:
    """One that ``tests.postgres.running_server`` started; ``url`` is that of any of its databases."""

    def __init__(self, url: str) -> None:
        binaries = find_binaries()
        assert binaries is not None, "somebody started it"
        self._engine = open_engine(url)
        with reading(self._engine) as connection:
            self._data = Path(connection.execute(text("SHOW data_directory")).scalar_one())
        self._control = [str(binaries / "pg_ctl"), "-D", str(self._data)]
        self._port = urlsplit(url).port or 5432

    def stop(self) -> None:
        """At once: every connection breaks, nothing is said to anybody."""
        self._run("-m", "immediate", "-w", "stop")

    def configure(self, name: str, value: str) -> None:
        """For all sessions, at once."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"ALTER SYSTEM SET {name} = {value}"))
            connection.execute(text("SELECT pg_reload_conf()"))

    def said(self, words: str) -> int:
        """How often the server has written this to its log."""
        return (self._data.parent / "log").read_text(encoding="utf-8", errors="replace").count(words)

    def start(self) -> None:
        """Recovers from its log; returns once it takes connections."""
        log = str(self._data.parent / "log")
        self._run("-l", log, "-o", server_options(self._port), "-w", "-t", str(START_SECONDS), "start")

    def _run(self, *arguments: str) -> None:
        subprocess.run(
            as_owner([*self._control, *arguments]),
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._data.parent,
            timeout=2 * START_SECONDS,
        )
