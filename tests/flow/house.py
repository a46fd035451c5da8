"""A whole house for tests: ``waihu up`` as a process of its own, on free ports and a state directory of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deploy.client import Api
from deploy.embedded import reachable
from deploy.outcomes import records_closed
from shared.lifecycle import FINAL_TASKS, STATUS_TEXT
from shared.settings import load

ROOT = Path(__file__).parents[2]
FINAL = frozenset(STATUS_TEXT[state] for state in FINAL_TASKS)
UP_WITHIN, DOWN_WITHIN = 120.0, 60.0
LOOK_AGAIN = 0.2


class House:
    """Runs while the ``with`` block lasts. ``said``: all that its processes wrote."""

    def __init__(self, directory: Path, **given: str) -> None:
        ports = iter(free_ports(3))
        own = {
            "STATE_DIR": str(directory / "var"),
            "API_LISTEN": f"127.0.0.1:{next(ports)}",
            "MEDIA_LISTEN": f"127.0.0.1:{next(ports)}",
            "FLOWER_LISTEN": f"127.0.0.1:{next(ports)}",
            "RETRY_NO_ANSWER": "",
            "RETRY_REFUSED": "",
            **given,
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("WAIHU_")}
        self.environment = {**inherited, **{f"WAIHU_{name}": value for name, value in own.items()}}
        self.log = directory / "house.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "deploy.cli", "up"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            until(lambda: "Ctrl-C stops everything." in self.said or self._process_ended(), UP_WITHIN, self.told)
            assert not self._process_ended(), self.said[-5000:]
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def told(self) -> str:
        """The end of what was said, for a failing test's message."""
        return self.said[-3000:]

    def stop(self) -> int:
        """As Ctrl-C does; returns the exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        return self._process.wait(DOWN_WITHIN)

    def api(self) -> Api:
        return Api(f"http://{reachable(load(self.environment, ROOT).api_listen)}")

    @property
    def sandbox_url(self) -> str:
        return load(self.environment, ROOT).phone_url.removesuffix("/np/sandbox/dialog")

    def run(self, *arguments: str) -> Any:
        """What the ``waihu`` command answers with ``--json``."""
        command = [sys.executable, "-m", "deploy.cli", *arguments, "--json"]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=60)
        return json.loads(done.stdout)

    def _process_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None


def until(holds: Callable[[], bool], seconds: float, told: Callable[[], str] = lambda: "") -> None:
    """Asks again and again; fails with what ``told`` says when the time is over."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {told()}"
        time.sleep(LOOK_AGAIN)


def until_closed(api: Api, batch_ids: Iterable[int], seconds: float) -> None:
    """Until every task is final and its calls' records are closed."""
    wanted = list(batch_ids)

    def closed() -> bool:
        tasks = [api.task(batch_id) for batch_id in wanted]
        return all(task["status"] in FINAL and records_closed(task) for task in tasks)

    until(closed, seconds, lambda: str([(api.task(batch_id)["status"]) for batch_id in wanted]))


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now; the kernel gives no two of them alike."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(listener.getsockname()[1]) for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()
