"""A PostgreSQL server of our own for tests and benchmarks: started in a temporary directory, gone afterwards."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2

DEBIAN_BINARIES = Path("/usr/lib/postgresql")
START_SECONDS = 60
"""A server on a busy machine starts within seconds; one that takes a minute will not come."""

_databases = itertools.count(1)


def find_binaries() -> Path | None:
    """The directory that holds initdb and postgres: on the PATH, or the newest that Debian installed; None if neither."""
    on_path = shutil.which("initdb")
    if on_path and (Path(on_path).resolve().parent / "postgres").exists():
        return Path(on_path).resolve().parent
    installed = [path for path in DEBIAN_BINARIES.glob("*/bin") if (path / "initdb").exists()]
    return max(installed, key=lambda path: float(path.parent.name), default=None)


@contextlib.contextmanager
def running_server(binaries: Path) -> Iterator[str]:
    """Starts a server on a free loopback port; yields the URL of its maintenance database.

    Root may not run PostgreSQL, so it runs as ``postgres`` or ``nobody`` then. Commits wait for the disk, as in production.
    """
    owner = _owner()
    home = Path(tempfile.mkdtemp(prefix="waihu-postgresql-"))
    try:
        if owner:
            shutil.chown(home, owner)
        data = home / "data"
        initdb = [str(binaries / "initdb"), "-D", str(data), "-U", "waihu", "--auth=trust", "-E", "UTF8", "--locale=C"]
        subprocess.run(_as(owner, initdb), check=True, stdout=subprocess.DEVNULL, cwd=home, timeout=START_SECONDS)
        port = _free_port()
        control = [str(binaries / "pg_ctl"), "-D", str(data)]
        start = [*control, "-l", str(home / "log"), "-o", server_options(port), "-w", "-t", str(START_SECONDS), "start"]
        subprocess.run(_as(owner, start), check=True, stdout=subprocess.DEVNULL, cwd=home, timeout=2 * START_SECONDS)
        try:
            yield f"postgresql://waihu@127.0.0.1:{port}/postgres"
        finally:
            stop = [*control, "-m", "immediate", "-w", "stop"]
            subprocess.run(_as(owner, stop), check=True, stdout=subprocess.DEVNULL, cwd=home, timeout=START_SECONDS)
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def fresh_database(server_url: str, template: str = "") -> Iterator[str]:
    """Creates a database on the server; yields its URL, and drops it afterwards with whoever is still connected.

    It is empty, or a copy of that of the URL ``template``, to which nobody may be connected.
    """
    name = f"waihu_{os.getpid()}_{next(_databases)}"
    _administer(
        server_url, f"CREATE DATABASE {name}" + (f" TEMPLATE {template.rpartition('/')[2]}" if template else "")
    )
    try:
        yield server_url.rsplit("/", 1)[0] + f"/{name}"
    finally:
        _administer(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def _administer(server_url: str, statement: str) -> None:
    with contextlib.closing(psycopg2.connect(server_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)


def server_options(port: int) -> str:
    """How the server is run."""
    return f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=100"


def as_owner(command: list[str]) -> list[str]:
    """``command``, to be run by the user that the server runs as."""
    return _as(_owner(), command)


def _owner() -> str:
    """The user to run as, "" for the current one."""
    if os.geteuid() != 0:
        return ""
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise RuntimeError("expected a user postgres or nobody to run PostgreSQL as; root may not")


def _as(owner: str, command: list[str]) -> list[str]:
    return ["runuser", "-u", owner, "--", *command] if owner else command


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
