"""One process that is kept alive: started, listened to, started again when it died, ended with all it begot."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from shared.visible import visible

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Between restarts: doubled each time, so that a process that cannot start does not eat a core."""
LIVED = 30.0
"""Seconds after which a process counts as having lived, and the next pause is the first again."""
PATIENCE = 5.0
"""Seconds after which whoever waits for a process to end is told for which."""
LAST_LINES = 20
"""Kept to be shown when a process does not come up."""
LONGEST_LINE = 8192
"""Bytes; a longer line is cut in pieces, so that one process cannot fill the supervisor's memory."""
_LAUNCH = Path(__file__).with_name("launch.py")


class Output(Protocol):
    """Where what processes say goes."""

    def line(self, name: str, text: str) -> None:
        """One line that process ``name`` wrote."""

    def note(self, text: str) -> None:
        """Something the supervisor itself has to say."""


def next_pause(previous: float, lived: float) -> float:
    """Seconds to wait before a restart, after a pause of ``previous`` (0: none yet) and a life of ``lived``."""
    if previous == 0 or lived >= LIVED:
        return FIRST_PAUSE
    return min(previous * 2, LONGEST_PAUSE)


class Child:
    """Runs one shell command in a process group of its own until told to stop."""

    def __init__(
        self,
        name: str,
        command: str,
        environment: Mapping[str, str],
        directory: Path,
        output: Output,
        *,
        nice: int = 0,
    ) -> None:
        """``nice``: added to the process's niceness, if it may be."""
        self.name = name
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self.deaths = 0
        self._command = command
        self._environment = dict(environment)
        self._directory = directory
        self._output = output
        self._nice = nice
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    def start(self) -> None:
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def stop(self, grace: float, last: float = 0.0) -> None:
        """SIGTERM, ``grace`` seconds, SIGKILL to the whole group. Returns once nothing of it is left.

        ``last``: before the SIGKILL a second SIGTERM, and so many seconds more, for those who part in two steps.
        """
        self._stopping.set()
        if self._keeper is None:
            return
        self._signal(signal.SIGTERM)
        done, _ = await asyncio.wait([self._keeper], timeout=min(grace, PATIENCE))
        if not done and grace > PATIENCE:
            if not last:  # else it is known that it has reason to wait
                self._output.note(f"{self.name} is still busy; waiting up to {grace:g} s for it")
            done, _ = await asyncio.wait([self._keeper], timeout=grace - PATIENCE)
        if not done and last:
            self._signal(signal.SIGTERM)
            done, _ = await asyncio.wait([self._keeper], timeout=last)
        if not done:
            self._output.note(f"{self.name} did not end within {grace + last:g} s and is killed")
            self._signal(signal.SIGKILL)
        await self._keeper

    def cut(self) -> None:
        """Ends it for good, at once and without a word."""
        self._stopping.set()
        self._signal(signal.SIGKILL)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        pause = 0.0
        while not self._stopping.is_set():
            began = loop.time()
            try:
                fate = f"ended ({_fate(await self._run())})"
            except OSError as error:  # no memory, process or file descriptor is left for it just now
                fate = f"could not start ({error.strerror})"
            if self._stopping.is_set():
                return
            self.deaths += 1
            pause = next_pause(pause, loop.time() - began)
            self._output.note(f"{self.name} {fate}; it starts again in {pause:g} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    async def _run(self) -> int:
        """One life of the process; returns how it ended once its whole group is gone. Raises OSError if it has none."""
        self._process = None
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), str(self._nice), self._command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment,
            cwd=self._directory,
            start_new_session=True,  # a Ctrl-C in the terminal is for the supervisor, which ends all in order
        )
        if self._stopping.is_set():
            self._signal(signal.SIGTERM)
        assert self._process.stdout is not None
        listening = asyncio.create_task(self._listen(self._process.stdout))
        status = await self._process.wait()
        self._signal(signal.SIGKILL)  # what it left behind, such as workers of a master that was killed
        await listening
        return status

    async def _listen(self, stream: asyncio.StreamReader) -> None:
        pending = b""
        while chunk := await stream.read(LONGEST_LINE):
            *lines, pending = (pending + chunk).split(b"\n")
            if len(pending) > LONGEST_LINE:
                lines, pending = [*lines, pending], b""
            for line in lines:
                self._say(line)
        if pending:
            self._say(pending)

    def _say(self, line: bytes) -> None:
        text = visible(line.decode("utf-8", "replace").rstrip("\r"), keep="\t")
        self.last_lines.append(text)
        self._output.line(self.name, text)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)


def _fate(status: int) -> str:
    return f"exit code {status}" if status >= 0 else f"signal {-status}"
