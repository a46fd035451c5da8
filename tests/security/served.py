"""The API as it is shipped, under gunicorn, on sockets of its own: what outsiders meet."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from deploy.embedded import redis_command, redis_server
from shared.database import upgrade

ROOT = Path(__file__).parents[2]
KEY, SECRET = "bootstrap-key-of-the-house", "secret-of-the-phone-system"
STOP_SECONDS = 40
"""gunicorn's graceful_timeout and a little."""


@contextlib.contextmanager
def served(directory: Path, **given: str) -> Iterator[str]:
    """The API's URL, with SQLite, a Redis of its own, KEY and SECRET; ``given``: more settings, without their prefix.

    What its processes log is in ``web.log`` in ``directory``.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening, redis(directory) as broker:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WAIHU_")}
        database = given.get("DATABASE_URL", f"sqlite:///{directory / 'waihu.db'}")
        own = {
            "STATE_DIR": str(directory),
            "DATABASE_URL": database,
            "REDIS_URL": broker,
            "API_KEYS": KEY,
            "PHONE_SECRET": SECRET,
            "PUBLIC_URL": f"http://{address}",
            "ALLOW_STANDIN": "1",
        } | given
        environment |= {f"WAIHU_{name}": value for name, value in own.items()} | {"PYTHONPATH": str(ROOT)}
        (directory / "recordings").mkdir(exist_ok=True)
        upgrade(database)
        command = [sys.executable, "-m", "gunicorn", "--config", "python:deploy.gunicorn_config"]
        command += ["-b", f"fd://{listening.fileno()}", "api.app:create_app()"]
        with running(command, directory / "web.log", environment, directory, (listening.fileno(),)):
            yield f"http://{address}"


@contextlib.contextmanager
def redis(directory: Path) -> Iterator[str]:
    """A Redis on a free port; clients ask again until it is there."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    command = shlex.split(redis_command(redis_server(), port, directory))
    with running(command, directory / "redis.log", dict(os.environ), directory):
        yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def running(
    command: list[str], log: Path, environment: dict[str, str], directory: Path, sockets: tuple[int, ...] = ()
) -> Iterator[int]:
    """A process while the block lasts; yields its pid."""
    with log.open("ab") as said:
        process = subprocess.Popen(
            command, env=environment, cwd=directory, pass_fds=sockets, stdout=said, stderr=subprocess.STDOUT
        )
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_SECONDS)
