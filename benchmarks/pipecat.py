"""Pipecat beside us, where it installs: in an environment of its own that nothing of ours depends on.

The first run makes it in the user's cache (about half a gigabyte); where that fails, offline for one, the benchmark goes
on without. Delete the directory to be rid of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "1.14.0"
PACKAGES = (f"pipecat-ai[websocket]=={VERSION}", "uvicorn==0.54.0", "uvloop==0.23.0", "msgspec==0.22.0")
_ECHO = Path(__file__).with_name("pipecat_echo.py")
INSTALL_SECONDS = 600
"""A slow line takes minutes over it; a dead one is noticed much sooner."""
_COMPLETE = "complete"
"""Written last: an installation that was broken off is begun anew."""


def directory() -> Path:
    """Where the environment lies or would lie."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "waihu" / f"pipecat-{VERSION}"


def interpreter(*, install: bool) -> Path | None:
    """The environment's Python. None if it is not there and cannot be had, or is not to be; says so in one line."""
    home = directory()
    python = home / "bin" / "python"
    if (home / _COMPLETE).is_file():
        return python
    if not install:
        print(f"without Pipecat: a full run would install it in {home}", flush=True)
        return None
    print(f"installing Pipecat {VERSION} in {home}, once", flush=True)
    try:
        shutil.rmtree(home, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(home))
        _run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES)
        _run(*command(python), "--help")
        (home / _COMPLETE).touch()
    except (OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(home, ignore_errors=True)
        print(f"without Pipecat: it could not be installed ({_reason(error)})", flush=True)
        return None
    return python


def command(python: Path) -> list[str]:
    """Runs its pass-through. -P: this directory has a module of the same name."""
    return [str(python), "-P", "-W", "ignore", str(_ECHO)]


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)


def _reason(error: Exception) -> str:
    """What it said last, in one line."""
    lines = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
    return lines[-1][:200] if lines else type(error).__name__
