"""The state directory while a supervisor holds it: its lock, and ``endpoints.json`` for whoever else works there."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from shared.settings import ENDPOINTS_FILE

LOCK_FILE = "up.lock"


class StateHeld(Exception):
    """Another supervisor holds the state directory."""


class StateUnwritable(Exception):
    """The state directory cannot be made or written."""


@contextmanager
def held(state_dir: Path) -> Iterator[None]:
    """Holds the directory, made if need be; the kernel lets it go when this process ends, however it ends.

    Raises StateHeld with the other's process id, StateUnwritable.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        opened = (state_dir / LOCK_FILE).open("a+")
    except OSError as error:
        raise StateUnwritable(
            f"the state directory {state_dir} cannot be written: {error.strerror}; "
            "let this user write there, or set WAIHU_STATE_DIR to another directory"
        ) from error
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise StateHeld(
                f"process {lock.read().strip() or '?'} runs a house on {state_dir} already; "
                "stop it, or set WAIHU_STATE_DIR to another directory"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        # Whoever held it before and was killed has left this behind, and it leads nowhere now.
        (state_dir / ENDPOINTS_FILE).unlink(missing_ok=True)
        try:
            yield
        finally:
            (state_dir / ENDPOINTS_FILE).unlink(missing_ok=True)


def write_endpoints(state_dir: Path, endpoints: Mapping[str, str]) -> None:
    """Replaces ``endpoints.json`` in one step: a reader sees the old one or the new one, never half of it."""
    draft = state_dir / f".{ENDPOINTS_FILE}.{os.getpid()}"
    draft.write_text(json.dumps(dict(endpoints), indent=2) + "\n", encoding="utf-8")
    draft.replace(state_dir / ENDPOINTS_FILE)
